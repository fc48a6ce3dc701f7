"""What is measured on a trained encoder, by name."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from keras_supcon import evaluation
from keras_supcon.evaluation.protocols.head_analysis import TRANSFORMATIONS
from keras_supcon.experiments.trials.images import ImageReader, balanced_rows
from keras_supcon.experiments.trials.second_optimizer import (
    SECOND_OPTIMIZER_ACCURACIES,
    second_optimizer_accuracies,
)
from keras_supcon.experiments.trials.trained import Trained
from keras_supcon.experiments.trials.training import Images, Training
from keras_supcon.seeds import derive_seed

_NEIGHBORS = 20
_CORRUPTED_IMAGES, _HEAD_IMAGES = 1000, 2000


def _accuracy(trained: Trained) -> dict[str, float]:
    if not trained.has_classifier:
        return {"accuracy": trained.linear.accuracy}
    predictions = trained.probabilities.argmax(axis=1)
    return {"accuracy": float(np.mean(predictions == trained.arrays.test_labels))}


def _linear(trained: Trained) -> dict[str, float]:
    return {"linear": trained.linear.accuracy}


def _knn(trained: Trained) -> dict[str, float]:
    arrays = trained.arrays
    return {
        "knn": evaluation.knn_accuracy(
            trained.train_features,
            arrays.train_labels,
            trained.test_features,
            arrays.test_labels,
            num_neighbors=min(_NEIGHBORS, len(arrays.train)),
        )
    }


def _projection(trained: Trained) -> dict[str, float]:
    arrays, head = trained.arrays, trained.model.projection_head
    rows = [
        evaluation.embed(head, (features, labels), verbose=False)[0]
        for features, labels in (
            (trained.train_features, arrays.train_labels),
            (trained.test_features, arrays.test_labels),
        )
    ]
    result = trained.evaluate_linearly(rows[0], arrays.train_labels, rows[1], arrays.test_labels)
    return {"projection": result.accuracy}


def _calibration(trained: Trained) -> dict[str, float]:
    result = evaluation.calibration(trained.probabilities, trained.arrays.test_labels, resamples=1)
    return {
        "calibration_error": result.scores.expected_error,
        "negative_log_likelihood": result.scores.negative_log_likelihood,
    }


def _corruption(trained: Trained) -> dict[str, float]:
    images, labels = trained.arrays.test, trained.arrays.test_labels
    rows = balanced_rows(labels, min(_CORRUPTED_IMAGES, len(labels)))
    result = evaluation.corruption_robustness(trained.classify, images[rows], labels[rows])
    errors = np.array(list(result.errors.values()))
    return {
        "corrupted_accuracy": float(1 - errors.mean()),
        "accuracy_lost": float((errors - result.clean_error).mean()),
    }


def _few_labels(trained: Trained) -> dict[str, float]:
    arrays = trained.arrays
    result = evaluation.few_label_evaluation(
        trained.train_features,
        arrays.train_labels,
        trained.test_features,
        arrays.test_labels,
        per_class=(),
        draws=3,
        seed=derive_seed(trained.seed, "few labels"),
    )
    return {"one_percent": result["1%"].accuracy, "ten_percent": result["10%"].accuracy}


def _class_sizes(trained: Trained) -> dict[str, float]:
    labels, counts = trained.arrays.test_labels, np.asarray(trained.arrays.class_counts)
    probabilities, third = trained.probabilities, len(counts) // 3
    by_size = np.argsort(-counts, kind="stable")
    parts = {
        "many": by_size[:third],
        "medium": by_size[third : len(counts) - third],
        "few": by_size[len(counts) - third :],
    }

    def accuracies(shares: np.ndarray) -> dict[str, float]:
        is_right = (probabilities / shares).argmax(axis=1) == labels
        of_class = np.array([is_right[labels == c].mean() for c in range(len(counts))])
        of_parts = {part: float(of_class[rows].mean()) for part, rows in parts.items()}
        return {"accuracy": float(is_right.mean()), **of_parts}

    equal = np.ones_like(counts)
    plain = accuracies(equal)
    # A classifier that knows the sizes has the probabilities of equal classes.
    adjusted = accuracies(equal if trained.training.logit_adjusted else counts)
    del plain["accuracy"]  # which has a measurement of its own
    return {**plain, **{f"adjusted_{name}": value for name, value in adjusted.items()}}


def _transfer_images(dataset: str, training: Training) -> Images:
    images = training.images
    return Images(dataset=dataset, size=images.size, measured_on=images.measured_on)


def _finer_images(label: str, training: Training) -> Images:
    return dataclasses.replace(training.images, finer_label=label)


def _transfer(trained: Trained, dataset: str) -> dict[str, float]:
    arrays = trained.read_images(_transfer_images(dataset, trained.training))
    result = trained.evaluate_linearly(
        trained.embed(arrays.train),
        arrays.train_labels,
        trained.embed(arrays.test),
        arrays.test_labels,
    )
    return {f"transfer:{dataset}": result.accuracy}


def _finer(trained: Trained, label: str) -> dict[str, float]:
    arrays = trained.read_images(_finer_images(label, trained.training))
    result = trained.evaluate_linearly(
        trained.train_features, arrays.train_labels, trained.test_features, arrays.test_labels
    )
    return {f"finer:{label}": result.accuracy}


def _head(trained: Trained) -> dict[str, float]:
    arrays = trained.arrays
    splits = []
    for images, labels in ((arrays.train, arrays.train_labels), (arrays.test, arrays.test_labels)):
        rows = balanced_rows(labels, min(_HEAD_IMAGES, len(labels)))
        splits.append((images[rows], labels[rows]))
    result = evaluation.projection_head_analysis(trained.model, *splits, seed=trained.seed)
    return {
        f"{probe.name}_{place}_head": getattr(probe, place)
        for probe in result.probes
        for place in ("before", "after")
    }


_MEASUREMENTS: dict[str, Callable[..., dict[str, float]]] = {
    "accuracy": _accuracy,
    "linear": _linear,
    "second_optimizer": second_optimizer_accuracies,
    "knn": _knn,
    "projection": _projection,
    "calibration": _calibration,
    "corruption": _corruption,
    "few_labels": _few_labels,
    "class_sizes": _class_sizes,
    "transfer": _transfer,
    "finer": _finer,
    "head": _head,
}
# Of those that need images beside those of the training.
_IMAGES: dict[str, Callable[[str, Training], Images]] = {
    "transfer": _transfer_images,
    "finer": _finer_images,
}
_NUMBERS = {  # of those that do not have their measurement's name
    "second_optimizer": SECOND_OPTIMIZER_ACCURACIES,
    "calibration": ("calibration_error", "negative_log_likelihood"),
    "corruption": ("corrupted_accuracy", "accuracy_lost"),
    "few_labels": ("one_percent", "ten_percent"),
    "class_sizes": (
        "many",
        "medium",
        "few",
        "adjusted_accuracy",
        "adjusted_many",
        "adjusted_medium",
        "adjusted_few",
    ),
    "head": tuple(
        f"{name}_{place}_head"
        for name in ("class", *TRANSFORMATIONS)
        for place in ("before", "after")
    ),
}
NO_SHARES = ("negative_log_likelihood",)
"""Names of numbers that are not shares, and so not in hundredths."""
MEASUREMENTS = tuple(_MEASUREMENTS)
"""Names of what can be measured. One with a single number gives it its own name.

- `accuracy`: of the classifier that was trained with the encoder; without one, that of a linear
  classifier on the frozen encoder.
- `linear`: accuracy of a linear classifier on the frozen encoder, for every method.
- `second_optimizer`: accuracy of linear classifiers that LARS, momentum and RMSprop train, such as
  `then_lars`; each chooses among learning rates.
- `knn`: accuracy of 20 nearest neighbors.
- `projection`: accuracy of a linear classifier behind the projection head.
- `calibration`: `calibration_error` (15 bins) and `negative_log_likelihood`.
- `corruption`: `corrupted_accuracy`, the mean over 15 corruptions in 5 severities of 1,000 test
  images, and `accuracy_lost` by them.
- `few_labels`: accuracy with labels of 1% and 10% of the training images, `one_percent` and
  `ten_percent`.
- `class_sizes`: accuracies of a third of the classes each, by their training images: `many`,
  `medium` and `few`; and those with `adjusted_`, also `adjusted_accuracy`, after probabilities are
  divided by the shares of the classes, as if they were of one size. A classifier that was trained
  to know the shares is left as it is.
- `transfer:NAME`: accuracy of a linear classifier on another data set.
- `finer:LABEL`: accuracy of a linear classifier for another label.
- `head`: what linear classifiers tell before and after the head, such as `rotation_before_head`.
"""


def measure(trained: Trained, name: str) -> dict[str, float]:
    """Measures a trained encoder.

    Args:
        trained: The encoder.
        name: What is measured, among `MEASUREMENTS`, with its argument after a colon.

    Returns:
        Numbers by their names; all are NaN if the training diverged.
    """
    if not trained.is_finite:
        is_gray = trained.arrays.train.shape[-1] == 1  # which has no probe of the color
        numbers = (one for one in numbers_of(name) if not (is_gray and one.startswith("grayscale")))
        return dict.fromkeys(numbers, math.nan)
    name, _, argument = name.partition(":")
    return _MEASUREMENTS[name](trained, *([argument] if argument else []))


def scale_of(number: str) -> int:
    """Returns the factor with which a number is shown: 100 for shares, which gives points."""
    return 1 if number in NO_SHARES else 100


def numbers_of(name: str) -> tuple[str, ...]:
    """Returns the names of the numbers of a measurement."""
    return _NUMBERS.get(name, (name,))


def check_measurable(name: str, training: Training) -> None:
    """Checks that a measurement has what it measures.

    Raises:
        ValueError: If it is one of the projection head, and the training has none.
    """
    if name in ("projection", "head") and (training.is_cross_entropy or training.head is None):
        raise ValueError(
            f"The measurement {name!r} should be of a training with a projection head. Received: "
            f"{training.model.name} with head={training.head}"
        )


def check_others(reader: ImageReader, name: str, training: Training) -> None:
    """Reads the images that a measurement needs beside those of the training, and checks them.

    Raises:
        ValueError: If the data set does not have them, or some class has no training image.
        RuntimeError: If the data set cannot be read.
    """
    known, _, argument = name.partition(":")
    if known in _IMAGES:
        reader.read(_IMAGES[known](argument, training)).check_classes()


def digest_of_others(reader: ImageReader, name: str, training: Training) -> str:
    """Reads the images that a measurement needs beside those of the training.

    Args:
        reader: Reads images.
        name: What is measured.
        training: The training.

    Returns:
        The digest of their pixels and labels; empty if it needs none.
    """
    known, _, argument = name.partition(":")
    return reader.digest(_IMAGES[known](argument, training)) if known in _IMAGES else ""


def check_measurement(name: str) -> str:
    """Returns the name of a measurement, or raises `ValueError`."""
    known, _, argument = name.partition(":") if isinstance(name, str) else (name, "", "")
    if known not in MEASUREMENTS or bool(argument) != (known in _IMAGES):
        raise ValueError(
            f"A measurement should be among {MEASUREMENTS}, 'transfer' and 'finer' with a name "
            f"after a colon. Received: {name!r}"
        )
    return name

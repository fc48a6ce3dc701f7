"""Accuracy on corrupted images, and the mean corruption error."""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import keras
import numpy as np

from keras_supcon.arguments import check_choice, check_choices
from keras_supcon.array_checks import check_embeddings, check_labels
from keras_supcon.evaluation.corruptions import (
    CORRUPTIONS,
    EXTRA_CORRUPTIONS,
    constants_table,
    corrupt,
)
from keras_supcon.evaluation.corruptions.arrays import check_images
from keras_supcon.evaluation.embedding import Classifier, Embedder
from keras_supcon.evaluation.protocols.logistic_regression import LinearProbe
from keras_supcon.evaluation.protocols.splits import check_labeled
from keras_supcon.evaluation.reporting.charts import draw_bars, draw_heatmap
from keras_supcon.evaluation.results import ARRAY, Result, describe, percent
from keras_supcon.evaluation.scores.corruption_error import (
    ALEXNET_CLEAN_ERROR,
    ALEXNET_ERRORS,
    mean_corruption_error,
    relative_mean_corruption_error,
)
from keras_supcon.seeds import check_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEVERITIES = (1, 2, 3, 4, 5)
_THREADS = 2
Classify = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CorruptionResult(Result):
    """What `corruption_robustness` measured.

    Args:
        clean_error: Share of errors on the images as they are.
        errors: For each corruption, the share of errors by severity from 1 to 5.
        mean_corruption_error: In percent: 100 is as many errors as the baseline makes; without a
            baseline the mean share of errors. None if the baseline makes no error on a corruption.
        relative_mean_corruption_error: The same for the errors beyond those on clean images; None
            without a baseline, and if the baseline makes no more errors after a corruption.
        baseline: Name of the baseline, or None.
        labels: Class ids `(n,)`.
        right: Bool `(corruptions, 5, n)`, whether each image was classified right.
        protocol: Sizes, choices, seeds and versions.
    """

    clean_error: float
    errors: dict[str, tuple[float, ...]]
    mean_corruption_error: float | None
    relative_mean_corruption_error: float | None
    baseline: str | None
    labels: np.ndarray = dataclasses.field(repr=False, metadata=ARRAY)
    right: np.ndarray = dataclasses.field(repr=False, metadata=ARRAY)

    title: ClassVar[str] = "Corruption robustness"
    caption: ClassVar[str] = "Accuracy on corrupted test images, by corruption and severity."
    caption_together: ClassVar[str] = (
        "Accuracy on corrupted test images by corruption, mean of the five severities."
    )

    @property
    def accuracy_by_severity(self) -> tuple[float, ...]:
        """Mean accuracy over corruptions, from severity 1 to 5."""
        return tuple((1 - np.mean(list(self.errors.values()), axis=0)).tolist())

    def image_scores(self) -> np.ndarray:
        """Returns for each image the share of its corrupted copies that were classified right."""
        return self.right.mean(axis=(0, 1))

    def rows(self) -> list[dict[str, str]]:
        row = {"clean": percent(1 - self.clean_error)}
        for severity, accuracy in zip(SEVERITIES, self.accuracy_by_severity, strict=True):
            row[f"severity {severity}"] = percent(accuracy)
        if self.mean_corruption_error is not None:
            row["mCE" if self.baseline else "mean error"] = f"{self.mean_corruption_error:.1f}"
        if self.relative_mean_corruption_error is not None:
            row["relative mCE"] = f"{self.relative_mean_corruption_error:.1f}"
        return [row]

    def plot(self, narrow: bool = False) -> Figure:
        values = 1 - np.array(list(self.errors.values()))
        names = [name.replace("_", " ") for name in self.errors]
        return draw_heatmap(values, names, list(map(str, SEVERITIES)), percent=True, narrow=narrow)

    @classmethod
    def plot_together(
        cls, results: Mapping[str, CorruptionResult], narrow: bool = False
    ) -> Figure | None:
        first = next(iter(results.values()))
        values = {
            name.replace("_", " "): {
                model: 1 - float(np.mean(one.errors.get(name, np.nan)))
                for model, one in results.items()
            }
            for name in first.errors
        }
        return draw_bars(values, "mean accuracy of five severities", percent=True, narrow=narrow)


def corruption_robustness(
    classifier: Any,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    names: Sequence[str] = CORRUPTIONS,
    baseline: CorruptionResult | str | None = None,
    constants: str | None = None,
    batch_size: int = 256,
    seed: int = 0,
    on_progress: Callable[[int, int], Any] | None = None,
) -> CorruptionResult | dict[str, CorruptionResult]:
    """Measures how many images are still classified right after corruption.

    Each image is corrupted by the 15 corruptions of ImageNet-C in five severities. While the model
    classifies one set, the next one is corrupted.

    Args:
        classifier: A Keras classifier of probabilities; a pair of an encoder and the
            `LinearProbe` of `linear_evaluation(...).probe`; or a function from uint8 images to
            class ids `(n,)` or scores `(n, classes)`. Or a dictionary of several of these, which
            see the same corrupted images.
        images: uint8 `(n, height, width, channels)`, with 1 or 3 channels.
        labels: Class ids `(n,)`.
        names: Corruptions.
        baseline: What errors are relative to: a result on the same corruptions, `"alexnet"` for
            AlexNet on ImageNet-C, or None. In a dictionary of classifiers also the name of one.
        constants: Table of constants of `corrupt`; None chooses by the size of the images.
        batch_size: Images in a batch of Keras models.
        seed: Seed of the corruptions.
        on_progress: Called with the number of finished sets and their total.

    Returns:
        Errors by corruption and severity, and the mean corruption error; for a dictionary of
        classifiers, one for each.

    Raises:
        ValueError: If images are not uint8 `(n, height, width, channels)`, labels do not match
            them, a name is no corruption, outputs are of another length, or the baseline lacks a
            corruption.

    Reference:
        Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and
        Perturbations, ICLR 2019, section 4.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> images, labels = keras_supcon.data.load_arrays("digits", "test")
    >>> bright = lambda images: (images.mean(axis=(1, 2, 3)) > 78).astype(int)
    >>> result = keras_supcon.evaluation.corruption_robustness(
    ...     bright, images, bright(images), names=("contrast", "jpeg_compression")
    ... )
    >>> result.clean_error, len(result.errors["contrast"])
    (0.0, 5)
    """
    names = check_choices("names", names, (*CORRUPTIONS, *EXTRA_CORRUPTIONS))
    check_seed(seed)
    images = check_images(images)
    labels = check_labels("labels", labels, len(images))
    check_labeled("labels", labels)
    classifiers = classifier if isinstance(classifier, Mapping) else {"": classifier}
    if not classifiers:
        raise ValueError("`classifier` should have at least one classifier. Received: {}")
    functions = {name: _as_function(one, labels, batch_size) for name, one in classifiers.items()}
    _check_baseline(baseline, names, classifiers)

    clean = {name: function(images) == labels for name, function in functions.items()}
    right = {name: np.empty((len(names), len(SEVERITIES), len(images)), bool) for name in functions}
    sets = [(name, severity) for name in names for severity in SEVERITIES]
    for number, corrupted in enumerate(_ahead(images, sets, seed, constants)):
        for name, function in functions.items():
            place = divmod(number, len(SEVERITIES))
            right[name][place] = function(corrupted) == labels
        if on_progress is not None:
            on_progress(number + 1, len(sets))

    errors = {
        name: {
            corruption: tuple((1 - right[name][i].mean(axis=1)).tolist())
            for i, corruption in enumerate(names)
        }
        for name in functions
    }
    clean_errors = {name: float(1 - one.mean()) for name, one in clean.items()}
    if isinstance(baseline, str) and baseline in functions:
        baseline_name, reference = baseline, (errors[baseline], clean_errors[baseline])
    elif baseline == "alexnet":
        baseline_name, reference = (
            "AlexNet",
            (
                {name: ALEXNET_ERRORS[name] for name in names},
                ALEXNET_CLEAN_ERROR,
            ),
        )
    elif baseline is not None:
        baseline_name, reference = "given", (baseline.errors, baseline.clean_error)
    else:
        baseline_name = reference = None
    results = {
        name: CorruptionResult(
            clean_error=clean_errors[name],
            errors=errors[name],
            mean_corruption_error=_mean_error(errors[name], reference, names),
            relative_mean_corruption_error=_relative_error(
                errors[name], clean_errors[name], reference, names
            ),
            baseline=baseline_name,
            labels=labels,
            right=right[name],
            protocol=describe(
                "corruption_robustness",
                images=len(images),
                image_shape=list(images.shape[1:]),
                corruptions=list(names),
                severities=list(SEVERITIES),
                constants=constants or constants_table(*images.shape[1:3]),
                baseline=baseline_name,
                seed=seed,
            ),
        )
        for name in functions
    }
    return results if isinstance(classifier, Mapping) else results[""]


def _mean_error(errors: Mapping[str, Any], reference: Any, names: Sequence[str]) -> float | None:
    """Returns the mean corruption error, or None if the baseline makes no error to divide by."""
    if reference is None:
        return mean_corruption_error(errors, names=names)
    if any(np.mean(reference[0][name]) == 0 for name in names):
        return None
    return mean_corruption_error(errors, reference[0], names=names)


def _relative_error(
    errors: Mapping[str, Any], clean_error: float, reference: Any, names: Sequence[str]
) -> float | None:
    """Returns the relative mean corruption error, or None where it does not exist.

    It does not without a baseline, and if the baseline makes no more errors after a corruption than
    before it.
    """
    if reference is None:
        return None
    baseline, baseline_clean_error = reference
    if any(np.mean(baseline[name]) <= baseline_clean_error for name in names):
        return None
    return relative_mean_corruption_error(
        errors, clean_error, baseline, baseline_clean_error, names=names
    )


def _as_function(classifier: Any, labels: np.ndarray, batch_size: int) -> Classify:
    """Returns a function from images to class ids."""
    number = len(labels)
    if isinstance(classifier, (tuple, list)) and len(classifier) == 2:
        encoder, probe = classifier
        if not isinstance(probe, LinearProbe):
            raise ValueError(
                "`classifier` should be a pair of an encoder and the probe of "
                f"`linear_evaluation`. Received: a pair with {type(probe).__name__}"
            )
        embedder = Embedder(encoder)

        def classify_by_probe(images: np.ndarray) -> np.ndarray:
            embeddings, _ = embedder((images, np.zeros(len(images))), batch_size, verbose=False)
            return probe.predict(embeddings)

        return classify_by_probe
    if isinstance(classifier, keras.layers.Layer):
        model = Classifier(classifier)

        def classify_by_model(images: np.ndarray) -> np.ndarray:
            scores, _ = model((images, np.zeros(len(images))), batch_size, verbose=False)
            check_labels("labels", labels, num_classes=scores.shape[1])
            return scores.argmax(axis=1)

        return classify_by_model
    if not callable(classifier):
        raise ValueError(
            "`classifier` should be a Keras classifier, a pair of an encoder and a probe, or a "
            f"function of images. Received: classifier={classifier!r}"
        )

    def classify(images: np.ndarray) -> np.ndarray:
        outputs = np.asarray(classifier(images))
        if outputs.ndim == 2 and outputs.shape[1] == 1:
            outputs = outputs[:, 0]
        if outputs.ndim not in (1, 2) or len(outputs) != number:
            raise ValueError(
                f"`classifier` should return ({number},) class ids or ({number}, classes) scores. "
                f"Received: an array of shape {outputs.shape}"
            )
        if outputs.ndim == 1:
            return check_labels("outputs of `classifier`", outputs)
        return check_embeddings("outputs of `classifier`", outputs).argmax(axis=1)

    return classify


def _check_baseline(baseline: Any, names: Sequence[str], classifiers: Mapping[str, Any]) -> None:
    if isinstance(baseline, str) and baseline not in classifiers:
        check_choice("baseline", baseline, [*filter(None, classifiers), "alexnet"])
        missing = [name for name in names if name not in ALEXNET_ERRORS]
    elif isinstance(baseline, CorruptionResult):
        missing = [name for name in names if name not in baseline.errors]
    elif baseline is None or isinstance(baseline, str):
        return
    else:
        raise ValueError(
            "`baseline` should be a result of `corruption_robustness`, 'alexnet' or None. "
            f"Received: baseline={baseline!r}"
        )
    if missing:
        raise ValueError(
            f"`baseline` should have the corruptions in `names`. Received: none of {missing[0]!r}"
        )


def _ahead(
    images: np.ndarray, sets: Sequence[tuple[str, int]], seed: int, constants: str | None
) -> Iterator[np.ndarray]:
    """Yields corrupted images; the next ones are made meanwhile in another thread."""

    def make(name: str, severity: int) -> np.ndarray:
        return corrupt(images, name, severity, seed, constants=constants, threads=_THREADS)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        coming = pool.submit(make, *sets[0])
        for following in [*sets[1:], None]:
            corrupted = coming.result()
            if following is not None:
                coming = pool.submit(make, *following)
            yield corrupted

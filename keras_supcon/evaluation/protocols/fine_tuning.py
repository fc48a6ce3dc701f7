"""Fine-tuning: the encoder and a classifier are trained together, from the encoder's weights."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import keras
import numpy as np
from keras import tree

from keras_supcon.arguments import check_each, check_whole_number, is_number
from keras_supcon.array_checks import check_labels
from keras_supcon.evaluation.protocols.fine_tuning_trial import Trial, take
from keras_supcon.evaluation.protocols.predictions import PredictionResult
from keras_supcon.evaluation.protocols.splits import check_classes, hold_out
from keras_supcon.evaluation.reporting.charts import draw_bars
from keras_supcon.evaluation.results import ARRAY, describe, percent
from keras_supcon.extras import require_extra
from keras_supcon.seeds import check_seed
from keras_supcon.typing import TensorTree

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEARNING_RATES = tuple(float(one) for one in np.logspace(-4, -1, 7))
WEIGHT_DECAYS = (0.0, *(float(one) for one in np.logspace(-6, -3, 7)))


@dataclasses.dataclass(frozen=True)
class FineTuningChoice:
    """A setting of the grid.

    Args:
        learning_rate: Learning rate at the start.
        weight_decay: Weight decay of a step; it is divided by the learning rate to give the factor
            of the squared weights.
        accuracy: Accuracy on the validation images; 0 if the training diverged.
    """

    learning_rate: float
    weight_decay: float
    accuracy: float


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FineTuningResult(PredictionResult):
    """What `fine_tune` measured.

    Args:
        accuracy: Share of test images that are classified right.
        interval: Its 95% interval over test images.
        mean_per_class: Mean over classes of the accuracy on the images of a class.
        chosen: The setting that was best on validation images.
        tried: All settings.
        labels: Class ids `(test,)`.
        predictions: Class ids `(test,)`.
        probabilities: `(test, classes)`.
        protocol: Sizes, choices, seeds and versions.
    """

    chosen: FineTuningChoice
    tried: tuple[FineTuningChoice, ...]
    probabilities: np.ndarray = dataclasses.field(repr=False, metadata=ARRAY)

    title: ClassVar[str] = "Fine-tuning"
    caption: ClassVar[str] = "Accuracy on validation images of each setting that was tried."

    def rows(self) -> list[dict[str, str]]:
        return [
            {
                **super().rows()[0],
                "validation": percent(self.chosen.accuracy),
                "learning rate": f"{self.chosen.learning_rate:.2g}",
                "weight decay": f"{self.chosen.weight_decay:.2g}",
            }
        ]

    def plot(self, narrow: bool = False) -> Figure:
        rates = sorted({one.learning_rate for one in self.tried})
        values = {
            f"{rate:.2g}": {
                f"weight decay {one.weight_decay:.2g}": one.accuracy
                for one in self.tried
                if one.learning_rate == rate
            }
            for rate in rates
        }
        return draw_bars(values, "validation accuracy", percent=True, narrow=narrow)

    @classmethod
    def plot_together(cls, results: Mapping[str, Any], narrow: bool = False) -> None:
        return None  # each has a grid of its own


def fine_tune(
    encoder: keras.layers.Layer,
    train: tuple[TensorTree, np.ndarray],
    test: tuple[TensorTree, np.ndarray],
    validation: float | tuple[TensorTree, np.ndarray] = 0.1,
    *,
    augmenter: keras.layers.Layer | None = None,
    steps: int = 20_000,
    batch_size: int = 256,
    learning_rates: Sequence[float] = LEARNING_RATES,
    weight_decays: Sequence[float] = WEIGHT_DECAYS,
    seed: int = 0,
    on_progress: Callable[[int, int], Any] | None = None,
) -> FineTuningResult:
    """Trains encoder and classifier together for each setting of a grid, and tests the best once.

    Each training begins with the weights of the encoder, and at the end the encoder has them again.
    It is SGD with Nesterov momentum 0.9 and a cosine schedule without warmup. Batch normalization
    runs in training mode with momentum `max(1 - 10 / steps per epoch, 0.9)`. Validation images
    choose the setting; then encoder and classifier are trained once more on training and validation
    images together.

    The default grid has 56 settings of 20,000 steps: it is meant for an accelerator.

    Args:
        encoder: Any Keras model or layer that maps a batch to `(batch, features)`.
        train: `(images, labels)`: inputs of the encoder, and class ids from 0 on.
        test: The same of other images.
        validation: Share of each class of the training images that is held out to choose the
            setting, above 0 and below 1; or a pair `(images, labels)`.
        augmenter: Layer that augments the training images, such as crops and flips; None leaves
            them as they are.
        steps: Steps of a training, at least 1.
        batch_size: Images in a step, at least 1.
        learning_rates: Positive learning rates to choose from.
        weight_decays: Weight decays to choose from, at least 0.
        seed: Seed of the classifier's weights, the order of images and the validation images.
        on_progress: Called with the number of finished trainings and their total.

    Returns:
        Accuracy with its interval, and all settings with their validation accuracy.

    Raises:
        ValueError: If labels do not match the images, a class of the test images is missing from
            the training images, or an argument is out of its range.
        ImportError: If SciPy is missing (`pip install keras-supcon[report]`).

    Reference:
        Kornblith et al., Do Better ImageNet Models Transfer Better?, CVPR 2019, appendix A.5.

    Example:

    >>> import keras
    >>> import keras_supcon
    >>> scaling = keras.layers.Rescaling(1 / 255)
    >>> encoder = keras.Sequential([keras.layers.Flatten(), scaling, keras.layers.Dense(32)])
    >>> train = keras_supcon.data.load_arrays("digits", "train")
    >>> test = keras_supcon.data.load_arrays("digits", "test")
    >>> result = keras_supcon.evaluation.fine_tune(
    ...     encoder, train, test, steps=60, learning_rates=(0.1,), weight_decays=(0.0,)
    ... )
    >>> result.accuracy > 0.7, len(result.tried)
    (True, 1)
    """
    require_extra("report", "scipy", by="`fine_tune`")
    steps = check_whole_number("steps", steps, at_least=1)
    batch_size = check_whole_number("batch_size", batch_size, at_least=1)
    grid = _check_grid(learning_rates, weight_decays)
    check_seed(seed)
    if isinstance(encoder, keras.layers.Layer) and not encoder.trainable:
        raise ValueError(
            "`encoder` should be trainable, as after `encoder.trainable = True`. Received: "
            "encoder.trainable=False"
        )
    images, labels = _check_split("train", train)
    test_images, test_labels = _check_split("test", test, images)
    check_classes("train[1]", labels, "test[1]", test_labels)
    num_classes = int(labels.max()) + 1
    if len(np.unique(labels)) < num_classes:
        raise ValueError(
            "`train[1]` should have all classes from 0 on. Received: "
            f"{len(np.unique(labels))} classes, the largest {labels.max()}"
        )
    if is_number(validation) and 0 < validation < 1:
        held_out = hold_out(labels, float(validation), seed)
        parts = [(take(images, rows), labels[rows]) for rows in (~held_out, held_out)]
        every = images, labels
    else:
        if is_number(validation):
            raise ValueError(
                "`validation` should be a share of the training images above 0 and below 1, or a "
                f"pair (images, labels). Received: validation={validation!r}"
            )
        parts = [(images, labels), _check_split("validation", validation, images)]
        check_classes("train[1]", labels, "validation[1]", parts[1][1])
        every = (
            tree.map_structure(lambda *one: np.concatenate(one), parts[0][0], parts[1][0]),
            np.concatenate([parts[0][1], parts[1][1]]),
        )
    trial = Trial(encoder, augmenter, num_classes, steps, batch_size, seed)
    total = len(grid) + 1
    tried = []
    for number, (rate, decay) in enumerate(grid, start=1):
        probabilities = trial.run(parts[0], parts[1], rate, decay)
        right = probabilities.argmax(axis=1) == parts[1][1]
        accuracy = float(right.mean()) if np.isfinite(probabilities).all() else 0.0
        tried.append(FineTuningChoice(rate, decay, accuracy))
        if on_progress is not None:
            on_progress(number, total)
    chosen = max(tried, key=lambda one: one.accuracy)
    probabilities = trial.run(
        every, (test_images, test_labels), chosen.learning_rate, chosen.weight_decay
    )
    if not np.isfinite(probabilities).all():
        raise ValueError(
            "`learning_rates` should have one with which training does not diverge. Received: "
            f"learning_rates={[rate for rate, _ in grid]}"
        )
    if on_progress is not None:
        on_progress(total, total)
    return FineTuningResult.of_predictions(
        probabilities.argmax(axis=1),
        test_labels,
        chosen=chosen,
        tried=tuple(tried),
        probabilities=probabilities,
        protocol=describe(
            "fine_tune",
            train_images=len(labels),
            validation_images=len(parts[1][1]),
            test_images=len(test_labels),
            classes=num_classes,
            steps=steps,
            batch_size=batch_size,
            optimizer="SGD, Nesterov momentum 0.9, cosine schedule without warmup",
            batch_norm_momentum="max(1 - 10 / steps per epoch, 0.9)",
            learning_rates=[rate for rate, _ in grid],
            weight_decays=sorted({decay for _, decay in grid}),
            augmented=augmenter is not None,
            retrained_on="training and validation images",
            seed=seed,
        ),
    )


def _check_grid(learning_rates: Any, weight_decays: Any) -> list[tuple[float, float]]:
    rates = check_each(
        "learning_rates",
        learning_rates,
        lambda one: is_number(one) and one > 0,
        "positive numbers",
    )
    decays = check_each(
        "weight_decays",
        weight_decays,
        lambda one: is_number(one) and one >= 0,
        "numbers of at least 0",
    )
    return list(itertools.product(map(float, rates), map(float, decays)))


def _check_split(
    name: str, split: Any, like: TensorTree | None = None
) -> tuple[TensorTree, np.ndarray]:
    """Returns images and labels as arrays, or raises `ValueError`.

    Args:
        name: Name of the argument.
        split: What was given.
        like: Images of which these should have the structure and the shapes.
    """
    if not isinstance(split, (tuple, list)) or len(split) != 2:
        raise ValueError(
            f"`{name}` should be a pair (images, labels). Received: {name} of type "
            f"{type(split).__name__}"
        )
    images = tree.map_structure(np.asarray, split[0])
    labels = check_labels(f"{name}[1]", split[1])
    arrays = tree.flatten(images)
    if not all(one.ndim and one.dtype.kind in "biufSU" for one in arrays):
        raise ValueError(
            f"`{name}` should have images as arrays, or a structure of arrays. Received: images of "
            f"type {type(split[0]).__name__}"
        )
    if not all(np.isfinite(one).all() for one in arrays if one.dtype.kind == "f"):
        raise ValueError(
            f"`{name}` should have finite images. Received: NaN or infinite values among them"
        )
    lengths = {len(one) for one in arrays}
    if lengths != {len(labels)} or not len(labels):
        raise ValueError(
            f"`{name}` should be images and labels of one length, at least one. Received: "
            f"{sorted(lengths)} images and {len(labels)} labels"
        )
    if like is not None and _shapes(images) != _shapes(like):
        raise ValueError(
            f"`{name}` should have images of the shape of those of `train`. Received: "
            f"{_shapes(images)} and {_shapes(like)}"
        )
    return images, labels


def _shapes(images: TensorTree) -> Any:
    return tree.map_structure(lambda one: "x".join(map(str, one.shape[1:])), images)

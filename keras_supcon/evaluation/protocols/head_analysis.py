"""What the projection head throws away: probes before and after it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import keras
import numpy as np

from keras_supcon.arguments import check_choice, check_choices
from keras_supcon.array_checks import check_labels
from keras_supcon.evaluation.embedding import Embedder
from keras_supcon.evaluation.protocols.linear import linear_evaluation
from keras_supcon.evaluation.reporting.charts import draw_bars
from keras_supcon.evaluation.results import Result, describe, percent
from keras_supcon.extras import require_extra
from keras_supcon.models import PretrainingModel
from keras_supcon.seeds import check_seed, derive_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROBES = ("linear", "mlp")
_HIDDEN_UNITS = 256
_NOISE = 0.2  # standard deviation, of pixels in [0, 1]
_LUMINANCE = np.array([0.299, 0.587, 0.114], "float32")
# Fewer than in the linear evaluation, since there are up to ten probes.
_REGULARIZATIONS = tuple(float(one) for one in np.logspace(-5, 2, 15))


def _gray(images: np.ndarray, kinds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    gray = np.repeat((images @ _LUMINANCE)[..., None], 3, axis=-1)
    return np.where(kinds[:, None, None, None] == 1, gray, images)


def _rotate(images: np.ndarray, kinds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rotated = images.copy()
    for quarter in (1, 2, 3):
        rotated[kinds == quarter] = np.rot90(images[kinds == quarter], quarter, axes=(1, 2))
    return rotated


def _add_noise(images: np.ndarray, kinds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noise = 255 * _NOISE * rng.standard_normal(images.shape, "float32")
    return np.where(kinds[:, None, None, None] == 1, images + noise, images)


def _sobel(images: np.ndarray, kinds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    from scipy import ndimage

    steps = [ndimage.sobel(images, axis=axis, mode="nearest") for axis in (1, 2)]
    return np.where(kinds[:, None, None, None] == 1, np.hypot(*steps) / 4, images)


# From the name of a transformation to the function that applies one of its kinds to each image, and
# the number of these kinds.
_TRANSFORMATIONS: dict[str, tuple[Callable[..., np.ndarray], int]] = {
    "grayscale": (_gray, 2),
    "rotation": (_rotate, 4),
    "gaussian_noise": (_add_noise, 2),
    "sobel": (_sobel, 2),
}
TRANSFORMATIONS = tuple(_TRANSFORMATIONS)


@dataclasses.dataclass(frozen=True)
class HeadProbe:
    """How well one thing can be told before and after the projection head.

    Args:
        name: `"class"`, or the transformation that was applied.
        chance: Accuracy of guessing: the share of the most frequent answer.
        before: Accuracy on the features of the encoder.
        after: Accuracy on the projections.
    """

    name: str
    chance: float
    before: float
    after: float


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class HeadResult(Result):
    """What `projection_head_analysis` measured.

    Args:
        probes: Accuracies for the class and for each transformation.
        protocol: Sizes, choices, seeds and versions.
    """

    probes: tuple[HeadProbe, ...]

    title: ClassVar[str] = "Before and after the projection head"
    caption: ClassVar[str] = (
        "Accuracy of classifiers that tell the class, or which transformation was applied to an "
        "image, from the encoder's features and from the projections."
    )

    def __getitem__(self, name: str) -> HeadProbe:
        """Returns the probe of a name, such as `"class"` or `"rotation"`."""
        for probe in self.probes:
            if probe.name == name:
                return probe
        raise KeyError(name)

    def rows(self) -> list[dict[str, str]]:
        return [
            {
                "told": probe.name.replace("_", " "),
                "chance": percent(probe.chance),
                "before the head": percent(probe.before),
                "after the head": percent(probe.after),
            }
            for probe in self.probes
        ]

    def plot(self, narrow: bool = False) -> Figure:
        values = {
            probe.name.replace("_", " "): {
                "chance": probe.chance,
                "before the head": probe.before,
                "after the head": probe.after,
            }
            for probe in self.probes
        }
        return draw_bars(values, "accuracy", percent=True, narrow=narrow)


def projection_head_analysis(
    model: PretrainingModel,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    *,
    transformations: Sequence[str] | None = None,
    probe: str = "linear",
    batch_size: int = 256,
    seed: int = 0,
) -> HeadResult:
    """Measures what can be told from features before the projection head, and no longer after it.

    A classifier on each of the two tells the class, and which transformation was applied to the
    image. A head that was trained with a transformation has a reason to drop it: an encoder that
    never saw rotated views need not lose the rotation.

    Transformations: `"grayscale"` (color or gray), `"rotation"` (0, 90, 180 or 270 degrees),
    `"gaussian_noise"` (with noise of standard deviation 0.2, of pixels in [0, 1], or without) and
    `"sobel"` (the image or its gradient).

    Args:
        model: A `ContrastiveModel`, or another `models.PretrainingModel` with a projection head.
        train: `(images, labels)`, uint8 `(n, height, width, channels)` and class ids.
        test: The same of other images.
        transformations: Names of transformations. None takes all that the images allow: grayscale
            needs three channels, rotation square images.
        probe: `"linear"` for the classifier of `linear_evaluation`, `"mlp"` for a network with 256
            hidden units.
        batch_size: Images in a batch of the encoder.
        seed: Seed of transformations, validation images and networks.

    Returns:
        Accuracies before and after the head, with the level of chance.

    Raises:
        ValueError: If the model has no projection head, images are not uint8 `(n, height, width,
            channels)`, a transformation is unknown or not for these images, or labels do not match.
        ImportError: If scikit-learn is missing (`pip install keras-supcon[report]`).

    Reference:
        Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, ICML
        2020, section 4.2 and table 3, whose probes are networks.

    Example:

    >>> import keras
    >>> import keras_supcon
    >>> model = keras_supcon.ContrastiveModel(
    ...     keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()]),
    ...     keras_supcon.ProjectionHead(2, hidden_units=()),
    ... )
    >>> train = keras_supcon.data.load_arrays("digits", "train")
    >>> test = keras_supcon.data.load_arrays("digits", "test")
    >>> result = keras_supcon.evaluation.projection_head_analysis(
    ...     model, train, test, transformations=()
    ... )
    >>> result["class"].before > result["class"].after  # two numbers for each image
    True
    """
    require_extra("report", "sklearn", "scipy", by="`projection_head_analysis`")
    check_choice("probe", probe, PROBES)
    check_seed(seed)
    head = getattr(model, "projection_head", None)
    if not isinstance(model, keras.Model) or head is None:
        raise ValueError(
            "`model` should be a model with a projection head, such as a `ContrastiveModel`. "
            f"Received: model of type {type(model).__name__}"
        )
    splits = [_check_images(name, one) for name, one in (("train", train), ("test", test))]
    shape = splits[0][0].shape[1:]
    transformations = _choose(transformations, shape)
    encode, project = Embedder(model), Embedder(head)
    fit = _linear if probe == "linear" else _network

    def measure(
        name: str, images: Sequence[np.ndarray], answers: Sequence[np.ndarray]
    ) -> HeadProbe:
        features = [
            encode((one, answer), batch_size)[0]
            for one, answer in zip(images, answers, strict=True)
        ]
        projections = [
            project((one, answer), batch_size)[0]
            for one, answer in zip(features, answers, strict=True)
        ]
        before, after = (
            fit(rows[0], answers[0], rows[1], answers[1], seed) for rows in (features, projections)
        )
        chance = np.unique(answers[1], return_counts=True)[1].max() / len(answers[1])
        widths[:] = features[0].shape[1], projections[0].shape[1]
        return HeadProbe(name, float(chance), before, after)

    widths = [0, 0]
    probes = [measure("class", *zip(*splits, strict=True))]
    for name in transformations:
        apply, kinds = _TRANSFORMATIONS[name]
        transformed = []
        for split, (images, _) in zip(("train", "test"), splits, strict=True):
            rng = np.random.default_rng(derive_seed(seed, name, split))
            answers = rng.permutation(np.arange(len(images)) % kinds)
            changed = apply(images.astype("float32"), answers, rng)
            transformed.append((np.clip(np.rint(changed), 0, 255).astype("uint8"), answers))
        probes.append(measure(name, *zip(*transformed, strict=True)))
    return HeadResult(
        probes=tuple(probes),
        protocol=describe(
            "projection_head_analysis",
            train_images=len(splits[0][0]),
            test_images=len(splits[1][0]),
            image_shape=list(shape),
            features_before=widths[0],
            features_after=widths[1],
            transformations=list(transformations),
            probe=probe,
            seed=seed,
        ),
    )


def _check_images(name: str, split: Any) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(split, (tuple, list)) or len(split) != 2:
        raise ValueError(f"`{name}` should be a pair (images, labels). Received: {type(split)}")
    images = np.asarray(split[0])
    if images.dtype != "uint8" or images.ndim != 4 or not len(images):
        raise ValueError(
            f"`{name}[0]` should be uint8 images (n, height, width, channels). Received: shape "
            f"{images.shape} and dtype {images.dtype}"
        )
    return images, check_labels(f"{name}[1]", split[1], len(images))


def _choose(transformations: Sequence[str] | None, shape: tuple[int, ...]) -> tuple[str, ...]:
    height, width, channels = shape
    possible = tuple(
        name
        for name in TRANSFORMATIONS
        if (name != "grayscale" or channels == 3) and (name != "rotation" or height == width)
    )
    if transformations is None:
        return possible
    transformations = check_choices(
        "transformations", transformations, TRANSFORMATIONS, may_be_empty=True
    )
    for name in transformations:
        if name not in possible:
            raise ValueError(
                f"`transformations` should fit the images: {name} needs "
                f"{'three channels' if name == 'grayscale' else 'square images'}. Received: images "
                f"of shape {tuple(shape)}"
            )
    return transformations


def _linear(
    train: np.ndarray, answers: np.ndarray, test: np.ndarray, test_answers: np.ndarray, seed: int
) -> float:
    return linear_evaluation(
        train, answers, test, test_answers, seed=seed, regularizations=_REGULARIZATIONS
    ).accuracy


def _network(
    train: np.ndarray, answers: np.ndarray, test: np.ndarray, test_answers: np.ndarray, seed: int
) -> float:
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    network = MLPClassifier(
        (_HIDDEN_UNITS,), early_stopping=True, random_state=derive_seed(seed, "probe")
    )
    fitted = make_pipeline(StandardScaler(), network).fit(train, answers)
    return float(fitted.score(test, test_answers))

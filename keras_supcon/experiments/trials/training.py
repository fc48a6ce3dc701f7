"""What a trial trains: images, networks, loss and numbers, as data."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any, Literal

from keras_supcon.arguments import (
    check_bool,
    check_choice,
    check_each,
    check_positive,
    check_whole_number,
    check_whole_number_or_none,
    is_number,
)
from keras_supcon.recipes import Component

CROSS_ENTROPY = Component("CrossEntropy")
"""In place of a model: encoder and classifier are trained together, on one view of each image."""

_ENCODER = Component("ResNet", {"depth": 10, "width": 0.25, "stem": "cifar"})
_MODEL, _OPTIMIZER = Component("ContrastiveModel"), Component("Adam")
_LOSS = Component("SupConLoss", {"temperature": 0.1})
_HEAD = Component("ProjectionHead", {"output_dim": 128, "hidden_units": [256]})
_AUGMENTATION = Component("SimAugment", {"blur_probability": 0.0})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Images:
    """Says which images a trial learns from, and which ones it is measured on.

    Args:
        dataset: Name for `data.load_arrays`, or a folder of class folders.
        label: Feature that is the label, as in `data.load_arrays`; None for the usual one.
        finer_label: Feature that takes its place once the images are chosen; None for none.
        train_split: Training images.
        test_split: Test images.
        train_images: Number of images to train on, equally many of each class as far as there are
            any; None for all. They are the same in every trial.
        test_images: Number of images to measure on, equally many of each class; None for all.
        imbalance: How many times as many training images the first class has as the last one, those
            between falling by one factor; `train_images` are then so many in all, about. None for
            classes as `train_images` says.
        size: Height and width to which images are resized; None for their own.
        measured_on: `"test"`; or `"validation"` for a fifth of each class of the training split,
            which no training image is then taken from. That part serves to choose settings.

    Raises:
        ValueError: For an argument out of its range.

    Example:

    >>> from keras_supcon.experiments import Images
    >>> Images(dataset="digits", train_images=500).measured_on
    'test'
    """

    dataset: str
    label: str | None = None
    finer_label: str | None = None
    train_split: str = "train"
    test_split: str = "test"
    train_images: int | None = None
    test_images: int | None = None
    imbalance: float | None = None
    size: int | None = None
    measured_on: Literal["test", "validation"] = "test"

    def __post_init__(self) -> None:
        if not isinstance(self.dataset, str) or not self.dataset:
            raise ValueError(
                "`dataset` should be the name of a data set, or a folder. Received: "
                f"dataset={self.dataset!r}"
            )
        for name in ("train_images", "test_images", "size"):
            check_whole_number_or_none(name, getattr(self, name), at_least=1)
        if self.imbalance is not None and not (is_number(self.imbalance) and self.imbalance >= 1):
            raise ValueError(
                "`imbalance` should be None or a number of at least 1. Received: "
                f"imbalance={self.imbalance!r}"
            )
        check_choice("measured_on", self.measured_on, ("test", "validation"))

    @property
    def digest(self) -> str:
        """Twenty hexadecimal digits that are the same for the same images alone."""
        return _digest(_without_new_defaults(dataclasses.asdict(self)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """Holds everything that a trained encoder depends on, apart from the seed.

    The learning rate rises from 0 within the first half epoch, and falls to 0 by a cosine. Batches
    are full: the last images of an epoch, another few each time, are left out.

    Args:
        images: Images.
        encoder: Class in `keras_supcon.encoders`.
        model: Class in `keras_supcon.models` that pre-trains; `CROSS_ENTROPY` for encoder and
            classifier together.
        loss: Class in `keras_supcon.losses`; not used with `CROSS_ENTROPY`.
        head: Class in `keras_supcon.layers` for the projections, or None for no head.
        joint_classifier: Whether a linear classifier is trained beside the encoder, which gets no
            gradient from it.
        classifier_trains_encoder: Whether it gets one.
        logit_adjusted: Whether the cross-entropy of a classifier that is trained together with the
            encoder knows the sizes of the classes.
        class_centers: Whether the loss, a `BalancedSupConLoss`, has learned centers of the classes.
        augmentation: Class in `keras_supcon.augmentation`.
        transformations: Layers of Keras that every view passes through before that.
        num_views: Views of an image.
        optimizer: Class in `keras.optimizers` or `keras_supcon.optimizers`.
        learning_rate: Peak learning rate.
        epochs: Epochs.
        batch_size: Images in a batch.

    Raises:
        ValueError: For an argument out of its range.

    Example:

    >>> import dataclasses
    >>> from keras_supcon.experiments import Images, Training
    >>> training = Training(images=Images(dataset="digits"), epochs=3)
    >>> dataclasses.replace(training, epochs=4).digest == training.digest
    False
    """

    images: Images
    encoder: Component = _ENCODER
    model: Component = _MODEL
    loss: Component = _LOSS
    head: Component | None = _HEAD
    joint_classifier: bool = False
    classifier_trains_encoder: bool = False
    logit_adjusted: bool = False
    class_centers: bool = False
    augmentation: Component = _AUGMENTATION
    transformations: tuple[Component, ...] = ()
    num_views: int = 2
    optimizer: Component = _OPTIMIZER
    learning_rate: float = 2e-3
    epochs: int = 10
    batch_size: int = 128

    def __post_init__(self) -> None:
        if not isinstance(self.images, Images):
            raise ValueError(f"`images` should be `Images`. Received: images={self.images!r}")
        for name in ("encoder", "model", "loss", "augmentation", "optimizer"):
            _check_component(name, getattr(self, name))
        if self.head is not None:
            _check_component("head", self.head)
        transformations = check_each(
            "transformations",
            self.transformations,
            lambda one: isinstance(one, Component),
            "`Component`",
            may_be_empty=True,
        )
        object.__setattr__(self, "transformations", transformations)
        for name in (
            "joint_classifier",
            "classifier_trains_encoder",
            "logit_adjusted",
            "class_centers",
        ):
            check_bool(name, getattr(self, name))
        self._check_classifier()
        for name in ("num_views", "epochs", "batch_size"):
            check_whole_number(name, getattr(self, name), at_least=1)
        object.__setattr__(
            self, "learning_rate", float(check_positive("learning_rate", self.learning_rate))
        )

    def _check_classifier(self) -> None:
        has_classifier = self.is_cross_entropy or self.joint_classifier
        for name, is_possible, needed in (
            ("classifier_trains_encoder", self.joint_classifier, "joint_classifier"),
            ("logit_adjusted", has_classifier, "a classifier that is trained with the encoder"),
            ("class_centers", not self.is_cross_entropy, "a contrastive loss"),
        ):
            if getattr(self, name) and not is_possible:
                raise ValueError(
                    f"`{name}` should be False without {needed}. Received: {name}=True"
                )

    @property
    def is_cross_entropy(self) -> bool:
        """Whether encoder and classifier are trained together."""
        return self.model == CROSS_ENTROPY

    @property
    def record(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        record = _without_new_defaults(json.loads(json.dumps(dataclasses.asdict(self))))
        return {**record, "images": _without_new_defaults(record["images"])}

    @property
    def digest(self) -> str:
        """Twenty hexadecimal digits that are the same for the same training alone."""
        return _digest(self.record)


# Fields that came later, whose defaults say what was the case before: a record without them, as of
# an earlier version, is the same.
_NEW = {
    "imbalance": None,
    "classifier_trains_encoder": False,
    "logit_adjusted": False,
    "class_centers": False,
}


def _without_new_defaults(record: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in record.items() if name not in _NEW or value != _NEW[name]
    }


def _check_component(name: str, value: Any) -> None:
    if not isinstance(value, Component):
        raise ValueError(
            f"`{name}` should be a `Component` of `keras_supcon.recipes`. Received: "
            f"{name}={value!r}"
        )


def _digest(record: dict[str, Any]) -> str:
    text = json.dumps(record, sort_keys=True).encode()
    return hashlib.blake2b(text, digest_size=10).hexdigest()

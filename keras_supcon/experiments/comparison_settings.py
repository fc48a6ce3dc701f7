"""The settings of a `Comparison`, and the numbers that suit a data set."""

import dataclasses
import os
from typing import Literal

from keras_supcon.arguments import check_choice, check_whole_number, check_whole_number_or_none


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """Holds the numbers that suit a data set; the defaults are untuned.

    Args:
        epochs: Epochs of contrastive pre-training, and of cross-entropy.
        classifier_epochs: Epochs of the linear classifier.
        batch_size: Images in a batch.
        strength: As in `keras_supcon.augmentation.SimAugment`, and so the next two.
        flip_probability: Probability of a horizontal flip.
        crop_area: Share of the area that a crop keeps.
        learning_rate: Peak learning rate of the encoder.
        classifier_learning_rate: Peak learning rate of the linear classifier.
    """

    epochs: int = 20
    classifier_epochs: int = 5
    batch_size: int = 256
    strength: float = 0.5
    flip_probability: float = 0.5
    crop_area: tuple[float, float] = (0.2, 1.0)
    learning_rate: float = 2e-3
    classifier_learning_rate: float = 1e-2


HYPERPARAMETERS = {
    "digits": Hyperparameters(
        epochs=40, classifier_epochs=20, batch_size=128, flip_probability=0.0, crop_area=(0.5, 1.0)
    ),
    # Chosen on the last 10,000 training images. Many short steps: a run of a few epochs gains more
    # from their number than from the size of the batch.
    "fashion_mnist": Hyperparameters(
        epochs=6,
        batch_size=128,
        strength=0.3,
        crop_area=(0.4, 1.0),
        learning_rate=4e-3,
        classifier_learning_rate=3e-2,
    ),
}
ENCODERS = {
    "small": {"depth": 10, "width": 0.25, "stem": "cifar"},
    "resnet18": {"depth": 18, "stem": "cifar"},
    "resnet50": {"depth": 50},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparisonSettings:
    """Says what `Comparison` compares, and where it writes.

    Args:
        dataset: `"digits"`, or the name of an image-classification data set in TFDS.
        output_dir: Folder for models, results and the report.
        data_dir: Folder of TFDS data sets.
        train_split: Training images, as TFDS names them.
        test_split: Test images, as TFDS names them.
        epochs: Epochs of contrastive pre-training, and of cross-entropy. None takes what suits the
            data set.
        batch_size: Images in a batch. None takes what suits the data set.
        encoder: `"small"` (ResNet-10 of quarter width), `"resnet18"` or `"resnet50"`.
        image_size: Height and width. None takes the images' own size.
        seed: First seed, at least 0.
        seeds: Number of seeds, from `seed` on; everything is repeated for each.
        verbose: Whether to print the progress.

    Raises:
        ValueError: For an argument out of its range.

    Example:

    >>> from keras_supcon.experiments import ComparisonSettings
    >>> settings = ComparisonSettings(dataset="digits", epochs=3)
    >>> settings.hyperparameters.epochs, settings.hyperparameters.batch_size
    (3, 128)
    """

    dataset: str = "digits"
    output_dir: str | os.PathLike[str] = "build/comparison"
    data_dir: str | os.PathLike[str] | None = None
    train_split: str = "train"
    test_split: str = "test"
    epochs: int | None = None
    batch_size: int | None = None
    encoder: Literal["small", "resnet18", "resnet50"] = "small"
    image_size: int | None = None
    seed: int = 0
    seeds: int = 1
    verbose: bool = True

    def __post_init__(self) -> None:
        for name in ("epochs", "image_size"):
            check_whole_number_or_none(name, getattr(self, name), at_least=1)
        check_whole_number("seed", self.seed, at_least=0)
        check_whole_number("seeds", self.seeds, at_least=1)
        check_choice("encoder", self.encoder, tuple(ENCODERS))
        if self.batch_size is not None:
            check_whole_number("batch_size", self.batch_size, at_least=1)

    @property
    def hyperparameters(self) -> Hyperparameters:
        """The numbers that suit the data set, with the given ones in their place."""
        given = {"epochs": self.epochs, "batch_size": self.batch_size}
        return dataclasses.replace(
            HYPERPARAMETERS.get(self.dataset, Hyperparameters()),
            **{name: value for name, value in given.items() if value is not None},
        )

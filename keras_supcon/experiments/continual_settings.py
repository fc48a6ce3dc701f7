"""The settings of a `Continual`, its arms, and the numbers that suit a data set."""

import dataclasses
import os
from typing import Literal

from keras_supcon.arguments import (
    check_choice,
    check_choices,
    check_not_negative,
    check_positive,
    check_whole_number,
    check_whole_number_or_none,
)
from keras_supcon.data.replay_buffer import STRATEGIES
from keras_supcon.encoders.resnet import check_depth, check_width
from keras_supcon.losses.temperature import check_number_of_temperature

SCENARIOS = ("class", "domain")


@dataclasses.dataclass(frozen=True)
class Arm:
    """What one row of the table trains with.

    Args:
        title: Name in the table.
        replays: Whether samples of the buffer are in the batches.
        distills: Whether relations of the networks before the task are distilled.
        asymmetric: Whether only samples of the current task are anchors.
    """

    title: str
    replays: bool
    distills: bool
    asymmetric: bool


ARMS = {
    "neither": Arm("SupCon alone", replays=False, distills=False, asymmetric=True),
    "distillation": Arm("distillation", replays=False, distills=True, asymmetric=True),
    "buffer": Arm("buffer", replays=True, distills=False, asymmetric=True),
    "co2l": Arm("both: Co2L", replays=True, distills=True, asymmetric=True),
    "symmetric": Arm("both, all anchors", replays=True, distills=True, asymmetric=False),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ContinualHyperparameters:
    """Holds the numbers that suit a data set.

    Args:
        first_epochs: Epochs of the first task, which all arms share.
        epochs: Epochs of each later task.
        batch_size: Images in a batch.
        learning_rate: Peak learning rate.
        images_per_class: Training images of each class, or None for all.
        test_images_per_class: Test images of each class, or None for all.
        buffer_size: Slots of the buffer.
        encoder_width: Width of the ResNet.
        strength: As in `keras_supcon.augmentation.SimAugment`, and so the next two.
        flip_probability: Probability of a horizontal flip.
        crop_area: Share of the area that a crop keeps.
    """

    first_epochs: int = 20
    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 0.1
    images_per_class: int | None = None
    test_images_per_class: int | None = None
    buffer_size: int = 200
    encoder_width: float = 0.25
    strength: float = 0.5
    flip_probability: float = 0.5
    crop_area: tuple[float, float] = (0.2, 1.0)


HYPERPARAMETERS = {
    "digits": ContinualHyperparameters(
        first_epochs=30,
        epochs=15,
        batch_size=64,
        buffer_size=50,
        encoder_width=0.125,
        flip_probability=0.0,
        crop_area=(0.5, 1.0),
    ),
    "fashion_mnist": ContinualHyperparameters(
        first_epochs=16,
        epochs=8,
        images_per_class=1000,
        test_images_per_class=500,
        strength=0.3,
        crop_area=(0.4, 1.0),
    ),
}
_GIVEN = (
    "first_epochs",
    "epochs",
    "batch_size",
    "learning_rate",
    "images_per_class",
    "test_images_per_class",
    "buffer_size",
    "encoder_width",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ContinualSettings:
    """Says what `Continual` compares, and where it writes.

    Args:
        dataset: `"digits"`, or the name of an image-classification data set in TFDS.
        output_dir: Folder for checkpoints, buffers and results.
        data_dir: Folder of TFDS data sets.
        label: Class label of a data set that has several, as in `data.load_arrays`; None for the
            usual one.
        train_split: Training images, as TFDS names them.
        test_split: Images that are measured on, as TFDS names them.
        scenario: `"class"`, tasks with classes of their own; or `"domain"`, the same images turned
            by another angle in each task.
        num_tasks: Number of tasks, at least 2.
        arms: Rows of the table, among `Continual.ARMS`.
        images_per_class: Training images of each class, or None for what suits the data set, and so
            all that may be None here.
        test_images_per_class: Images of each class that are measured on.
        buffer_size: Slots of the buffer.
        buffer_strategy: As in `keras_supcon.data.ReplayBuffer`. None is `"class_balanced"`, and
            `"reservoir"` for domains.
        first_epochs: Epochs of the first task.
        epochs: Epochs of each later task.
        batch_size: Images in a batch.
        learning_rate: Peak learning rate of each task, of SGD with a momentum of 0.9.
        temperature: That of `SupConLoss`.
        distillation_weight: As in `keras_supcon.Co2L`. The default is 0.07 / 0.5, the balance of
            the authors' code at a temperature of 0.5; their equation has 1.
        student_temperature: As in `keras_supcon.losses.RelationDistillationLoss`.
        teacher_temperature: As there.
        encoder_depth: Depth of the ResNet, as in `keras_supcon.encoders.ResNet`.
        encoder_width: Width of the ResNet.
        seed: First seed, at least 0.
        seeds: Number of seeds, from `seed` on.
        checkpoint_every: Batches after which a checkpoint is also written within an epoch, or None.
        verbose: Whether to print the progress.

    Raises:
        ValueError: For an argument out of its range.

    Example:

    >>> from keras_supcon.experiments import ContinualSettings
    >>> settings = ContinualSettings(dataset="fashion_mnist", epochs=3)
    >>> settings.hyperparameters.epochs, settings.hyperparameters.buffer_size
    (3, 200)
    """

    dataset: str = "digits"
    output_dir: str | os.PathLike[str] = "build/continual"
    data_dir: str | os.PathLike[str] | None = None
    label: str | None = None
    train_split: str = "train"
    test_split: str = "test"
    scenario: Literal["class", "domain"] = "class"
    num_tasks: int = 5
    arms: tuple[str, ...] = tuple(ARMS)
    images_per_class: int | None = None
    test_images_per_class: int | None = None
    buffer_size: int | None = None
    buffer_strategy: Literal["class_balanced", "reservoir"] | None = None
    first_epochs: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    temperature: float = 0.5
    distillation_weight: float = 0.14
    student_temperature: float = 0.2
    teacher_temperature: float = 0.01
    encoder_depth: int = 10
    encoder_width: float | None = None
    seed: int = 0
    seeds: int = 3
    checkpoint_every: int | None = None
    verbose: bool = True

    def __post_init__(self) -> None:
        for name in (*_GIVEN, "checkpoint_every"):
            if name not in ("learning_rate", "encoder_width"):
                check_whole_number_or_none(name, getattr(self, name), at_least=1)
        if self.learning_rate is not None:
            check_positive("learning_rate", self.learning_rate)
        check_depth("encoder_depth", self.encoder_depth)
        if self.encoder_width is not None:
            check_width("encoder_width", self.encoder_width)
        for name in ("temperature", "student_temperature", "teacher_temperature"):
            check_number_of_temperature(name, getattr(self, name))
        check_not_negative("distillation_weight", self.distillation_weight)
        check_choice("scenario", self.scenario, SCENARIOS)
        check_whole_number("num_tasks", self.num_tasks, at_least=2)
        check_whole_number("seed", self.seed, at_least=0)
        check_whole_number("seeds", self.seeds, at_least=1)
        arms = check_choices("arms", self.arms, tuple(ARMS))
        object.__setattr__(self, "arms", tuple(name for name in ARMS if name in arms))
        strategy = self.buffer_strategy
        if strategy is None:
            strategy = "reservoir" if self.scenario == "domain" else "class_balanced"
        check_choice("buffer_strategy", strategy, STRATEGIES)
        object.__setattr__(self, "buffer_strategy", strategy)

    @property
    def hyperparameters(self) -> ContinualHyperparameters:
        """The numbers that suit the data set, with the given ones in their place."""
        given = {name: getattr(self, name) for name in _GIVEN}
        return dataclasses.replace(
            HYPERPARAMETERS.get(self.dataset, ContinualHyperparameters()),
            **{name: value for name, value in given.items() if value is not None},
        )

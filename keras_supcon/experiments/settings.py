"""The settings of a run of `TwoStage`."""

import dataclasses
import os
from typing import Literal

from keras_supcon.arguments import (
    check_choice,
    check_image_size,
    check_whole_number,
    check_whole_number_or_none,
)
from keras_supcon.encoders.resnet import check_depth, check_width

MODES = (
    "pretrain",
    "linear",
    "pretrain_then_linear",
    "cross_entropy",
    "cross_entropy_then_linear",
)
STRATEGIES = ("auto", "default", "mirrored", "multi_worker", "tpu")
PRECISIONS = ("none", "float16", "bfloat16")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Holds data, folder and devices of `TwoStage`, and numbers in place of the recipe's.

    Args:
        output_dir: Folder for checkpoints, models and results.json, on a mounted file system. All
            workers share it.
        dataset: Name in TFDS, or `"digits"`. None takes that of the recipe.
        data_dir: Folder of TFDS data sets.
        train_split: Training images, as TFDS names them.
        linear_train_split: The same for the linear classifier, such as `"train[:10%]"`. None takes
            `train_split`.
        eval_split: Images to measure on. None takes the usual ones of the data set: the validation
            images of ImageNet, the test images of the others.
        image_size: Height and width at the encoder. None takes those of the recipe.
        host_crops: Whether the host decodes the crops of training, each from its window of the
            image file. If not, images are read whole and the model makes the crops: the images
            then need one size. The other augmentation is always part of the model.
        mode: What to train: `"pretrain"`, `"linear"` (the classifier on the encoder of an earlier
            run in this folder), `"pretrain_then_linear"`, `"cross_entropy"` or
            `"cross_entropy_then_linear"`. None takes all stages of the recipe.
        epochs: Epochs of pre-training, or of cross-entropy. None takes those of the recipe. Warm-up
            and decay are scaled in proportion.
        linear_epochs: The same for the linear classifier.
        batch_size: Images in a batch over all replicas. None takes that of the recipe. The learning
            rate follows it by the rule of the recipe.
        linear_batch_size: The same for the linear classifier. None takes that of the recipe, at
            most `batch_size`.
        micro_batch_size: Images that the encoder of a replica sees at once in pre-training, to save
            memory; None takes all.
        queue_size: Slots of the queue of `MoCo` or `NNCLR`. None takes those of the recipe; no more
            than about a tenth of the training images are of use.
        encoder_depth: Depth of the ResNet. None takes that of the recipe.
        encoder_width: Width of the ResNet. None takes that of the recipe.
        mixed_precision: `"none"`, `"float16"` or `"bfloat16"`. None takes the precision of the
            recipe on GPUs and TPUs, and float32 on processors. GPUs before Ampere are faster with
            float16.
        strategy: What to train on, as `kind` of `keras_supcon.distribution.strategy`.
        tpu: Name or address of a TPU; `"local"` on a TPU virtual machine.
        num_virtual_cpus: Number of devices that the processor is split into, to try replicas
            without GPUs.
        checkpoint_every: Batches after which a checkpoint is also written within an epoch; None
            writes one at the end of each epoch only.
        seed: Seed of the random numbers, at least 0.
        verbose: Whether the first worker prints the progress.

    Raises:
        ValueError: For an argument out of its range.

    Example:

    >>> from keras_supcon.experiments import Settings
    >>> settings = Settings(dataset="digits", output_dir="build/trial", epochs=2)
    >>> settings.epochs, settings.batch_size
    (2, None)
    >>> Settings(output_dir="build/trial", epochs=0)
    Traceback (most recent call last):
        ...
    ValueError: `epochs` should be None or a whole number of at least 1. Received: epochs=0
    """

    output_dir: str | os.PathLike[str]
    dataset: str | None = None
    data_dir: str | os.PathLike[str] | None = None
    train_split: str = "train"
    linear_train_split: str | None = None
    eval_split: str | None = None
    image_size: tuple[int, int] | None = None
    host_crops: bool = False
    mode: (
        Literal[
            "pretrain",
            "linear",
            "pretrain_then_linear",
            "cross_entropy",
            "cross_entropy_then_linear",
        ]
        | None
    ) = None
    epochs: int | None = None
    linear_epochs: int | None = None
    batch_size: int | None = None
    linear_batch_size: int | None = None
    micro_batch_size: int | None = None
    queue_size: int | None = None
    encoder_depth: int | None = None
    encoder_width: float | None = None
    mixed_precision: Literal["none", "float16", "bfloat16"] | None = None
    strategy: Literal["auto", "default", "mirrored", "multi_worker", "tpu"] = "auto"
    tpu: str | None = None
    num_virtual_cpus: int | None = None
    checkpoint_every: int | None = None
    seed: int = 0
    verbose: bool = True

    def __post_init__(self) -> None:
        is_path = isinstance(self.output_dir, (str, os.PathLike)) and str(self.output_dir)
        if not is_path or "://" in str(self.output_dir):
            raise ValueError(
                "`output_dir` should be a folder of a mounted file system. Received: "
                f"output_dir={self.output_dir!r}"
            )
        for name in (
            "epochs",
            "linear_epochs",
            "batch_size",
            "linear_batch_size",
            "micro_batch_size",
            "queue_size",
            "num_virtual_cpus",
            "checkpoint_every",
        ):
            check_whole_number_or_none(name, getattr(self, name), at_least=1)
        check_whole_number("seed", self.seed, at_least=0)
        check_choice("strategy", self.strategy, STRATEGIES)
        if self.mode is not None:
            check_choice("mode", self.mode, MODES)
        if self.mixed_precision is not None:
            check_choice("mixed_precision", self.mixed_precision, PRECISIONS)
        if self.encoder_depth is not None:
            check_depth("encoder_depth", self.encoder_depth)
        if self.encoder_width is not None:
            check_width("encoder_width", self.encoder_width)
        if self.image_size is not None:
            size = check_image_size("image_size", self.image_size)
            object.__setattr__(self, "image_size", size)

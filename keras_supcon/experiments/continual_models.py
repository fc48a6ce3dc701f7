"""The models of a `Continual`, and their learning rate."""

import math

import keras
import numpy as np

from keras_supcon import augmentation, encoders
from keras_supcon.evaluation.embedding import Embedder
from keras_supcon.experiments.continual_settings import ARMS, Arm, ContinualSettings
from keras_supcon.layers import ProjectionHead
from keras_supcon.losses import RelationDistillationLoss, SupConLoss
from keras_supcon.models import Co2L
from keras_supcon.seeds import derive_seed

_MOMENTUM, _WEIGHT_DECAY = 0.9, 1e-4
_PROJECTION_DIM, _HIDDEN_UNITS = 128, 256
# Share of the epochs of a task in which the rate rises, and of its peak at the end.
_WARMUP_SHARE, _LAST_RATE = 0.1, 1e-3


class Models:
    """Makes the models of a `Continual`.

    Arms whose steps are the same share a model, since compiling a step takes longer than a small
    task. All of its state is that of a checkpoint before it is trained.

    Args:
        settings: Settings of the experiment.
        image_shape: Shape of an image.
    """

    def __init__(self, settings: ContinualSettings, image_shape: tuple[int, ...]) -> None:
        self._settings, self._shape = settings, image_shape
        self._made: dict[tuple[bool, bool], tuple[Co2L, Embedder]] = {}

    def new(self, seed: int) -> Co2L:
        """Returns a new model without teacher, as a seed begins with."""
        keras.utils.set_random_seed(derive_seed(seed, "networks"))
        return self._make(ARMS["neither"])

    def of(self, arm: Arm) -> Co2L:
        """Returns the model of an arm, in any state."""
        made = self._made.get(_step_of(arm))
        return self._make(arm) if made is None else made[0]

    def embed(self, arm: Arm, images: np.ndarray) -> np.ndarray:
        """Computes the features of images by the encoder as it is."""
        embedder = self._made[_step_of(arm)][1]
        return embedder((images, np.zeros(len(images), "int64")), verbose=False)[0]

    def _make(self, arm: Arm) -> Co2L:
        settings, numbers = self._settings, self._settings.hyperparameters
        model = Co2L(
            encoders.ResNet(
                depth=settings.encoder_depth, width=numbers.encoder_width, stem="cifar"
            ),
            ProjectionHead(_PROJECTION_DIM, hidden_units=(_HIDDEN_UNITS,)),
            augmenter=augmentation.SimAugment(
                image_size=self._shape[:2],
                strength=numbers.strength,
                crop_area=numbers.crop_area,
                flip_probability=numbers.flip_probability,
            ),
            distillation_weight=settings.distillation_weight if arm.distills else 0.0,
            distillation_loss=RelationDistillationLoss(
                student_temperature=settings.student_temperature,
                teacher_temperature=settings.teacher_temperature,
            ),
            asymmetric=arm.asymmetric,
            num_views=2,
        )
        model.build((None, *self._shape))
        model.compile(
            optimizer=keras.optimizers.SGD(
                numbers.learning_rate, momentum=_MOMENTUM, weight_decay=_WEIGHT_DECAY
            ),
            loss=SupConLoss(temperature=settings.temperature),
        )
        self._made[_step_of(arm)] = model, Embedder(model)
        return model


def _step_of(arm: Arm) -> tuple[bool, bool]:
    """Returns what a step of training depends on."""
    return arm.distills, arm.asymmetric


def learning_rate(peak: float, epoch: int, epochs: int) -> float:
    """Returns the learning rate of an epoch of a task: a linear warm-up, then a cosine.

    Args:
        peak: The highest one.
        epoch: Number of the epoch, from 0 on.
        epochs: Epochs of the task.
    """
    warmup = round(_WARMUP_SHARE * epochs)
    if epoch < warmup:
        return peak * (epoch + 1) / (warmup + 1)
    cosine = (1 + math.cos(math.pi * (epoch - warmup) / (epochs - warmup))) / 2
    return peak * (_LAST_RATE + (1 - _LAST_RATE) * cosine)

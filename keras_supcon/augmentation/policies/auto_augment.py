"""AutoAugment: learned pairs of operations."""

from typing import Any

import keras

from keras_supcon.augmentation.layers.operations import draw_places
from keras_supcon.augmentation.operations.sequence import NONE, OPERATIONS
from keras_supcon.augmentation.policies.augmentation_policy import OperationsPolicy
from keras_supcon.augmentation.policies.auto_augment_policies import read_policy
from keras_supcon.deprecation import deprecate_positional
from keras_supcon.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_supcon")
class AutoAugment(OperationsPolicy):
    """Crops, flips and applies one of the policy's sub-policies, drawn for each image.

    A sub-policy is a short list of operations, each with its probability and magnitude. The layer
    of the same name says what an operation does. The output is float in [0, 1] whatever the range
    of the input. When not training, images are only resized to `image_size` and scaled to [0, 1].

    Args:
        image_size: Height and width of the output, in pixels.
        policy: `"imagenet"` (that of SupCon's published code, 25 pairs), `"cifar10"`, `"svhn"`
            (tables 7 and 8 of the AutoAugment paper), or a list of sub-policies, each a list of
            `(operation, probability, magnitude)` with both numbers in [0, 1]. The magnitude may be
            None for AutoContrast, Equalize and Invert. Magnitudes are a tenth of the levels in the
            published tables.
        crop_area: Smallest and largest fraction of the area that a crop keeps, in (0, 1].
        flip_probability: Probability of a left-right flip.
        **kwargs: `value_range` of the input, `(0, 255)` unless given; `seed`, `name`, `dtype`.

    Input shape: `(batch, height, width, channels)` with 1 or 3 channels. Output shape: `(batch,
    *image_size, channels)`.

    Raises:
        ValueError: For an unknown policy or operation, an argument out of its range, and for images
            of another rank or number of channels.

    Reference:
        Cubuk et al., AutoAugment, CVPR 2019; Khosla et al., NeurIPS 2020, section 4.4.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import AutoAugment
    >>> images = np.random.default_rng(0).integers(0, 256, (4, 48, 40, 3)).astype("uint8")
    >>> augment = AutoAugment(image_size=(32, 32), policy="cifar10")
    >>> tuple(augment(images, training=True).shape)
    (4, 32, 32, 3)
    >>> own_policy = [[("Rotate", 0.5, 0.3), ("Invert", 0.1, None)]]
    >>> augment = AutoAugment(image_size=(32, 32), policy=own_policy)
    """

    @deprecate_positional
    def __init__(
        self,
        image_size: tuple[int, int] = (224, 224),
        *,
        policy: str | list[list[tuple[str, float, float | None]]] = "imagenet",
        crop_area: tuple[float, float] = (0.08, 1.0),
        flip_probability: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            image_size, crop_area=crop_area, flip_probability=flip_probability, **kwargs
        )
        sub_policies = read_policy(policy)
        self.policy = policy if isinstance(policy, str) else tuple(map(tuple, sub_policies))
        used = {name for sub_policy in sub_policies for name, _, _ in sub_policy}
        self._names = tuple(name for name in OPERATIONS if name in used)
        # A row for each step of the policy, with a number for each sub-policy. Shorter sub-policies
        # end with steps that do nothing.
        length = max(map(len, sub_policies))
        padded = [
            (*sub_policy, *[(None, 0.0, 0.0)] * (length - len(sub_policy)))
            for sub_policy in sub_policies
        ]
        self._steps = [
            {
                "choice": [
                    NONE if name is None else self._names.index(name) for name, _, _ in step
                ],
                "probability": [probability for _, probability, _ in step],
                "magnitude": [magnitude or 0.0 for _, _, magnitude in step],
            }
            for step in zip(*padded, strict=True)
        ]

    def draw_views(
        self, batch_size: Tensor, views_shape: tuple[int, int, int]
    ) -> list[dict[str, Any]]:
        backend, numpy = self.backend, self.backend.numpy
        num_sub_policies = len(self._steps[0]["choice"])
        drawn = numpy.floor(self.uniform((batch_size,), 0.0, num_sub_policies))
        sub_policy = numpy.minimum(backend.cast(drawn, "int32"), num_sub_policies - 1)
        draws = []
        for step in self._steps:
            choice = numpy.take(
                backend.convert_to_tensor(step["choice"], dtype="int32"), sub_policy, axis=0
            )
            probability, magnitude = (
                numpy.take(self._constant(step[name]), sub_policy, axis=0)
                for name in ("probability", "magnitude")
            )
            draws.append(
                {
                    "choice": numpy.where(self.uniform((batch_size,)) < probability, choice, NONE),
                    "magnitude": magnitude,
                    **draw_places(self, self._names, batch_size),
                }
            )
        return draws

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "policy": self.policy}

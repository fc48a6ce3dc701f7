"""The augmentation of SimCLR, of SupCon on CIFAR, of MoCo v2 and of BYOL."""

from typing import Any

import keras

from keras_supcon.arguments import check_probability
from keras_supcon.augmentation.layers.solarize import RandomSolarize
from keras_supcon.augmentation.operations.color_maps import apply_color_map
from keras_supcon.augmentation.policies.sim_parts import SimParts
from keras_supcon.deprecation import deprecate_positional
from keras_supcon.typing import Tensor, TensorTree


@keras.saving.register_keras_serializable(package="keras_supcon")
class SimAugment(SimParts):
    """Crops, flips, jitters colors, removes color and optionally warps, blurs and solarizes.

    Crop and flip are one resampling, jitter and grayscale one matrix for each image. Colors are
    clipped once, after both. The output is float in [0, 1] whatever the range of the input. When
    not training, images are only resized to `image_size` and scaled to [0, 1].

    MoCo v2 has `SimAugment(size, strength=0.5, crop_area=(0.2, 1.0))`; `byol_views` makes the two
    views of BYOL.

    Args:
        image_size: Height and width of the output, in pixels.
        strength: Strength of the color jitter, 0 to 2: brightness, contrast and saturation 0.8
            `strength`, hue 0.2 `strength`, each image with probability 0.8. 1 for ImageNet, 0.5
            for CIFAR.
        saturation: Strength of the jitter of the saturation, non-negative. None for 0.8
            `strength`.
        crop_area: Smallest and largest fraction of the area that a crop keeps, in (0, 1].
        grayscale_probability: Probability that an image loses its color.
        blur_probability: Probability of a `RandomGaussianBlur`; it has no effect below 20 pixels.
            The paper has 0 for CIFAR.
        warp_probability: Probability of a `RandomWarp`.
        solarize_probability: Probability of a `RandomSolarize` with threshold 0.5, the last step.
        flip_probability: Probability of a left-right flip. Use 0 where left and right differ in
            meaning, as for digits.
        **kwargs: `value_range` of the input, `(0, 255)` unless given; `seed`, `name`, `dtype`.

    Input shape: `(batch, height, width, channels)` with 1 or 3 channels. Output shape: `(batch,
    *image_size, channels)`.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Chen et al., SimCLR, ICML 2020, appendix A; Khosla et al., NeurIPS 2020, section 4.4.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import SimAugment
    >>> augment = SimAugment(image_size=(32, 32), strength=0.5, seed=1)
    >>> images = np.random.default_rng(0).integers(0, 256, (4, 48, 40, 3)).astype("uint8")
    >>> views = np.asarray(augment(images, training=True))
    >>> views.shape, bool(views.min() >= 0 and views.max() <= 1)
    ((4, 32, 32, 3), True)
    """

    @deprecate_positional
    def __init__(
        self,
        image_size: tuple[int, int] = (224, 224),
        *,
        strength: float = 1.0,
        crop_area: tuple[float, float] = (0.08, 1.0),
        grayscale_probability: float = 0.2,
        blur_probability: float = 0.5,
        warp_probability: float = 0.0,
        flip_probability: float = 0.5,
        saturation: float | None = None,
        solarize_probability: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            image_size, crop_area=crop_area, flip_probability=flip_probability, **kwargs
        )
        self.make_sim_parts(
            strength=strength,
            grayscale_probability=grayscale_probability,
            blur_probability=blur_probability,
            warp_probability=warp_probability,
            saturation=saturation,
        )
        self.saturation = saturation
        self.solarize_probability = check_probability("solarize_probability", solarize_probability)
        self._last_parts = ["warp", "blur"]
        if solarize_probability > 0:  # files of before have no seed of it
            self.solarize = self.part(
                RandomSolarize, probability=solarize_probability, value_range=(0, 1)
            )
            self._last_parts.append("solarize")

    def draw_views(
        self, batch_size: Tensor, views_shape: tuple[int, int, int]
    ) -> dict[str, TensorTree]:
        parts = {
            "jitter": self.jitter,
            "grayscale": self.grayscale,
            **self.used_parts(*self._last_parts),
        }
        return {name: part.draw(batch_size, views_shape) for name, part in parts.items()}

    def transform_views(self, images: Tensor, draws: dict[str, TensorTree]) -> Tensor:
        low, high = self.value_range
        matrix, offset = self.jitter.color_map(images, draws["jitter"])
        if images.shape[-1] == 3:
            matrix = self.backend.numpy.matmul(matrix, self.grayscale.matrix(draws["grayscale"]))
        scale = 1.0 / (high - low)
        images = apply_color_map(self.backend, images, matrix * scale, offset * scale, high=1.0)
        for name, part in self.used_parts(*self._last_parts).items():
            images = part.transform(images, draws[name])
        return images

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "saturation": self.saturation,
            "solarize_probability": self.solarize_probability,
        }

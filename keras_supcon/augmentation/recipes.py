"""Named sequences of augmentations."""

from typing import Any

import keras

from keras_supcon.augmentation.base import ImageAugmentation
from keras_supcon.augmentation.color import RandomColorJitter, RandomGrayscale
from keras_supcon.augmentation.crop import RandomResizedCrop


@keras.saving.register_keras_serializable(package="keras_supcon")
class SimAugment(ImageAugmentation):
    """Random-resized crop, left-right flip, colour jitter and random grey: the recipe of SimCLR without its blur.

    The output is float in [0, 1] whatever the range of the input. When not training the images are only resized
    to `image_size` and scaled to [0, 1].

    Args:
        image_size: Height and width of the output, in pixels.
        strength: Strength of the colour jitter, 0 to 2: brightness, contrast and saturation 0.8 `strength`, hue 0.2
            `strength`. 1 for ImageNet, 0.5 for CIFAR.
        crop_area: Smallest and largest share of the area that a crop keeps, in (0, 1].
        flip_probability: Probability of a left-right flip. Use 0 where left and right differ in meaning, as for digits.
        grayscale_probability: Probability that an image loses its colour.
        **kwargs: `value_range` of the input, `(0, 255)` unless given; `seed`, `name`, `dtype`.

    Input shape: `(batch, height, width, channels)` with 1 or 3 channels. Output shape: `(batch, *image_size, channels)`.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or number of channels.

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

    def __init__(
        self,
        image_size: tuple[int, int] = (224, 224),
        strength: float = 1.0,
        crop_area: tuple[float, float] = (0.08, 1.0),
        flip_probability: float = 0.5,
        grayscale_probability: float = 0.2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= strength <= 2:  # beyond, the hue would turn by more than half a circle
            raise ValueError(f"`strength` should be between 0 and 2. Received: strength={strength!r}")
        self.strength = float(strength)
        spread = 0.8 * self.strength
        # Each layer gets a seed of its own: with one seed the draws of crop and colour would be the same numbers.
        seeds = [None if self.seed is None else self.seed + part for part in range(3)]
        unit = {"value_range": (0, 1), "dtype": self.dtype_policy}
        self.crop = RandomResizedCrop(image_size, crop_area, flip_probability=flip_probability, seed=seeds[0], **unit)
        self.jitter = RandomColorJitter(spread, spread, spread, 0.2 * self.strength, seed=seeds[1], **unit)
        self.grayscale = RandomGrayscale(grayscale_probability, seed=seeds[2], **unit)

    def build(self, input_shape: Any) -> None:
        for part in (self.crop, self.jitter, self.grayscale):
            part.build(input_shape)
        self.built = True

    def draw(self, batch_size: Any, image_shape: tuple[int, int, int]) -> Any:
        return None  # each part draws its own numbers

    def transform(self, images: Any, draws: Any) -> Any:
        images = self.crop(self._to_unit_range(images), training=True)
        return self.grayscale(self.jitter(images, training=True), training=True)

    def transform_for_inference(self, images: Any) -> Any:
        return self.crop(self._to_unit_range(images), training=False)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.crop.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "image_size": self.crop.image_size,
            "strength": self.strength,
            "crop_area": self.crop.crop_area,
            "flip_probability": self.crop.flip_probability,
            "grayscale_probability": self.grayscale.probability,
        }

    def _to_unit_range(self, images: Any) -> Any:
        low, high = self.value_range
        return (images - low) / (high - low)

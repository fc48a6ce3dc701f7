"""The augmentation of SimCLR, built of keras-cv layers."""

from typing import Any

import keras

from keras_supcon.arguments import check_between, check_probability
from keras_supcon.augmentation.keras_cv.keras_cv_policy import VALUE_RANGE, KerasCVPolicy
from keras_supcon.deprecation import deprecate_positional


@keras.saving.register_keras_serializable(package="keras_supcon")
class KerasCVSimAugment(KerasCVPolicy):
    """Does what `SimAugment` does, without the warp, by layers of keras-cv.

    With keras-cv 0.9 the outputs differ from those of `SimAugment`:

    - Crops have a uniform, not log-uniform, aspect ratio, relative to that of the image. A
      rectangle that does not fit is cut off at the border instead of drawn again. Resizing has no
      filter, so shrinking aliases.
    - Brightness is added to the pixels, not multiplied with them. Contrast keeps the mean of each
      channel, not the mean gray. Saturation and hue change in HSV; the saturation is multiplied by
      `f / (1 - f)` with `f` uniform between the values that correspond to 1 - 0.8 `strength` and
      1 + 0.8 `strength`. The images are clipped after brightness, after contrast and after hue.
    - The blur takes black pixels beyond the border, which darkens the border.

    Args:
        image_size: As in `SimAugment`, and so are the probabilities, `crop_area` and `**kwargs`.
        strength: Strength of the color jitter, 0 to 1.25, the most that keras-cv's brightness and
            contrast allow.

    Input shape: `(batch, height, width, 3)`. Output shape: `(batch, *image_size, 3)`.

    Raises:
        ImportError: If keras-cv or TensorFlow is not installed.
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Chen et al., SimCLR, ICML 2020, appendix A.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation.keras_cv import KerasCVSimAugment
    >>> augment = KerasCVSimAugment(image_size=(32, 32), strength=0.5, seed=1)
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
        flip_probability: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            image_size, crop_area=crop_area, flip_probability=flip_probability, **kwargs
        )
        self.strength = check_between("strength", strength, 0, 1.25)
        self.grayscale_probability = check_probability(
            "grayscale_probability", grayscale_probability
        )
        self.blur_probability = check_probability("blur_probability", blur_probability)
        self.pipeline = self.make_pipeline()

    def keras_cv_layers(self, layers: Any) -> list[keras.layers.Layer]:
        spread = 0.8 * self.strength
        jitter = layers.RandomColorJitter(
            VALUE_RANGE,
            brightness_factor=spread,
            contrast_factor=spread,
            saturation_factor=tuple(
                ratio / (1 + ratio) for ratio in (max(0.0, 1 - spread), 1 + spread)
            ),
            hue_factor=0.4 * self.strength,  # in half turns, to either side
            seed=self.part_seed(2),
        )
        gray = layers.Grayscale(output_channels=3)
        blur = layers.RandomGaussianBlur(
            2 * (min(self.crop.image_size) // 20) + 1, factor=(0.1, 2.0)
        )
        probabilities = (0.8, self.grayscale_probability, self.blur_probability)
        # A pipeline of one layer is what RandomApply should be, which fails on single images and on
        # loading.
        return [
            layers.RandomAugmentationPipeline(
                [layer], 1, rate=probability, seed=self.part_seed(3 + i)
            )
            for i, (layer, probability) in enumerate(
                zip((jitter, gray, blur), probabilities, strict=True)
            )
        ]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "strength": self.strength,
            "grayscale_probability": self.grayscale_probability,
            "blur_probability": self.blur_probability,
        }

"""RandAugment of keras-cv."""

from typing import Any

import keras

from keras_supcon.arguments import check_probability, check_whole_number
from keras_supcon.augmentation.keras_cv.keras_cv_policy import VALUE_RANGE, KerasCVPolicy
from keras_supcon.deprecation import deprecate_positional


@keras.saving.register_keras_serializable(package="keras_supcon")
class KerasCVRandAugment(KerasCVPolicy):
    """Random-resized crop and left-right flip, then keras-cv's RandAugment.

    The output is float in [0, 1] whatever the range of the input. When not training the images are
    only resized to `image_size` and scaled to [0, 1]. The crop is that of `KerasCVSimAugment`.

    keras-cv's policy has ten operations: auto-contrast, equalize, solarize, colour, contrast,
    brightness, and shear and translation along either axis; rotation, posterize and sharpness of
    the paper are missing. For the paper's identity each operation is left out in 1 of 11 cases. The
    magnitude of solarize, colour and shear varies normally around `magnitude` with a standard
    deviation of 0.15; contrast, brightness and translation are uniform up to it, either way. Shear
    and translation reach further than the paper's, by the whole image at 1, and fill in reflected
    pixels.

    Args:
        image_size: Height and width of the output, in pixels.
        num_ops: Operations on each image, one after another, at least 1.
        magnitude: Strength of the operations, 0 to 1.
        crop_area: Smallest and largest share of the area that a crop keeps, in (0, 1].
        flip_probability: Probability of a left-right flip, 0 to 1.
        **kwargs: `value_range` of the input, `(0, 255)` unless given; `seed`, `name`, `dtype`.

    Input shape: `(batch, height, width, 3)`. Output shape: `(batch, *image_size, 3)`.

    Raises:
        ImportError: If keras-cv or TensorFlow is not installed.
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Cubuk et al., RandAugment, CVPR Workshops 2020.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation.keras_cv import KerasCVRandAugment
    >>> augment = KerasCVRandAugment(image_size=(32, 32), num_ops=1, seed=1)
    >>> images = np.random.default_rng(0).integers(0, 256, (4, 48, 40, 3)).astype("uint8")
    >>> tuple(augment({"images": images, "labels": np.arange(4)}, training=True)["images"].shape)
    (4, 32, 32, 3)
    """

    @deprecate_positional
    def __init__(
        self,
        image_size: tuple[int, int] = (224, 224),
        *,
        num_ops: int = 2,
        magnitude: float = 0.5,
        crop_area: tuple[float, float] = (0.08, 1.0),
        flip_probability: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            image_size, crop_area=crop_area, flip_probability=flip_probability, **kwargs
        )
        self.num_ops = check_whole_number("num_ops", num_ops, 1)
        self.magnitude = check_probability("magnitude", magnitude)
        self.pipeline = self.make_pipeline()

    def keras_cv_layers(self, layers: Any) -> list[keras.layers.Layer]:
        return [
            layers.RandAugment(VALUE_RANGE, self.num_ops, self.magnitude, seed=self.part_seed(2))
        ]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_ops": self.num_ops, "magnitude": self.magnitude}

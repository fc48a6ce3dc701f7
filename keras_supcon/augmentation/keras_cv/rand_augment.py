"""RandAugment, built of keras-cv layers."""

from typing import Any

import keras

from keras_supcon.arguments import check_probability, check_whole_number
from keras_supcon.augmentation.keras_cv.keras_cv_policy import VALUE_RANGE, KerasCVPolicy
from keras_supcon.deprecation import deprecate_positional


@keras.saving.register_keras_serializable(package="keras_supcon")
class KerasCVRandAugment(KerasCVPolicy):
    """Does what `RandAugment` does, by layers of keras-cv.

    With keras-cv 0.9 the outputs differ from those of `RandAugment`:

    - Crops are those of `KerasCVSimAugment`.
    - There are ten operations: auto-contrast, equalize, solarize, color, contrast, brightness, and
      shear and translation along either axis. Rotation, posterize and sharpness of the paper are
      missing. For the paper's identity each operation is skipped in 1 of 11 cases.
    - The magnitude of solarize, color and shear varies normally around `magnitude` with a standard
      deviation of 0.15. Contrast, brightness and translation are uniform up to it, to either side.
    - Shear and translation reach further than the paper's, by the whole image at 1, and fill in
      reflected pixels.

    Args:
        image_size: As in `RandAugment`, and so are the other arguments.

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

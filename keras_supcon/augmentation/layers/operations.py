"""The sixteen operations of AutoAugment and RandAugment as layers.

The arguments stand with the constructors of `Operation` and `OperationWithMagnitude`.
"""

from typing import Any

import keras

from keras_supcon.arguments import check_probability
from keras_supcon.augmentation.layers.image_augmentation import ImageAugmentation
from keras_supcon.augmentation.operations import geometric, tone
from keras_supcon.augmentation.operations.not_finite import has_floats, nan_unless_finite
from keras_supcon.augmentation.operations.sequence import NONE, apply_operations
from keras_supcon.deprecation import deprecate_positional
from keras_supcon.typing import Tensor


class Operation(ImageAugmentation):
    """Base of the operations: changes an image with a probability, by the function of its name.

    Images are taken as levels 0 to 255 of `value_range` and returned in `value_range`. Levels are
    not rounded, except by the operations on gray levels (`AutoContrast` to `SolarizeAdd`), which
    round to whole levels first.

    Input and output shape: `(batch, height, width, channels)` with 1 or 3 channels.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Cubuk et al., AutoAugment, CVPR 2019, table 6.
    """

    magnitude = 0.0

    def __init__(self, probability: float = 1.0, **kwargs: Any) -> None:
        """Makes the layer.

        Args:
            probability: Probability that an image is changed, 0 to 1.
            **kwargs: `value_range`, `(0, 255)` unless given; `seed`, `name`, `dtype`.
        """
        super().__init__(**kwargs)
        self.probability = check_probability("probability", probability)

    @property
    def makes_nan(self) -> bool:
        # Tables have no place for NaN anyway.
        return type(self).__name__ in tone.TABLES

    def draw(self, batch_size: Tensor, image_shape: tuple[int, int, int]) -> dict[str, Tensor]:
        numpy = self.backend.numpy
        chosen = self.uniform((batch_size,)) < self.probability
        return {
            "choice": numpy.where(chosen, 0, NONE),
            "magnitude": self.magnitude * numpy.ones((batch_size,), "float32"),
            **draw_places(self, (type(self).__name__,), batch_size),
        }

    def transform(self, images: Tensor, draws: dict[str, Tensor]) -> Tensor:
        low, high = self.value_range
        scale = 255.0 / (high - low)
        levels = self.backend.cast(images, "float32")
        # Each of these steps would read and write all pixels.
        levels = levels - low if low else levels
        levels = levels * scale if scale != 1 else levels
        changed = apply_operations(self.backend, (type(self).__name__,), levels, [draws])
        keeps_nan = self.makes_nan and has_floats(images)
        levels = changed + nan_unless_finite(levels) if keeps_nan else changed
        levels = levels / scale if scale != 1 else levels
        return levels + low if low else levels

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "probability": self.probability}


class OperationWithMagnitude(Operation):
    """Base of the operations that have a magnitude."""

    @deprecate_positional
    def __init__(self, magnitude: float = 0.5, *, probability: float = 1.0, **kwargs: Any) -> None:
        """Makes the layer.

        Args:
            magnitude: 0 to 1, a tenth of the level in the papers' tables. The class says what it
                means.
            probability: Probability that an image is changed, 0 to 1.
            **kwargs: `value_range`, `(0, 255)` unless given; `seed`, `name`, `dtype`.
        """
        super().__init__(probability=probability, **kwargs)
        self.magnitude = check_probability("magnitude", magnitude)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "magnitude": self.magnitude}


def draw_places(
    layer: ImageAugmentation, names: tuple[str, ...], batch_size: Tensor
) -> dict[str, Tensor]:
    """Draws what operations need beside a choice and a magnitude, for those that are named.

    Returns:
        `sign`, 1 or -1 for the geometric operations, `(batch,)`, and `center`, row and column as
        fractions of the size for `Cutout`, `(batch, 2)`.
    """
    numpy = layer.backend.numpy
    draws = {}
    if any(name in geometric.MAPS for name in names):
        draws["sign"] = numpy.where(layer.uniform((batch_size,)) < 0.5, -1.0, 1.0)
    if "Cutout" in names:
        draws["center"] = layer.uniform((batch_size, 2))
    return draws


@keras.saving.register_keras_serializable(package="keras_supcon")
class ShearX(OperationWithMagnitude):
    """Shears images horizontally: rows move in proportion to their distance from the top.

    A row moves by `0.3 * magnitude` of its distance, to a random side. Sampling is bilinear;
    uncovered pixels become gray (128 of 255).

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import ShearX
    >>> image = np.zeros((21, 21, 1), "uint8")
    >>> image[:, 10] = 255
    >>> leaning = np.asarray(ShearX(magnitude=1.0, seed=0)(image, training=True))[..., 0]
    >>> abs(int(leaning[20, 3:18].argmax()) + 3 - 10)
    6
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class ShearY(OperationWithMagnitude):
    """Shears images vertically: columns move in proportion to their distance from the left.

    A column moves by `0.3 * magnitude` of its distance, up or down at random. Sampling is
    bilinear; uncovered pixels become gray (128 of 255).

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import ShearY
    >>> image = np.zeros((21, 21, 1), "uint8")
    >>> image[10] = 255
    >>> leaning = np.asarray(ShearY(magnitude=1.0, seed=0)(image, training=True))[..., 0]
    >>> abs(int(leaning[3:18, 20].argmax()) + 3 - 10)
    6
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class TranslateX(OperationWithMagnitude):
    """Moves images horizontally by `magnitude * 150/331` of their width.

    The distance is rounded to whole pixels, to a random side. The fraction is the paper's 150 of
    331 pixels; the authors' code moves by pixels, whatever the size of the image. Uncovered pixels
    become gray (128 of 255).

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import TranslateX
    >>> image = np.full((10, 100, 1), 7, "uint8")
    >>> moved = np.asarray(TranslateX(magnitude=1.0)(image, training=True))
    >>> int((moved == 128).sum(axis=1).max())
    45
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class TranslateY(OperationWithMagnitude):
    """Moves images vertically by `magnitude * 150/331` of their height.

    The distance is rounded to whole pixels, up or down at random. The fraction is the paper's 150
    of 331 pixels; the authors' code moves by pixels, whatever the size of the image. Uncovered
    pixels become gray (128 of 255).

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import TranslateY
    >>> image = np.full((100, 10, 1), 7, "uint8")
    >>> moved = np.asarray(TranslateY(magnitude=1.0)(image, training=True))
    >>> int((moved == 128).sum(axis=0).max())
    45
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class Rotate(OperationWithMagnitude):
    """Rotates images about their center by `30 * magnitude` degrees.

    The direction is random. Sampling is bilinear; uncovered pixels become gray (128 of 255).

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import Rotate
    >>> image = np.full((9, 9, 1), 7, "uint8")
    >>> turned = np.asarray(Rotate(magnitude=1.0)(image, training=True))
    >>> turned[0, 0].tolist(), turned[4, 4].tolist()
    ([128.0], [7.0])
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class AutoContrast(Operation):
    """Stretches each channel so that its darkest pixel becomes 0 and its brightest 255.

    A channel of one level does not change.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import AutoContrast
    >>> image = np.array([[[100], [110], [120]]], "uint8")
    >>> np.asarray(AutoContrast()(image, training=True)).ravel().tolist()
    [0.0, 127.5, 255.0]
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class Equalize(Operation):
    """Equalizes the histogram of each channel, so that all levels are about equally frequent.

    The table of levels is that of Pillow's `ImageOps.equalize`, for each channel.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import Equalize
    >>> image = np.arange(100, 164).repeat(16).reshape(32, 32, 1).astype("uint8")
    >>> levels = np.asarray(Equalize()(image, training=True))
    >>> int(levels.min()), int(levels.max())
    (0, 255)
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class Invert(Operation):
    """Inverts images: every level becomes 255 minus itself.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import Invert
    >>> image = np.array([[[0], [255], [100]]], "uint8")
    >>> np.asarray(Invert()(image, training=True)).ravel().tolist()
    [255.0, 0.0, 155.0]
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class Posterize(OperationWithMagnitude):
    """Keeps the highest `floor(4 * magnitude)` bits of every level, at least one.

    As published, a higher magnitude is a weaker change.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import Posterize
    >>> levels = np.array([[[63], [64], [255]]], "uint8")
    >>> two_bits = Posterize(magnitude=0.5)(levels, training=True)
    >>> np.asarray(two_bits).ravel().tolist()
    [0.0, 64.0, 192.0]
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class Solarize(OperationWithMagnitude):
    """Inverts the levels from `floor(256 * magnitude)` up.

    As published, a higher magnitude is a weaker change, and 1 is none. `RandomSolarize` has a
    threshold instead.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import Solarize
    >>> levels = np.array([[[127], [128], [255]]], "uint8")
    >>> np.asarray(Solarize(magnitude=0.5)(levels, training=True)).ravel().tolist()
    [127.0, 127.0, 0.0]
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class SolarizeAdd(OperationWithMagnitude):
    """Adds `floor(110 * magnitude)` to the levels below 128.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import SolarizeAdd
    >>> levels = np.array([[[10], [127], [128]]], "uint8")
    >>> np.asarray(SolarizeAdd(magnitude=1.0)(levels, training=True)).ravel().tolist()
    [120.0, 237.0, 128.0]
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class Color(OperationWithMagnitude):
    """Blends images with their gray: `gray + f * (image - gray)`.

    The factor is `f = 0.1 + 1.8 * magnitude`. Magnitude 0.5 changes nothing, less removes color,
    more adds it.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import Color
    >>> red = np.array([[[255, 0, 0]]], "uint8")
    >>> np.asarray(Color(magnitude=0.5)(red, training=True)).ravel().round(3).tolist()
    [255.0, 0.0, 0.0]
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class Contrast(OperationWithMagnitude):
    """Blends images with their mean gray: `mean + f * (image - mean)`.

    The factor is `f = 0.1 + 1.8 * magnitude`. Magnitude 0.5 changes nothing. The mean is that of
    the luma of the image; the authors' code divides its histogram by 256 and blends with a level
    that depends on the size of the image.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import Contrast
    >>> image = np.array([[[0], [200]]], "uint8")
    >>> np.asarray(Contrast(magnitude=0.0)(image, training=True)).ravel().round(3).tolist()
    [90.0, 110.0]
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class Brightness(OperationWithMagnitude):
    """Blends images with black: `f * image`.

    The factor is `f = 0.1 + 1.8 * magnitude`. Magnitude 0.5 changes nothing.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import Brightness
    >>> image = np.array([[[100], [200]]], "uint8")
    >>> np.asarray(Brightness(magnitude=0.0)(image, training=True)).ravel().round(3).tolist()
    [10.0, 20.0]
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class Sharpness(OperationWithMagnitude):
    """Blends images with a smoothed copy: `smooth + f * (image - smooth)`.

    The factor is `f = 0.1 + 1.8 * magnitude`. Magnitude 0.5 changes nothing, less blurs, more
    sharpens. The smoothing kernel is `[[1, 1, 1], [1, 5, 1], [1, 1, 1]] / 13`; pixels at the
    border do not change.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import Sharpness
    >>> image = np.zeros((3, 3, 1), "uint8")
    >>> image[1, 1] = 130
    >>> blurred = np.asarray(Sharpness(magnitude=0.0)(image, training=True))
    >>> blurred[1, 1].round(3).tolist()  # 0.9 * 50 + 0.1 * 130
    [58.0]
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class Cutout(OperationWithMagnitude):
    """Covers a square around a random place with gray (128 of 255).

    The side is `2 * floor(magnitude * 40/224 * s)` pixels for a shorter side `s` of the image. The
    part beyond the border is cut off.

    Reference:
        DeVries and Taylor, Improved Regularization with Cutout, 2017; Cubuk et al., AutoAugment,
        CVPR 2019, table 6.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import Cutout
    >>> black = np.zeros((224, 224, 1), "uint8")
    >>> covered = np.asarray(Cutout(magnitude=1.0, seed=0)(black, training=True)) == 128
    >>> bool(0 < covered.sum() <= 80 * 80)
    True
    """

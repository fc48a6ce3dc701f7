"""The sixteen operations of AutoAugment and RandAugment as layers."""

from typing import Any

import keras

from keras_supcon.arguments import check_probability
from keras_supcon.augmentation.layers.image_augmentation import ImageAugmentation
from keras_supcon.augmentation.operations import geometric, tone
from keras_supcon.augmentation.operations.not_finite import has_floats, nan_unless_finite
from keras_supcon.augmentation.operations.sequence import NONE, apply_operations
from keras_supcon.deprecation import deprecate_positional


class Operation(ImageAugmentation):
    """An operation that is named like its class.

    Images are taken as levels 0 to 255 of `value_range` and given back in `value_range`; they are
    not rounded, except by the operations that work on grey levels (`AutoContrast` to
    `SolarizeAdd`), which round to whole levels first.

    Args:
        probability: Probability that an image is changed.
        **kwargs: `value_range`, `seed`, `name`, `dtype`.
    """

    magnitude = 0.0

    @property
    def makes_nan(self) -> bool:
        return (
            type(self).__name__ in tone.TABLES
        )  # where it would have to be kept from the tables anyway

    def __init__(self, probability: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.probability = check_probability("probability", probability)

    def draw(self, batch_size: Any, image_shape: tuple[int, int, int]) -> dict[str, Any]:
        numpy = self.backend.numpy
        chosen = self.uniform((batch_size,)) < self.probability
        return {
            "choice": numpy.where(chosen, 0, NONE),
            "magnitude": self.magnitude * numpy.ones((batch_size,), "float32"),
            **draw_places(self, (type(self).__name__,), batch_size),
        }

    def transform(self, images: Any, draws: dict[str, Any]) -> Any:
        low, high = self.value_range
        scale = 255.0 / (high - low)
        levels = self.backend.cast(images, "float32")
        # Each of these steps would read and write all pixels.
        levels = levels - low if low else levels
        levels = levels * scale if scale != 1 else levels
        changed = apply_operations(self.backend, (type(self).__name__,), levels, [draws])
        levels = (
            changed + nan_unless_finite(levels)
            if self.makes_nan and has_floats(images)
            else changed
        )
        levels = levels / scale if scale != 1 else levels
        return levels + low if low else levels

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "probability": self.probability}


class OperationWithMagnitude(Operation):
    """An operation of which there is more and less.

    Args:
        magnitude: 0 to 1, a tenth of the level in the papers' tables.
        probability: Probability that an image is changed.
        **kwargs: `value_range`, `seed`, `name`, `dtype`.
    """

    @deprecate_positional
    def __init__(self, magnitude: float = 0.5, *, probability: float = 1.0, **kwargs: Any) -> None:
        super().__init__(probability=probability, **kwargs)
        self.magnitude = check_probability("magnitude", magnitude)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "magnitude": self.magnitude}


def draw_places(
    layer: ImageAugmentation, names: tuple[str, ...], batch_size: Any
) -> dict[str, Any]:
    """What geometric operations and cutout need beside a magnitude: `sign` and `center`, of those
    that `names` need.
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
    """Moves each row sideways by a share of its distance from the top: `0.3 magnitude`, to either
    side.

    Bilinear; what the image does not reach is grey (128 of 255).

    Args:
        magnitude: 0 to 1.
        probability: Probability that an image is changed, 0 to 1.
        **kwargs: `value_range`, `(0, 255)` unless given; `seed`, `name`, `dtype`.

    Input and output shape: `(batch, height, width, channels)` with 1 or 3 channels.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Cubuk et al., AutoAugment, CVPR 2019, table 6.

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
    """Moves each column up or down by a share of its distance from the left: `0.3 magnitude`.

    Bilinear; what the image does not reach is grey (128 of 255).

    Args:
        magnitude: 0 to 1.
        probability: Probability that an image is changed, 0 to 1.
        **kwargs: `value_range`, `(0, 255)` unless given; `seed`, `name`, `dtype`.

    Input and output shape: `(batch, height, width, channels)` with 1 or 3 channels.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Cubuk et al., AutoAugment, CVPR 2019, table 6.

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
    """Moves the image sideways by `magnitude 150/331` of its width, in whole pixels, to either
    side.

    The share is the paper's 150 of 331 pixels: the authors' code moves by pixels, whatever the size
    of the image. What the image does not reach is grey (128 of 255).

    Args:
        magnitude: 0 to 1.
        probability: Probability that an image is changed, 0 to 1.
        **kwargs: `value_range`, `(0, 255)` unless given; `seed`, `name`, `dtype`.

    Input and output shape: `(batch, height, width, channels)` with 1 or 3 channels.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Cubuk et al., AutoAugment, CVPR 2019, table 6.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import TranslateX
    >>> image = np.full((10, 100, 1), 7, "uint8")
    >>> int((np.asarray(TranslateX(magnitude=1.0)(image, training=True)) == 128).sum(axis=1).max())
    45
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class TranslateY(OperationWithMagnitude):
    """Moves the image up or down by `magnitude 150/331` of its height, in whole pixels.

    The share is the paper's 150 of 331 pixels: the authors' code moves by pixels, whatever the size
    of the image. What the image does not reach is grey (128 of 255).

    Args:
        magnitude: 0 to 1.
        probability: Probability that an image is changed, 0 to 1.
        **kwargs: `value_range`, `(0, 255)` unless given; `seed`, `name`, `dtype`.

    Input and output shape: `(batch, height, width, channels)` with 1 or 3 channels.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Cubuk et al., AutoAugment, CVPR 2019, table 6.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import TranslateY
    >>> image = np.full((100, 10, 1), 7, "uint8")
    >>> int((np.asarray(TranslateY(magnitude=1.0)(image, training=True)) == 128).sum(axis=0).max())
    45
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class Rotate(OperationWithMagnitude):
    """Turns the image about its centre by `30 magnitude` degrees, to either side.

    Bilinear; what the image does not reach is grey (128 of 255).

    Args:
        magnitude: 0 to 1.
        probability: Probability that an image is changed, 0 to 1.
        **kwargs: `value_range`, `(0, 255)` unless given; `seed`, `name`, `dtype`.

    Input and output shape: `(batch, height, width, channels)` with 1 or 3 channels.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Cubuk et al., AutoAugment, CVPR 2019, table 6.

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

    Args:
        probability: Probability that an image is changed, 0 to 1.
        **kwargs: `value_range`, `(0, 255)` unless given; `seed`, `name`, `dtype`.

    Input and output shape: `(batch, height, width, channels)` with 1 or 3 channels.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Cubuk et al., AutoAugment, CVPR 2019, table 6.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import AutoContrast
    >>> image = np.array([[[100], [110], [120]]], "uint8")
    >>> np.asarray(AutoContrast()(image, training=True)).ravel().tolist()
    [0.0, 127.5, 255.0]
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class Equalize(Operation):
    """Spreads the levels of each channel so that all are about equally frequent.

    The table of levels is that of Pillow's `ImageOps.equalize`, for each channel.

    Args:
        probability: Probability that an image is changed, 0 to 1.
        **kwargs: `value_range`, `(0, 255)` unless given; `seed`, `name`, `dtype`.

    Input and output shape: `(batch, height, width, channels)` with 1 or 3 channels.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Cubuk et al., AutoAugment, CVPR 2019, table 6.

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
    """Turns every level into 255 minus itself.

    Args:
        probability: Probability that an image is changed, 0 to 1.
        **kwargs: `value_range`, `(0, 255)` unless given; `seed`, `name`, `dtype`.

    Input and output shape: `(batch, height, width, channels)` with 1 or 3 channels.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Cubuk et al., AutoAugment, CVPR 2019, table 6.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import Invert
    >>> np.asarray(Invert()(np.array([[[0], [255], [100]]], "uint8"), training=True)).ravel().tolist()
    [255.0, 0.0, 155.0]
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class Posterize(OperationWithMagnitude):
    """Keeps the highest `floor(4 magnitude)` bits of every level, at least one.

    As published, a higher magnitude is a weaker change.

    Args:
        magnitude: 0 to 1.
        probability: Probability that an image is changed, 0 to 1.
        **kwargs: `value_range`, `(0, 255)` unless given; `seed`, `name`, `dtype`.

    Input and output shape: `(batch, height, width, channels)` with 1 or 3 channels.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Cubuk et al., AutoAugment, CVPR 2019, table 6.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import Posterize
    >>> levels = np.array([[[63], [64], [255]]], "uint8")
    >>> np.asarray(Posterize(magnitude=0.5)(levels, training=True)).ravel().tolist()  # two bits
    [0.0, 64.0, 192.0]
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class Solarize(OperationWithMagnitude):
    """Inverts the levels from `floor(256 magnitude)` on.

    As published, a higher magnitude is a weaker change, and 1 is none. `RandomSolarize` has a
    threshold instead.

    Args:
        magnitude: 0 to 1.
        probability: Probability that an image is changed, 0 to 1.
        **kwargs: `value_range`, `(0, 255)` unless given; `seed`, `name`, `dtype`.

    Input and output shape: `(batch, height, width, channels)` with 1 or 3 channels.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Cubuk et al., AutoAugment, CVPR 2019, table 6.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import Solarize
    >>> np.asarray(Solarize(magnitude=0.5)(np.array([[[127], [128], [255]]], "uint8"), training=True)).ravel().tolist()
    [127.0, 127.0, 0.0]
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class SolarizeAdd(OperationWithMagnitude):
    """Adds `floor(110 magnitude)` to the levels below 128.

    Args:
        magnitude: 0 to 1.
        probability: Probability that an image is changed, 0 to 1.
        **kwargs: `value_range`, `(0, 255)` unless given; `seed`, `name`, `dtype`.

    Input and output shape: `(batch, height, width, channels)` with 1 or 3 channels.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Cubuk et al., AutoAugment, CVPR 2019, table 6.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import SolarizeAdd
    >>> np.asarray(SolarizeAdd(magnitude=1.0)(np.array([[[10], [127], [128]]], "uint8"), training=True)).ravel().tolist()
    [120.0, 237.0, 128.0]
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class Color(OperationWithMagnitude):
    """Blends the image with its grey: `grey + f (image - grey)`, `f = 0.1 + 1.8 magnitude`.

    Magnitude 0.5 changes nothing, less takes colour away, more adds it.

    Args:
        magnitude: 0 to 1.
        probability: Probability that an image is changed, 0 to 1.
        **kwargs: `value_range`, `(0, 255)` unless given; `seed`, `name`, `dtype`.

    Input and output shape: `(batch, height, width, channels)` with 1 or 3 channels.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Cubuk et al., AutoAugment, CVPR 2019, table 6.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import Color
    >>> red = np.array([[[255, 0, 0]]], "uint8")
    >>> np.asarray(Color(magnitude=0.5)(red, training=True)).ravel().round(3).tolist()
    [255.0, 0.0, 0.0]
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class Contrast(OperationWithMagnitude):
    """Blends the image with its mean grey: `mean + f (image - mean)`, `f = 0.1 + 1.8 magnitude`.

    Magnitude 0.5 changes nothing. The mean is that of the luma of the image; the authors' code
    divides its histogram by 256 and blends with a level that depends on the size of the image.

    Args:
        magnitude: 0 to 1.
        probability: Probability that an image is changed, 0 to 1.
        **kwargs: `value_range`, `(0, 255)` unless given; `seed`, `name`, `dtype`.

    Input and output shape: `(batch, height, width, channels)` with 1 or 3 channels.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Cubuk et al., AutoAugment, CVPR 2019, table 6.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import Contrast
    >>> np.asarray(Contrast(magnitude=0.0)(np.array([[[0], [200]]], "uint8"), training=True)).ravel().round(3).tolist()
    [90.0, 110.0]
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class Brightness(OperationWithMagnitude):
    """Blends the image with black: `f image`, `f = 0.1 + 1.8 magnitude`.

    Magnitude 0.5 changes nothing.

    Args:
        magnitude: 0 to 1.
        probability: Probability that an image is changed, 0 to 1.
        **kwargs: `value_range`, `(0, 255)` unless given; `seed`, `name`, `dtype`.

    Input and output shape: `(batch, height, width, channels)` with 1 or 3 channels.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Cubuk et al., AutoAugment, CVPR 2019, table 6.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import Brightness
    >>> np.asarray(Brightness(magnitude=0.0)(np.array([[[100], [200]]], "uint8"), training=True)).ravel().round(3).tolist()
    [10.0, 20.0]
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class Sharpness(OperationWithMagnitude):
    """Blends the image with a smoothed one: `smooth + f (image - smooth)`, `f = 0.1 + 1.8
    magnitude`.

    Magnitude 0.5 changes nothing, less blurs, more sharpens. Smooth is `[[1, 1, 1], [1, 5, 1], [1,
    1, 1]] / 13`; the pixels at the border stay.

    Args:
        magnitude: 0 to 1.
        probability: Probability that an image is changed, 0 to 1.
        **kwargs: `value_range`, `(0, 255)` unless given; `seed`, `name`, `dtype`.

    Input and output shape: `(batch, height, width, channels)` with 1 or 3 channels.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Cubuk et al., AutoAugment, CVPR 2019, table 6.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import Sharpness
    >>> image = np.zeros((3, 3, 1), "uint8")
    >>> image[1, 1] = 130
    >>> np.asarray(Sharpness(magnitude=0.0)(image, training=True))[1, 1].round(3).tolist()  # 0.9 * 50 + 0.1 * 130
    [58.0]
    """


@keras.saving.register_keras_serializable(package="keras_supcon")
class Cutout(OperationWithMagnitude):
    """Covers a square of grey (128 of 255) about a uniform place.

    The side is `2 floor(magnitude 40/224 s)` pixels, with `s` the shorter side of the image; what
    lies beyond the border is cut off.

    Args:
        magnitude: 0 to 1.
        probability: Probability that an image is changed, 0 to 1.
        **kwargs: `value_range`, `(0, 255)` unless given; `seed`, `name`, `dtype`.

    Input and output shape: `(batch, height, width, channels)` with 1 or 3 channels.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        DeVries and Taylor, Improved Regularization with Cutout, 2017; Cubuk et al., AutoAugment,
        CVPR 2019, table 6.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import Cutout
    >>> covered = np.asarray(Cutout(magnitude=1.0, seed=0)(np.zeros((224, 224, 1), "uint8"), training=True)) == 128
    >>> bool(0 < covered.sum() <= 80 * 80)
    True
    """

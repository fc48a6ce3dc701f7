"""Random changes of color, as one affine map of the channels for each image."""

import math
from typing import Any

import keras
import numpy as np

from keras_supcon.arguments import check_between, check_not_negative, check_probability
from keras_supcon.augmentation.layers.image_augmentation import ImageAugmentation
from keras_supcon.augmentation.operations.color_maps import LUMA, apply_color_map, mean_luma
from keras_supcon.augmentation.operations.not_finite import nan_unless_finite
from keras_supcon.deprecation import deprecate_positional
from keras_supcon.typing import Tensor, TensorTree

_RGB_TO_YIQ = np.array([LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_YIQ_TO_RGB = np.linalg.inv(_RGB_TO_YIQ)


@keras.saving.register_keras_serializable(package="keras_supcon")
class RandomColorJitter(ImageAugmentation):
    """Changes brightness, contrast, saturation and hue of each image by random amounts.

    With probability `probability`, in this order and without rounding between the steps:

    1. brightness: pixels are multiplied by `b`, uniform in `[max(0, 1 - brightness),
       1 + brightness]`;
    2. contrast: pixels are blended with the mean gray of the image, `c x + (1 - c) mean`;
    3. saturation: pixels are blended with their own gray, `s x + (1 - s) gray(x)`;
    4. hue: the color plane (I, Q of YIQ) is rotated by `h` of a full turn, `h` uniform in
       `[-hue, hue]`.

    Contrast and saturation factors have ranges like the brightness factor's. The four steps are
    linear in the pixel, so they are one 3x3 matrix and one offset for each image; the result is
    clipped to `value_range` once, at the end. On images of one channel saturation and hue do
    nothing.

    Args:
        brightness: Non-negative. SimCLR at strength `s` uses 0.8 `s`.
        contrast: Non-negative. 0.8 `s`.
        saturation: Non-negative. 0.8 `s`.
        hue: Between 0 and 0.5, in turns. 0.2 `s`.
        probability: Probability that an image is changed at all.
        **kwargs: `value_range`, `seed`, `name`, `dtype`.

    Input and output shape: `(batch, height, width, channels)` with 1 or 3 channels.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Chen et al., SimCLR, ICML 2020, appendix A. There the order of the steps is random and each
        is clipped.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import RandomColorJitter
    >>> jitter = RandomColorJitter(brightness=0.8, contrast=0.8, value_range=(0, 1), seed=0)
    >>> images = jitter(np.full((4, 8, 8, 3), 0.5, "float32"), training=True)
    >>> tuple(images.shape), bool(np.max(images) <= 1)
    ((4, 8, 8, 3), True)
    """

    makes_nan = True  # by the mean

    @deprecate_positional
    def __init__(
        self,
        brightness: float = 0.4,
        *,
        contrast: float = 0.4,
        saturation: float = 0.4,
        hue: float = 0.1,
        probability: float = 0.8,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.brightness = check_not_negative("brightness", brightness)
        self.contrast = check_not_negative("contrast", contrast)
        self.saturation = check_not_negative("saturation", saturation)
        self.hue = check_between("hue", hue, 0, 0.5)
        self.probability = check_probability("probability", probability)

    def draw(self, batch_size: Tensor, image_shape: tuple[int, int, int]) -> TensorTree:
        """Draws the four amounts of every image, each `(batch,)`.

        They are 1, 1, 1 and 0 for an image that is not changed.
        """
        numpy = self.backend.numpy
        apply = self.uniform((batch_size,)) < self.probability
        draws = {}
        for name, spread in (
            ("brightness", self.brightness),
            ("contrast", self.contrast),
            ("saturation", self.saturation),
        ):
            factor = self.uniform((batch_size,), max(0.0, 1 - spread), 1 + spread)
            draws[name] = numpy.where(apply, factor, numpy.ones_like(factor))
        turn = self.uniform((batch_size,), -self.hue, self.hue)
        draws["hue"] = numpy.where(apply, turn, numpy.zeros_like(turn))
        return draws

    def transform(self, images: Tensor, draws: TensorTree) -> Tensor:
        low, high = self.value_range
        pixels = self.backend.cast(images, "float32")
        pixels = pixels - low if low else pixels
        pixels = apply_color_map(self.backend, pixels, *self.color_map(pixels, draws), high - low)
        return pixels + low if low else pixels

    def color_map(self, pixels: Tensor, draws: TensorTree) -> tuple[Tensor, Tensor]:
        """Returns the affine map of each image's colors, `color @ matrix + offset`.

        Args:
            pixels: Float32 `(batch, height, width, channels)`, with 0 for black.
            draws: The output of `draw`.

        Returns:
            Matrices `(batch, channels, channels)` and offsets `(batch, 1, 1)`, NaN for images that
            are not finite.
        """
        numpy = self.backend.numpy
        is_rgb = pixels.shape[-1] == 3
        gain = numpy.reshape(draws["contrast"] * draws["brightness"], (-1, 1, 1))
        mean = numpy.reshape(mean_luma(self.backend, pixels), (-1, 1, 1))
        mean = mean + nan_unless_finite(mean)
        # Saturation and hue do not change grays, so the offset of the contrast passes through
        # them.
        offset = numpy.reshape((1 - draws["contrast"]) * draws["brightness"], (-1, 1, 1)) * mean
        return gain * self._chroma_matrix(
            draws["saturation"], draws["hue"]
        ) if is_rgb else gain, offset

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "brightness": self.brightness,
            "contrast": self.contrast,
            "saturation": self.saturation,
            "hue": self.hue,
            "probability": self.probability,
        }

    def _chroma_matrix(self, saturation: Tensor, hue: Tensor) -> Tensor:
        """Returns matrices `(batch, 3, 3)` that scale the saturation and rotate the hue."""
        numpy = self.backend.numpy
        angle = 2 * math.pi * hue
        # Y does not change; the plane (I, Q) is rotated by the angle and scaled by the saturation.
        # Each of the three matrices is constant.
        gray = np.outer(_YIQ_TO_RGB[:, 0], _RGB_TO_YIQ[0]).T
        upright = (_YIQ_TO_RGB[:, 1:] @ _RGB_TO_YIQ[1:]).T
        turned = (_YIQ_TO_RGB[:, 1:] @ np.array([[0.0, -1.0], [1.0, 0.0]]) @ _RGB_TO_YIQ[1:]).T
        cosine = numpy.reshape(saturation * numpy.cos(angle), (-1, 1, 1))
        sine = numpy.reshape(saturation * numpy.sin(angle), (-1, 1, 1))
        return (
            self._constant(gray) + cosine * self._constant(upright) + sine * self._constant(turned)
        )


@keras.saving.register_keras_serializable(package="keras_supcon")
class RandomGrayscale(ImageAugmentation):
    """Replaces the colors of an image by its luma in all three channels, with a probability.

    Args:
        probability: Probability that an image loses its color.
        **kwargs: `value_range` (not used by this layer), `seed`, `name`, `dtype`.

    Input and output shape: `(batch, height, width, channels)` with 1 or 3 channels; images of one
    channel do not change.

    Raises:
        ValueError: For a probability outside [0, 1], and for images of another rank or number of
            channels.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import RandomGrayscale
    >>> red = np.array([[[[255, 0, 0]]]], "uint8")
    >>> gray = np.asarray(RandomGrayscale(probability=1.0)(red, training=True))
    >>> gray.ravel().astype("int32").tolist()  # 0.299 of 255
    [76, 76, 76]
    """

    reads_value_range = False

    def __init__(self, probability: float = 0.2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.probability = check_probability("probability", probability)

    def draw(self, batch_size: Tensor, image_shape: tuple[int, int, int]) -> TensorTree:
        return self.uniform((batch_size,)) < self.probability

    def transform(self, images: Tensor, draws: TensorTree) -> Tensor:
        pixels = self.backend.cast(images, "float32")
        return (
            pixels
            if images.shape[-1] == 1
            else apply_color_map(self.backend, pixels, self.matrix(draws))
        )

    def matrix(self, draws: TensorTree) -> Tensor:
        """Returns matrices `(batch, 3, 3)`: `color @ matrix` is the luma in the drawn images."""
        is_gray = self.backend.numpy.reshape(self.backend.cast(draws, "float32"), (-1, 1, 1))
        return self._constant(np.eye(3)) + is_gray * self._constant(
            np.repeat(LUMA[:, None], 3, axis=1) - np.eye(3)
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "probability": self.probability}

"""Random-resized crop with flip, as one resampling."""

import math
from typing import Any

import keras

from keras_supcon.augmentation.base import ImageAugmentation, check_image_size, check_probability, check_range

# Draws of area and aspect ratio until one fits into the image, as in the usual implementations.
_ATTEMPTS = 10


@keras.saving.register_keras_serializable(package="keras_supcon")
class RandomResizedCrop(ImageAugmentation):
    """Cuts a random rectangle out of every image, resizes it, and flips it left to right.

    The share of the image's area and the logarithm of the rectangle's aspect ratio are uniform, independent for each image,
    drawn up to ten times until the rectangle fits; an image for which none fits gives its largest centred
    rectangle of an allowed aspect. Crop, resize and flip are one separable resampling, written as two matrix
    products, so that XLA compiles it; shrinking uses a triangle filter as wide as the step (antialiasing), enlarging
    is bilinear.

    When not training the whole image is resized to `image_size`; an image that has that size stays as it is.

    Args:
        image_size: Height and width of the output, in pixels.
        crop_area: Smallest and largest share of the image's area, in (0, 1].
        aspect_ratio: Smallest and largest width / height of the rectangle in pixels, positive.
        flip_probability: Probability of a left-right flip.
        **kwargs: `value_range` (not used by this layer), `seed`, `name`, `dtype`.

    Input shape: `(batch, height, width, channels)`. Output shape: `(batch, *image_size, channels)`.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or with other than 1 or 3 channels.

    Reference:
        Szegedy et al., Going Deeper with Convolutions, CVPR 2015, section 6; Chen et al., SimCLR, ICML 2020, appendix A.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import RandomResizedCrop
    >>> crop = RandomResizedCrop(image_size=(16, 16), seed=0)
    >>> tuple(crop(np.zeros((4, 40, 32, 3), "uint8")).shape)
    (4, 16, 16, 3)
    """

    def __init__(
        self,
        image_size: tuple[int, int],
        crop_area: tuple[float, float] = (0.08, 1.0),
        aspect_ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip_probability: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.image_size = check_image_size(image_size)
        self.crop_area = check_range("crop_area", crop_area, 0, 1)
        self.aspect_ratio = check_range("aspect_ratio", aspect_ratio, 0)
        self.flip_probability = check_probability("flip_probability", flip_probability)

    def draw(self, batch_size: Any, image_shape: tuple[int, int, int]) -> Any:
        """Top, left, height and width of the rectangles in pixels, and 1 where the image is flipped; each `(batch,)`."""
        numpy = self.backend.numpy
        in_height, in_width = (self.backend.cast(size, "float32") for size in image_shape[:2])
        log_low, log_high = (math.log(ratio) for ratio in self.aspect_ratio)

        area = self.uniform((batch_size, _ATTEMPTS), *self.crop_area) * in_height * in_width
        ratio = numpy.exp(self.uniform((batch_size, _ATTEMPTS), log_low, log_high))
        heights, widths = numpy.sqrt(area / ratio), numpy.sqrt(area * ratio)
        fits = numpy.logical_and(heights <= in_height, widths <= in_width)
        first = self.backend.nn.one_hot(numpy.argmax(self.backend.cast(fits, "int32"), axis=1), _ATTEMPTS, dtype="float32")
        any_fits = numpy.any(fits, axis=1)
        # The largest centred rectangle whose aspect is the nearest allowed one.
        nearest_ratio = numpy.clip(in_width / in_height, *self.aspect_ratio)
        full_height = numpy.minimum(in_height, in_width / nearest_ratio)
        full_width = numpy.minimum(in_width, in_height * nearest_ratio)
        height = numpy.where(any_fits, numpy.sum(heights * first, axis=1), full_height)
        width = numpy.where(any_fits, numpy.sum(widths * first, axis=1), full_width)

        centre = 0.5 * numpy.ones_like(height)
        top = (in_height - height) * numpy.where(any_fits, self.uniform((batch_size,)), centre)
        left = (in_width - width) * numpy.where(any_fits, self.uniform((batch_size,)), centre)
        flip = self.backend.cast(self.uniform((batch_size,)) < self.flip_probability, "float32")
        return {"top": top, "left": left, "height": height, "width": width, "flip": flip}

    def transform(self, images: Any, draws: Any) -> Any:
        shape = self.backend.shape(images)
        rows = self._resampling(draws["top"], draws["height"], shape[1], self.image_size[0])
        flip = draws["flip"]
        # A flipped rectangle starts at its right edge and has a negative width.
        start, extent = draws["left"] + flip * draws["width"], (1 - 2 * flip) * draws["width"]
        columns = self._resampling(start, extent, shape[2], self.image_size[1])
        return self._resample(images, rows, columns)

    def transform_for_inference(self, images: Any) -> Any:
        if tuple(images.shape[1:3]) == self.image_size:
            return images
        shape = self.backend.shape(images)
        zero = self.backend.numpy.zeros((1,), "float32")
        extents = (self.backend.numpy.ones((1,), "float32") * self.backend.cast(size, "float32") for size in shape[1:3])
        rows, columns = (
            self.backend.numpy.broadcast_to(self._resampling(zero, extent, in_size, out_size), (shape[0], out_size, in_size))
            for extent, in_size, out_size in zip(extents, shape[1:3], self.image_size, strict=True)
        )
        return self._resample(images, rows, columns)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-3], *self.image_size, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "image_size": self.image_size,
            "crop_area": self.crop_area,
            "aspect_ratio": self.aspect_ratio,
            "flip_probability": self.flip_probability,
        }

    def _resampling(self, start: Any, extent: Any, in_size: Any, out_size: int) -> Any:
        """Matrices `(batch, out_size, in_size)` that resample `[start, start + extent)` of an axis into `out_size` pixels."""
        numpy = self.backend.numpy
        step = numpy.expand_dims(extent / out_size, 1)
        # Pixel j covers [j, j + 1), so its centre lies at j + 0.5; centres beyond the border take the border pixel.
        centres = numpy.expand_dims(start, 1) + step * (numpy.arange(out_size, dtype="float32") + 0.5)
        last = self.backend.cast(in_size, "float32") - 1.0
        centres = numpy.minimum(numpy.maximum(centres - 0.5, 0.0), last)
        radius = numpy.maximum(numpy.abs(step), 1.0)
        distance = numpy.abs(numpy.expand_dims(centres, 2) - numpy.arange(in_size, dtype="float32"))
        weights = numpy.maximum(1.0 - distance / numpy.expand_dims(radius, 2), 0.0)
        return weights / numpy.sum(weights, axis=2, keepdims=True)

    def _resample(self, images: Any, rows: Any, columns: Any) -> Any:
        rows, columns = self.backend.cast(rows, images.dtype), self.backend.cast(columns, images.dtype)
        images = self.backend.numpy.einsum("boh,bhwc->bowc", rows, images)
        return self.backend.numpy.einsum("bpw,bowc->bopc", columns, images)

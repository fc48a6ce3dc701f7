"""Crops that set the size: random for training, centered for evaluation; each one resampling."""

import math
from typing import Any

import keras

from keras_supcon.arguments import (
    check_choice,
    check_image_size,
    check_probability,
    check_range,
    check_whole_number,
)
from keras_supcon.augmentation.layers.image_augmentation import ImageAugmentation
from keras_supcon.augmentation.operations.resampling import resample_box
from keras_supcon.deprecation import deprecate_positional
from keras_supcon.typing import Tensor, TensorTree

# Draws of area and aspect ratio until one fits into the image, as in the usual implementations.
_ATTEMPTS = 10


@keras.saving.register_keras_serializable(package="keras_supcon")
class RandomResizedCrop(ImageAugmentation):
    """Crops a random rectangle out of each image, resizes it, and flips it at random.

    The fraction of the image's area and the logarithm of the rectangle's aspect ratio are uniform,
    independent for each image, drawn up to ten times until the rectangle fits. If none fits, the
    largest centered rectangle of an allowed aspect is taken. Crop, resize and flip are one
    separable resampling, written as products with small matrices, so that XLA compiles it.
    Shrinking uses a triangle filter as wide as the step (antialiasing), enlarging is bilinear.

    When not training, the whole image is resized to `image_size`; an image of that size does not
    change.

    Args:
        image_size: Height and width of the output, in pixels.
        crop_area: Smallest and largest fraction of the image's area, in (0, 1].
        aspect_ratio: Smallest and largest width / height of the rectangle in pixels, positive.
        flip_probability: Probability of a left-right flip.
        **kwargs: `value_range` (not used by this layer), `seed`, `name`, `dtype`.

    Input shape: `(batch, height, width, channels)`. Output shape: `(batch, *image_size, channels)`.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or with other
            than 1 or 3 channels.

    Reference:
        Szegedy et al., Going Deeper with Convolutions, CVPR 2015, section 6; Chen et al., SimCLR,
        ICML 2020, appendix A.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import RandomResizedCrop
    >>> crop = RandomResizedCrop(image_size=(16, 16), seed=0)
    >>> tuple(crop(np.zeros((4, 40, 32, 3), "uint8"), training=True).shape)
    (4, 16, 16, 3)
    """

    reads_value_range = False

    @deprecate_positional
    def __init__(
        self,
        image_size: tuple[int, int],
        *,
        crop_area: tuple[float, float] = (0.08, 1.0),
        aspect_ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip_probability: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.image_size = check_image_size("image_size", image_size)
        self.crop_area = check_range("crop_area", crop_area, 0, 1)
        self.aspect_ratio = check_range("aspect_ratio", aspect_ratio, 0)
        self.flip_probability = check_probability("flip_probability", flip_probability)

    def draw(self, batch_size: Tensor, image_shape: tuple[int, int, int]) -> TensorTree:
        """Draws the rectangles, and which images are flipped.

        Returns:
            `top`, `left`, `height` and `width` in pixels, and `flip`, 0 or 1; each `(batch,)`.
        """
        numpy = self.backend.numpy
        in_height, in_width = (self.backend.cast(size, "float32") for size in image_shape[:2])
        log_low, log_high = (math.log(ratio) for ratio in self.aspect_ratio)

        area = self.uniform((batch_size, _ATTEMPTS), *self.crop_area) * in_height * in_width
        ratio = numpy.exp(self.uniform((batch_size, _ATTEMPTS), log_low, log_high))
        heights, widths = numpy.sqrt(area / ratio), numpy.sqrt(area * ratio)
        fits = numpy.logical_and(heights <= in_height, widths <= in_width)
        first = self.backend.nn.one_hot(
            numpy.argmax(self.backend.cast(fits, "int32"), axis=1), _ATTEMPTS, dtype="float32"
        )
        any_fits = numpy.any(fits, axis=1)
        # The largest centered rectangle whose aspect is the nearest allowed one.
        nearest_ratio = numpy.clip(in_width / in_height, *self.aspect_ratio)
        full_height = numpy.minimum(in_height, in_width / nearest_ratio)
        full_width = numpy.minimum(in_width, in_height * nearest_ratio)
        height = numpy.where(any_fits, numpy.sum(heights * first, axis=1), full_height)
        width = numpy.where(any_fits, numpy.sum(widths * first, axis=1), full_width)

        center = 0.5 * numpy.ones_like(height)
        top = (in_height - height) * numpy.where(any_fits, self.uniform((batch_size,)), center)
        left = (in_width - width) * numpy.where(any_fits, self.uniform((batch_size,)), center)
        flip = self.backend.cast(self.uniform((batch_size,)) < self.flip_probability, "float32")
        return {"top": top, "left": left, "height": height, "width": width, "flip": flip}

    def transform(self, images: Tensor, draws: TensorTree) -> Tensor:
        flip = draws["flip"]
        # A flipped rectangle starts at its right edge and has a negative width.
        left, width = draws["left"] + flip * draws["width"], (1 - 2 * flip) * draws["width"]
        return resample_box(
            self.backend, images, draws["top"], left, draws["height"], width, self.image_size
        )

    def transform_for_inference(self, images: Tensor) -> Tensor:
        if tuple(images.shape[1:3]) == self.image_size:
            return images
        batch, height, width = self.backend.shape(images)[:3]
        zero = self.backend.numpy.zeros((batch,), "float32")
        height, width = (zero + self.backend.cast(size, "float32") for size in (height, width))
        return resample_box(self.backend, images, zero, zero, height, width, self.image_size)

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


_METHODS = ("resize_then_crop", "crop_then_resize", "crop_then_distort")


@keras.saving.register_keras_serializable(package="keras_supcon")
class CenterCropResize(ImageAugmentation):
    """Crops the center of each image at a fixed size, for evaluation.

    `training` changes nothing. The output is float in [0, 1] whatever the range of the input. With
    `S` the output size and `P` the padding:

    - `"resize_then_crop"`: the image is scaled until it covers `S + P` and its center of size `S`
      is cropped (for ImageNet: the short side to 256, the center 224). Both are one resampling: the
      rectangle is not rounded to pixels.
    - `"crop_then_resize"`: the largest centered rectangle of the aspect of `S`, times `S / (S + P)`
      and rounded down to whole pixels, is cropped and resized to `S`.
    - `"crop_then_distort"`: the fraction `S / (S + P)` of height and width around the center is
      resized to `S`, whatever the aspect of the image.

    Shrinking has antialiasing.

    Args:
        image_size: Height and width of the output, in pixels.
        method: One of the three names.
        crop_padding: `P`, a whole number of at least 0, in pixels of the output.
        **kwargs: `value_range` of the input, `(0, 255)` unless given; `name`, `dtype`.

    Input shape: `(batch, height, width, channels)` with 1 or 3 channels. Output shape: `(batch,
    *image_size, channels)`.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Khosla et al., Supervised Contrastive Learning, NeurIPS 2020: the crop methods of its
        published code.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import CenterCropResize
    >>> images = np.full((2, 50, 40, 3), 255, "uint8")
    >>> views = np.asarray(CenterCropResize(image_size=(28, 28), crop_padding=4)(images))
    >>> views.shape, float(views.min())
    ((2, 28, 28, 3), 1.0)
    """

    ends_in_unit_range = True
    draws_at_random = False

    @deprecate_positional
    def __init__(
        self,
        image_size: tuple[int, int] = (224, 224),
        *,
        method: str = "resize_then_crop",
        crop_padding: int = 32,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.image_size = check_image_size("image_size", image_size)
        self.method = check_choice("method", method, _METHODS)
        self.crop_padding = check_whole_number("crop_padding", crop_padding, 0)

    def draw(self, batch_size: Tensor, image_shape: tuple[int, int, int]) -> None:
        return None

    def transform(self, images: Tensor, draws: None) -> Tensor:
        return self.transform_for_inference(images)

    def transform_for_inference(self, images: Tensor) -> Tensor:
        numpy = self.backend.numpy
        batch, *sizes = self.backend.shape(images)[:3]
        sizes = [self.backend.cast(size, "float32") for size in sizes]
        padded = [size + self.crop_padding for size in self.image_size]
        if self.method == "crop_then_distort":
            extents = [
                size * (kept / whole)
                for size, kept, whole in zip(sizes, self.image_size, padded, strict=True)
            ]
        else:
            # Input pixels for one output pixel, when the image just covers the padded size.
            step = numpy.minimum(sizes[0] / padded[0], sizes[1] / padded[1])
            extents = [step * size for size in self.image_size]
        if self.method == "crop_then_resize":
            extents = [numpy.maximum(numpy.floor(extent + 1e-3), 1.0) for extent in extents]
        starts = [(size - extent) / 2 for size, extent in zip(sizes, extents, strict=True)]
        if self.method == "crop_then_resize":
            starts = [numpy.floor(start) for start in starts]
        zero = numpy.zeros((batch,), "float32")
        (top, left), (height, width) = (
            [zero + value for value in pair] for pair in (starts, extents)
        )
        low, high = self.value_range
        return (
            resample_box(self.backend, images, top, left, height, width, self.image_size) - low
        ) / (high - low)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-3], *self.image_size, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "image_size": self.image_size,
            "method": self.method,
            "crop_padding": self.crop_padding,
        }

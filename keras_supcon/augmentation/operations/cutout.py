"""Covers a part of an image with a gray square."""

from keras_supcon.augmentation.operations.geometric import FILL
from keras_supcon.augmentation.operations.resampling import per_channel
from keras_supcon.typing import Backend, Tensor

# Half the side of the largest square, as a fraction of the image's shorter side: 40 of 224 pixels.
_LARGEST_HALF = 40 / 224


def apply_cutout(backend: Backend, images: Tensor, center: Tensor, magnitude: Tensor) -> Tensor:
    """Fills a square around the center with gray; the part beyond the border is cut off.

    Args:
        backend: Module of backend functions.
        images: Float32 `(batch, height, width, channels)` of levels 0 to 255.
        center: Row and column as fractions of height and width, `(batch, 2)`.
        magnitude: 0 to 1, `(batch,)`; the side is `2 * floor(magnitude * 40/224 *
            min(height, width))` pixels.
    """
    numpy = backend.numpy
    _, height, width, _ = backend.shape(images)
    shorter = backend.cast(numpy.minimum(height, width), "float32")
    half = numpy.reshape(numpy.floor(magnitude * _LARGEST_HALF * shorter), (-1, 1))
    covered = []
    for axis, size in enumerate((height, width)):
        place = numpy.floor(numpy.reshape(center[:, axis], (-1, 1)) * backend.cast(size, "float32"))
        pixel = numpy.reshape(numpy.arange(size, dtype="float32"), (1, -1))
        covered.append(
            backend.cast(numpy.logical_and(pixel >= place - half, pixel < place + half), "float32")
        )
    square = numpy.expand_dims(covered[0], 2) * numpy.expand_dims(covered[1], 1)
    return images + per_channel(backend, square, images.shape[-1]) * (FILL - images)

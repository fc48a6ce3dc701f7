"""Moves pixels by affine maps from positions in the result to positions in the image.

A map is a row of six numbers `(a, b, c, d, e, f)` for each image: the result at `(x, y)` shows the
image at `(a x + b y + c, d x + e y + f)`, in pixels from the top-left corner. Pixel centers are at
half numbers.
"""

import math

from keras_supcon.augmentation.operations.resampling import bilinear, per_channel
from keras_supcon.typing import Backend, Tensor

# Gray level of uncovered pixels and of a cutout, of 255.
FILL = 128.0
# The paper moves images of 331 pixels by up to 150.
_LARGEST_TRANSLATION = 150 / 331


def shear_x(backend: Backend, amount: Tensor, height: Tensor, width: Tensor) -> tuple[Tensor, ...]:
    """Moves rows by up to 0.3 of their distance from the top."""
    return (1.0, 0.3 * amount, 0.0, 0.0, 1.0, 0.0)


def shear_y(backend: Backend, amount: Tensor, height: Tensor, width: Tensor) -> tuple[Tensor, ...]:
    """Moves columns by up to 0.3 of their distance from the left."""
    return (1.0, 0.0, 0.0, 0.3 * amount, 1.0, 0.0)


def translate_x(
    backend: Backend, amount: Tensor, height: Tensor, width: Tensor
) -> tuple[Tensor, ...]:
    """Moves by whole pixels, up to 150/331 of the width."""
    return (1.0, 0.0, backend.numpy.round(amount * width * _LARGEST_TRANSLATION), 0.0, 1.0, 0.0)


def translate_y(
    backend: Backend, amount: Tensor, height: Tensor, width: Tensor
) -> tuple[Tensor, ...]:
    """Moves by whole pixels, up to 150/331 of the height."""
    return (1.0, 0.0, 0.0, 0.0, 1.0, backend.numpy.round(amount * height * _LARGEST_TRANSLATION))


def rotate(backend: Backend, amount: Tensor, height: Tensor, width: Tensor) -> tuple[Tensor, ...]:
    """Rotates about the center by up to 30 degrees, counterclockwise for positive amounts."""
    angle = amount * math.radians(30)
    cosine, sine = backend.numpy.cos(angle), backend.numpy.sin(angle)
    x, y = width / 2, height / 2
    return (cosine, -sine, x - cosine * x + sine * y, sine, cosine, y - sine * x - cosine * y)


MAPS = {
    "ShearX": shear_x,
    "ShearY": shear_y,
    "TranslateX": translate_x,
    "TranslateY": translate_y,
    "Rotate": rotate,
}


def affine_map(
    backend: Backend, names: tuple[str, ...], images: Tensor, choice: Tensor, amount: Tensor
) -> Tensor:
    """Returns the map of each image, `(batch, 6)`; the identity for a choice of none.

    Args:
        backend: Module of backend functions.
        names: Keys of `MAPS`.
        images: `(batch, height, width, channels)`.
        choice: Position in `names`, `(batch,)`; other numbers choose none.
        amount: Magnitude with sign, -1 to 1, `(batch,)`.
    """
    numpy = backend.numpy
    height, width = (backend.cast(size, "float32") for size in backend.shape(images)[1:3])
    ones, zeros = numpy.ones_like(amount), numpy.zeros_like(amount)
    rows = [ones, zeros, zeros, zeros, ones, zeros]
    for position, name in enumerate(names):
        chosen = choice == position
        own = MAPS[name](backend, amount, height, width)
        rows = [numpy.where(chosen, value, row) for value, row in zip(own, rows, strict=True)]
    return numpy.stack(rows, axis=1)


def apply_maps(backend: Backend, images: Tensor, *maps: Tensor) -> Tensor:
    """Applies maps one after the other, the first one first, in one bilinear resampling.

    A position that any of the maps takes from outside the image is filled with gray, as if each
    map had been applied alone.

    Args:
        backend: Module of backend functions.
        images: Float32 `(batch, height, width, channels)` of levels 0 to 255.
        *maps: `(batch, 6)` each.
    """
    numpy = backend.numpy
    _, height, width, _ = backend.shape(images)
    x = numpy.reshape(numpy.arange(width, dtype="float32") + 0.5, (1, 1, -1))
    y = numpy.reshape(numpy.arange(height, dtype="float32") + 0.5, (1, -1, 1))
    right, bottom = backend.cast(width, "float32"), backend.cast(height, "float32")
    is_inside = None
    for matrix in reversed(maps):
        a, b, c, d, e, f = (numpy.reshape(matrix[:, i], (-1, 1, 1)) for i in range(6))
        x, y = a * x + b * y + c, d * x + e * y + f
        inside = numpy.logical_and(
            numpy.logical_and(x >= 0, x < right), numpy.logical_and(y >= 0, y < bottom)
        )
        is_inside = inside if is_inside is None else numpy.logical_and(is_inside, inside)
    weight = per_channel(backend, backend.cast(is_inside, "float32"), images.shape[-1])
    return FILL + weight * (bilinear(backend, images, x, y) - FILL)

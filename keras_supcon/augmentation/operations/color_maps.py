"""Affine maps of the colors of each image."""

import numpy as np

from keras_supcon.typing import Backend, Tensor

# ITU-R BT.601 luma, the gray of Pillow, OpenCV and torchvision.
LUMA = np.array([0.299, 0.587, 0.114])


def mean_luma(backend: Backend, pixels: Tensor) -> Tensor:
    """Returns the mean luma of each image, `(batch,)`."""
    mean = backend.numpy.mean(pixels, axis=(1, 2))
    weights = backend.convert_to_tensor(
        LUMA if pixels.shape[-1] == 3 else np.ones(1), dtype="float32"
    )
    return backend.numpy.sum(mean * weights, axis=1)


def apply_color_map(
    backend: Backend,
    pixels: Tensor,
    matrix: Tensor,
    offset: Tensor | None = None,
    high: float | None = None,
) -> Tensor:
    """Computes `color @ matrix + offset` for every pixel.

    Args:
        backend: Module of backend functions.
        pixels: Float32 `(batch, height, width, channels)`.
        matrix: `(batch, channels, channels)`.
        offset: `(batch, 1, 1)`, or None for none.
        high: Clips to [0, high] if given.

    Returns:
        Float32 pixels of the same shape.
    """
    numpy = backend.numpy
    _, height, width, channels = backend.shape(pixels)
    colors = numpy.reshape(pixels, (-1, height * width, channels))
    colors = colors * matrix if channels == 1 else numpy.matmul(colors, matrix)
    colors = colors if offset is None else colors + offset
    colors = colors if high is None else numpy.clip(colors, 0.0, high)
    return numpy.reshape(colors, (-1, height, width, channels))

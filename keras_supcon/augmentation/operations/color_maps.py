"""Affine maps of the colors of each image."""

from typing import Any

import numpy as np

# ITU-R BT.601 luma, the grey of Pillow, OpenCV and torchvision.
LUMA = np.array([0.299, 0.587, 0.114])


def mean_luma(backend: Any, pixels: Any) -> Any:
    """The mean luma of each image, `(batch,)`."""
    mean = backend.numpy.mean(pixels, axis=(1, 2))
    weights = backend.convert_to_tensor(
        LUMA if pixels.shape[-1] == 3 else np.ones(1), dtype="float32"
    )
    return backend.numpy.sum(mean * weights, axis=1)


def apply_color_map(
    backend: Any, pixels: Any, matrix: Any, offset: Any = None, high: float | None = None
) -> Any:
    """Float32 `color @ matrix + offset` for every pixel, clipped to [0, high] if that is given."""
    numpy = backend.numpy
    _, height, width, channels = backend.shape(pixels)
    colors = numpy.reshape(pixels, (-1, height * width, channels))
    colors = colors * matrix if channels == 1 else numpy.matmul(colors, matrix)
    colors = colors if offset is None else colors + offset
    colors = colors if high is None else numpy.clip(colors, 0.0, high)
    return numpy.reshape(colors, (-1, height, width, channels))

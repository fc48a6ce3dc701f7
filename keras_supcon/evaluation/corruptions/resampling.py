"""Images at other places: zooms about the center and bilinear samples."""

from __future__ import annotations

import functools
import math

import numpy as np
from scipy import sparse


def zoom(images: np.ndarray, factors: tuple[float, ...]) -> np.ndarray:
    """Adds up the bilinear zooms of images `(n, h, w, c)` about their center, cut to their size."""
    number, height, width, channels = images.shape
    inner = number * channels
    # A sparse matrix multiplies the first axis: columns first here, rows first in the result.
    lines = images.transpose(2, 1, 0, 3).reshape(width, height * inner)
    zoomed = np.zeros((height, width * inner), "float32")
    for factor in factors:
        wide = (_zoom_of_axis(width, factor) @ lines).reshape(width, height, inner)
        rows = wide.transpose(1, 0, 2).reshape(height, width * inner)
        zoomed += _zoom_of_axis(height, factor) @ rows
    return zoomed.reshape(height, width, number, channels).transpose(2, 0, 1, 3)


@functools.lru_cache(maxsize=256)
def _zoom_of_axis(size: int, factor: float) -> sparse.csr_array:
    """Returns the matrix that cuts the center of a line out and interpolates it to its size.

    The first and the last pixel of the center are mapped to those of the result, as
    `scipy.ndimage.zoom` does; then the result is trimmed.
    """
    cut = math.ceil(size / factor)
    zoomed = round(cut * factor)
    places = np.arange(size) + (zoomed - size) // 2
    source = np.clip(places * ((cut - 1) / max(zoomed - 1, 1)), 0, cut - 1)
    below = np.minimum(source.astype(int), max(cut - 2, 0))
    share = source - below
    rows, first = np.arange(size), below + (size - cut) // 2
    above = np.minimum(first + 1, size - 1)
    weights = np.concatenate([1 - share, share]).astype("float32")
    places = (np.tile(rows, 2), np.concatenate([first, above]))
    return sparse.csr_array((weights, places), shape=(size, size))


def sample(images: np.ndarray, y: np.ndarray, x: np.ndarray, repeat_edge: bool) -> np.ndarray:
    """Interpolates images `(n, h, w, c)` bilinearly at places `(n, h, w)`, in pixels.

    Beyond the border images are mirrored, with their edge twice (`dcba|abcd`) or once (`dcb|abcd`).
    """
    number, height, width, channels = images.shape
    top, left = np.floor(y), np.floor(x)
    y_share, x_share = (y - top)[..., None], (x - left)[..., None]
    rows = [_mirror(top.astype("int32") + i, height, repeat_edge) for i in (0, 1)]
    columns = [_mirror(left.astype("int32") + i, width, repeat_edge) for i in (0, 1)]
    pixels = images.reshape(-1, channels)
    start = (np.arange(number, dtype="int32") * (height * width))[:, None, None]

    def along_x(row: np.ndarray) -> np.ndarray:
        row = start + row * width
        near, far = (pixels.take(row + column, axis=0, mode="clip") for column in columns)
        return near + x_share * (far - near)

    upper, lower = map(along_x, rows)
    return upper + y_share * (lower - upper)


def _mirror(places: np.ndarray, size: int, repeat_edge: bool) -> np.ndarray:
    period = 2 * size if repeat_edge else 2 * size - 2
    last = period - 1 if repeat_edge else period
    places = places % period
    return np.minimum(places, last - places)

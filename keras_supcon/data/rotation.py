"""Rotation of images about their center, in NumPy."""

from __future__ import annotations

import dataclasses

import numpy as np

# The four neighbors of each pixel are in float32 at a time.
_IMAGES_AT_ONCE = 2048


@dataclasses.dataclass(frozen=True)
class Rotation:
    """Rotates images counter-clockwise about their center, with bilinear interpolation.

    What comes from outside of an image is 0.

    Args:
        degrees: Angle.

    Call arguments:
        images: Numbers `(n, height, width, channels)`.

    Returns:
        When called, the rotated images, of the same shape and dtype. Integers are rounded.

    Raises:
        ValueError: When called, for images that do not have four axes.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.data.rotation import Rotation
    >>> image = np.arange(4, dtype="uint8").reshape(1, 2, 2, 1)
    >>> Rotation(90)(image)[0, ..., 0].tolist()
    [[1, 3], [0, 2]]
    """

    degrees: float

    def __call__(self, images: np.ndarray) -> np.ndarray:
        if images.ndim != 4:
            raise ValueError(
                "`images` should have shape (n, height, width, channels). Received: "
                f"images.shape={images.shape}"
            )
        number, height, width, channels = images.shape
        neighbors, weights = _sources(height, width, self.degrees)
        rotated = np.empty_like(images)
        for begin in range(0, number, _IMAGES_AT_ONCE):
            rows = slice(begin, begin + _IMAGES_AT_ONCE)
            pixels = images[rows].reshape(-1, height * width, channels).astype("float32")
            values = sum(
                pixels[:, place] * weight[:, None]
                for place, weight in zip(neighbors, weights, strict=True)
            )
            if images.dtype.kind in "iub":
                values = np.rint(values)
            rotated[rows] = values.reshape(-1, height, width, channels)
        return rotated


def _sources(height: int, width: int, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the four pixels that each rotated pixel lies between, and their weights.

    Both are `(4, height * width)`; weights of pixels outside are 0.
    """
    angle = np.deg2rad(degrees)
    # Rounded, so that right angles find whole pixels.
    cosine, sine = round(float(np.cos(angle)), 12), round(float(np.sin(angle)), 12)
    center = (height - 1) / 2, (width - 1) / 2
    y, x = np.indices((height, width)).reshape(2, -1) - np.array(center)[:, None]
    source_y, source_x = center[0] + cosine * y + sine * x, center[1] - sine * y + cosine * x
    top, left = np.floor(source_y).astype(int), np.floor(source_x).astype(int)
    neighbors, weights = [], []
    for down in (0, 1):
        for right in (0, 1):
            row, column = top + down, left + right
            weight = (1 - np.abs(source_y - row)) * (1 - np.abs(source_x - column))
            is_inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            neighbors.append(np.where(is_inside, row * width + column, 0))
            weights.append(np.where(is_inside, weight, 0))
    return np.stack(neighbors), np.stack(weights).astype("float32")

"""Finds images that are nearly the same."""

from collections.abc import Iterator

import numpy as np

_NEAR = 0.15
# Above the rounding of float32.
_SLACK = 1.01


def near_pairs(images: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yields the indices of pairs of images that differ by little of what is drawn on white.

    The norm of their difference is at most 15 % of the geometric mean of their norms, where white
    is 0. Whole numbers decide, so that every machine finds the same pairs.

    Args:
        images: uint8 `(n, height, width, channels)`.
    """
    drawn = 255 - images.reshape(len(images), -1).astype("int64")
    squares = np.square(drawn).sum(axis=1).astype("float64")
    rounded, rounded_squares = drawn.astype("float32"), squares.astype("float32")
    for begin in range(0, len(drawn), 512):
        rows = slice(begin, begin + 512)
        products = rounded[rows] @ rounded.T
        differences = rounded_squares[rows, None] + rounded_squares - 2 * products
        norms = np.sqrt(rounded_squares[rows, None] * rounded_squares)
        for row, other in np.argwhere(differences <= (_SLACK * _NEAR) ** 2 * norms).tolist():
            one = begin + row
            difference = np.square(drawn[one] - drawn[other]).sum()
            if one < other and difference <= _NEAR**2 * np.sqrt(squares[one] * squares[other]):
                yield one, other

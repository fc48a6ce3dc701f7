"""Spatter: drops of water or mud on the lens.

The published code finds the edges of the drops by OpenCV. Here are the same steps in NumPy and
SciPy: Canny's edges, the distance to them, and an equalized histogram.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from keras_supcon.evaluation.corruptions.streams import Streams

_WATER = np.array([175, 238, 238], "float32") / 255  # pale turquoise
_MUD = np.array([63, 42, 20], "float32") / 255
_RELIEF = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], "float32")
_CANNY_THRESHOLDS = (50, 150)
_LARGEST_DISTANCE = 20
_NEIGHBORS = np.ones((3, 3), bool)


def spatter(
    images: np.ndarray,
    streams: Streams,
    mean: float,
    deviation: float,
    sigma: float,
    threshold: float,
    strength: float,
    is_mud: int,
) -> np.ndarray:
    """Adds water of `strength`, or covers with mud that is smoothed by `strength`.

    Drops are where smoothed noise is above a threshold.
    """
    noise = mean + deviation * streams.normal(images.shape[1:3])
    liquid = ndimage.gaussian_filter(noise, (0, sigma, sigma), mode="nearest")
    if is_mud:
        drops = (liquid > threshold).astype("float32")
        cover = ndimage.gaussian_filter(drops, (0, strength, strength), mode="nearest")
        cover = np.where(cover < 0.8, 0, cover)[..., None]
        return images * (1 - cover) + _MUD * cover
    liquid = np.where(liquid < threshold, 0, liquid)
    drops = np.stack([water_drops((layer * 255).astype("uint8")) for layer in liquid])
    return images + strength * drops[..., None] * _WATER


def water_drops(liquid: np.ndarray) -> np.ndarray:
    """Returns the light on drops, float32 `(h, w)` from 0 to 1, of levels of liquid `(h, w)`."""
    edges = canny(liquid, *_CANNY_THRESHOLDS)
    distance = np.full(liquid.shape, float(_LARGEST_DISTANCE))
    if edges.any():
        distance = np.minimum(ndimage.distance_transform_edt(~edges), _LARGEST_DISTANCE)
    distance = equalize(_mean_of_neighbors(distance).astype("uint8"))
    relief = ndimage.correlate(distance.astype("float32"), _RELIEF, mode="mirror")
    light = np.rint(_mean_of_neighbors(np.clip(relief, 0, 255)))
    drops = liquid.astype("float32") * light
    brightest = drops.max()
    return (drops / brightest if brightest > 0 else drops).astype("float32")


def _mean_of_neighbors(values: np.ndarray) -> np.ndarray:
    return ndimage.uniform_filter(values, 3, mode="mirror")


def canny(levels: np.ndarray, low: float, high: float) -> np.ndarray:
    """Finds edges by the algorithm of Canny with OpenCV's choices.

    Sobel gradients with the sum of absolute values, the largest across the edge in one of four
    directions, and edges above `low` that touch one above `high`.

    Args:
        levels: uint8 `(h, w)`.
        low: Lower threshold of the gradient.
        high: Upper threshold.

    Returns:
        Bool `(h, w)`.

    Reference:
        Canny, A Computational Approach to Edge Detection, 1986.
    """
    levels = levels.astype("int32")
    dx, dy = (ndimage.sobel(levels, axis=axis, mode="nearest") for axis in (1, 0))
    size = np.abs(dx) + np.abs(dy)
    around = np.pad(size, 1)
    height, width = size.shape

    def neighbor(y: int, x: int) -> np.ndarray:
        return around[1 + y : 1 + y + height, 1 + x : 1 + x + width]

    steep, flat = (np.abs(dy) > np.tan(np.deg2rad(angle)) * np.abs(dx) for angle in (67.5, 22.5))
    is_falling = (dx < 0) != (dy < 0)
    one = np.where(is_falling, neighbor(-1, 1), neighbor(-1, -1))
    other = np.where(is_falling, neighbor(1, -1), neighbor(1, 1))
    is_largest = np.where(
        steep,
        (size > neighbor(-1, 0)) & (size >= neighbor(1, 0)),
        np.where(
            flat,
            (size > one) & (size > other),
            (size > neighbor(0, -1)) & (size >= neighbor(0, 1)),
        ),
    )
    parts, _ = ndimage.label(is_largest & (size > low), structure=_NEIGHBORS)
    strong = np.unique(parts[is_largest & (size > high)])
    return np.isin(parts, strong[strong > 0])


def equalize(levels: np.ndarray) -> np.ndarray:
    """Equalizes the histogram of uint8 levels as OpenCV does; a constant image stays."""
    counts = np.bincount(levels.ravel(), minlength=256)
    lowest = int(levels.min())
    others = levels.size - counts[lowest]
    if others == 0:
        return levels
    counts[lowest] = 0
    table = np.rint(np.cumsum(counts) * (255 / others))
    return table.astype("uint8")[levels]

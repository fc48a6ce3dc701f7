"""Blur: Gaussian, defocus, glass, motion and zoom.

Operations take float32 images `(n, h, w, c)` in [0, 1], the random streams of the images and their
constants, and return images.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from scipy import ndimage

from keras_supcon.evaluation.corruptions.levels import to_levels
from keras_supcon.evaluation.corruptions.resampling import zoom
from keras_supcon.evaluation.corruptions.streams import Streams

# All weights below add less than a hundredth of a level.
_SMALLEST_WEIGHT = 1e-6


def gaussian_blur(images: np.ndarray, _: Streams, sigma: float) -> np.ndarray:
    """Takes Gaussian means of neighbors; borders are repeated."""
    return ndimage.gaussian_filter(images, (0, sigma, sigma, 0), mode="nearest")


def defocus_blur(images: np.ndarray, _: Streams, radius: float, alias_sigma: float) -> np.ndarray:
    """Correlates with a disk, whose edge is smoothed with `alias_sigma`; borders are mirrored."""
    kernel = disk(radius, alias_sigma)
    reach = len(kernel) // 2
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="reflect")
    blurred = np.zeros_like(images)
    # The upper half of the kernel is that of the lower half.
    for y in range(reach + 1):
        rows = padded[:, y : y + height]
        if y != reach:
            rows = rows + padded[:, 2 * reach - y : 2 * reach - y + height]
        for x in np.flatnonzero(kernel[y] > _SMALLEST_WEIGHT):
            blurred += kernel[y, x] * rows[:, :, x : x + width]
    return blurred


@functools.lru_cache(maxsize=16)
def disk(radius: float, alias_sigma: float) -> np.ndarray:
    """Returns the kernel of `defocus_blur`, `(2k + 1, 2k + 1)`, without zeros around it.

    The disk is smoothed within its own array of at least 17 pixels, whose border is mirrored. So a
    disk of radius 8 or 10, which touches that border, sums to 1.013 or 1.011. The published images
    are brighter by that.
    """
    reach, taps = (8, 3) if radius <= 8 else (math.ceil(radius), 5)
    places = np.arange(-reach, reach + 1)
    kernel = (places[:, None] ** 2 + places**2 <= radius**2).astype("float64")
    kernel /= kernel.sum()
    smoothing = np.exp(-((np.arange(taps) - taps // 2) ** 2) / (2 * alias_sigma**2))
    smoothing /= smoothing.sum()
    for axis in (0, 1):
        kernel = ndimage.correlate1d(kernel, smoothing, axis=axis, mode="mirror")
    margin = reach - int(np.abs(places[kernel.any(axis=0)]).max())
    return kernel[margin : len(kernel) - margin, margin : len(kernel) - margin].astype("float32")


def glass_blur(
    images: np.ndarray, streams: Streams, sigma: float, reach: int, iterations: int
) -> np.ndarray:
    """Copies pixels from neighbors up to `reach` pixels away, between two Gaussian blurs.

    The published code means to swap pixels. In NumPy it copies the neighbor onto the pixel, since
    both sides of its assignment are views of the same array, and so do the published images.
    """
    number, height, width, channels = images.shape
    blurred = to_levels(gaussian_blur(images, streams, sigma)).reshape(-1, channels)
    source = np.arange(number * height * width, dtype="int32").reshape(number, height, width)
    for _ in range(iterations):
        offsets = streams.integers((2, height, width), -reach, reach)
        source = source.ravel()[copied_pixels(offsets, reach)]
    shuffled = blurred[source].astype("float32") / 255
    return gaussian_blur(shuffled, streams, sigma)


def copied_pixels(offsets: np.ndarray, reach: int) -> np.ndarray:
    """Finds where each pixel comes from after one pass of copies, from the last pixel to the first.

    A pixel p copies what its neighbor q holds by then. Where q comes later in the pass, that is q
    itself; where q has been overwritten, it is what q had copied. Chains of such copies are
    followed by pointer jumping, in a few steps for all images at once.

    Args:
        offsets: Rows and columns from each pixel to its neighbor, `(n, 2, h, w)`.
        reach: Pixels nearer to the border than this are left, and one more row and column at the
            top and the left.

    Returns:
        Indices `(n, h, w)` into the pixels of all images.
    """
    number, _, height, width = offsets.shape
    inside = np.zeros((height, width), bool)
    inside[reach + 1 : height - reach + 1, reach + 1 : width - reach + 1] = True
    inside = np.tile(inside.ravel(), number)
    pixels = np.arange(number * height * width, dtype="int32")
    steps = offsets[:, 0].astype("int32") * width + offsets[:, 1]
    neighbors = np.where(inside, pixels + steps.ravel(), pixels)
    # The last pixel of a chain is the one whose neighbor has not been overwritten.
    last = np.where(inside.take(neighbors) & (neighbors > pixels), neighbors, pixels)
    while True:
        farther = last.take(last)
        if np.array_equal(farther, last):
            return neighbors.take(last).reshape(number, height, width)
        last = farther


def motion_blur(images: np.ndarray, streams: Streams, radius: int, sigma: float) -> np.ndarray:
    """Blurs along a direction within 45 degrees of the horizontal."""
    degrees = streams.uniform((1,), -45, 45)[:, 0]
    return smear(images, degrees, radius, sigma)


def smear(images: np.ndarray, degrees: np.ndarray, radius: int, sigma: float) -> np.ndarray:
    """Blurs each image along its own direction, as ImageMagick does.

    One half of a Gaussian of deviation `sigma`, over `2 * radius + 1` pixels, smears each image to
    one side. The result is rounded to levels of 1/255.
    """
    height, width = images.shape[1:3]
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    weights = (weights / weights.sum()).astype("float32")
    steps = steps[weights > _SMALLEST_WEIGHT]
    reach = len(steps)
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="edge")
    blurred = np.zeros_like(images)
    weighted = np.empty_like(images[0])
    for image, result, angle in zip(padded, blurred, np.deg2rad(degrees), strict=True):
        rows = reach + np.ceil(steps * np.sin(angle) - 0.5).astype(int)
        columns = reach + np.ceil(steps * np.cos(angle) - 0.5).astype(int)
        for y, x, weight in zip(rows.tolist(), columns.tolist(), weights, strict=False):
            np.multiply(image[y : y + height, x : x + width], weight, out=weighted)
            result += weighted
    return np.rint(blurred * 255) / 255


def zoom_blur(images: np.ndarray, _: Streams, largest: float, step: float) -> np.ndarray:
    """Takes the mean of an image and its zooms by 1, `1 + step`, ... as `np.arange` counts them.

    By its rounding `largest` itself is reached or not, and so it is in the published images.
    """
    factors = tuple(np.arange(1, largest, step).tolist())
    return (images + zoom(images, factors)) / (len(factors) + 1)

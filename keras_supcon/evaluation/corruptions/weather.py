"""Weather: snow, frost, fog and brightness; spatter has a module of its own.

Operations take float32 images `(n, h, w, c)` in [0, 1], the random streams of the images and their
constants, and return images that may leave [0, 1].
"""

from __future__ import annotations

import numpy as np

from keras_supcon.evaluation.corruptions.blur import smear
from keras_supcon.evaluation.corruptions.frost import NUM_PICTURES, frost_picture
from keras_supcon.evaluation.corruptions.levels import over_channels, to_gray, to_levels
from keras_supcon.evaluation.corruptions.resampling import zoom
from keras_supcon.evaluation.corruptions.streams import Streams


def snow(
    images: np.ndarray,
    streams: Streams,
    mean: float,
    deviation: float,
    factor: float,
    threshold: float,
    radius: int,
    sigma: float,
    share: float,
) -> np.ndarray:
    """Adds flakes to a paler image, of which `share` is the image itself.

    Flakes are noise, zoomed by `factor`, where it is above a threshold, smeared in a direction
    within 45 degrees of the vertical, and again turned by 180 degrees.
    """
    flakes = mean + deviation * streams.normal((*images.shape[1:3], 1))
    flakes = zoom(flakes, (factor,))
    flakes = to_levels(np.where(flakes < threshold, 0, flakes)).astype("float32") / 255
    flakes = smear(flakes, streams.uniform((1,), -135, -45)[:, 0], radius, sigma)
    pale = np.maximum(images, to_gray(images) * 1.5 + 0.5)
    return share * images + (1 - share) * pale + flakes + flakes[:, ::-1, ::-1]


def frost(
    images: np.ndarray, streams: Streams, share: float, of_frost: float, every: int
) -> np.ndarray:
    """Adds a random part of one of the pictures of `frost_picture`."""
    height, width = images.shape[1:3]
    frozen = share * images
    for image, (choice, top, left) in zip(frozen, streams.uniform((3,)), strict=True):
        picture = frost_picture(int(choice * NUM_PICTURES), every)
        side = len(picture)
        rows = (int(top * side) + np.arange(height)) % side
        columns = (int(left * side) + np.arange(width)) % side
        image += of_frost * picture[rows[:, None], columns]
    return frozen


def fog(images: np.ndarray, streams: Streams, amount: float, decay: float) -> np.ndarray:
    """Adds clouds, and scales the result so that the brightest value of an image stays."""
    height, width = images.shape[1:3]
    side = 1 << (max(height, width) - 1).bit_length()
    clouds = plasma(streams.uniform((side * side - 1,), -1, 1), side, decay)
    brightest = images.max(axis=(1, 2, 3), keepdims=True)
    foggy = images + amount * clouds[:, :height, :width, None]
    return foggy * (brightest / (brightest + amount))


def plasma(noise: np.ndarray, side: int, decay: float) -> np.ndarray:
    """Makes maps of heights by the diamond-square algorithm; opposite edges meet.

    Args:
        noise: A number in [-1, 1] for each point but the first, `(n, side * side - 1)`.
        side: A power of two.
        decay: The deviation of the noise is divided by its square at each halving of the step.

    Returns:
        `(n, side, side)`, from 0 to 1.
    """
    heights = np.zeros((len(noise), side, side), "float32")
    amplitude, used, step = 1.0, 0, side
    while step >= 2:
        half = step // 2
        corners = heights[:, ::step, ::step]
        right, down = np.roll(corners, -1, axis=2), np.roll(corners, -1, axis=1)
        centers = corners + right + down + np.roll(down, -1, axis=2)
        size = centers[0].size
        drawn = noise[:, used : used + 3 * size].reshape(-1, 3, *centers.shape[1:]) * amplitude
        centers = centers / 4 + drawn[:, 0]
        up, left = np.roll(centers, 1, axis=1), np.roll(centers, 1, axis=2)
        heights[:, half::step, half::step] = centers
        heights[:, ::step, half::step] = (corners + right + centers + up) / 4 + drawn[:, 1]
        heights[:, half::step, ::step] = (corners + down + centers + left) / 4 + drawn[:, 2]
        used += 3 * size
        step, amplitude = half, amplitude / decay**2
    heights -= heights.min(axis=(1, 2), keepdims=True)
    return heights / heights.max(axis=(1, 2), keepdims=True)


def brightness(images: np.ndarray, _: Streams, amount: float) -> np.ndarray:
    """Adds to the value of HSV; hue and saturation stay."""
    value = over_channels(np.maximum, images)
    brighter = np.minimum(value + amount, 1)
    # Colors are proportional to the value. Black becomes gray.
    return np.where(value > 0, images * (brighter / np.where(value > 0, value, 1)), brighter)

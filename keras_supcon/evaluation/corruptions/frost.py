"""Pictures of frost, drawn from fixed seeds.

They stand for the photographs from the web that ImageNet-C uses. Their colors and deviations are
near those of the photographs.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from scipy import ndimage

SIDE = 500
_SEED = 20190301  # any number


class _Style(NamedTuple):
    color: tuple[int, int, int]  # mean, in levels
    deviation: int  # in levels
    num_crystals: int
    longest: int  # crystal, in pixels
    sharpness: float  # of crystals before the haze


_STYLES = (
    _Style((78, 149, 166), 20, 150, 70, 0.5),
    _Style((201, 205, 214), 22, 450, 120, 1.0),
    _Style((200, 204, 214), 22, 850, 60, 1.0),
    _Style((138, 153, 165), 28, 1400, 30, 1.0),
    _Style((112, 123, 135), 42, 330, 110, 1.3),
)
NUM_PICTURES = len(_STYLES)


@functools.lru_cache(maxsize=2 * NUM_PICTURES)
def frost_picture(number: int, every: int = 1) -> np.ndarray:
    """Draws a picture of frost that continues at its opposite edge.

    Feathered crystals lie over a haze of smooth noise, lit from the upper left.

    Args:
        number: Which one, from 0 to 4.
        every: Takes every so many pixels, 1 or 5. So does OpenCV where CIFAR-10-C resizes its
            photographs to a fifth.

    Returns:
        Float32 `(500 / every, 500 / every, 3)`, in [0, 1].

    Example:

    >>> from keras_supcon.evaluation.corruptions.frost import frost_picture
    >>> frost_picture(0).shape, frost_picture(0, every=5).shape
    ((500, 500, 3), (100, 100, 3))
    """
    if every > 1:
        return frost_picture(number)[every // 2 :: every, every // 2 :: every]
    style = _STYLES[number]
    random = np.random.Generator(np.random.Philox(key=_SEED + number))
    crystals = np.zeros((SIDE, SIDE))
    for _ in range(style.num_crystals):
        _draw_crystal(crystals, random, style.longest)
    crystals = ndimage.gaussian_filter(crystals, 0.6, mode="wrap")
    crystals = (crystals - crystals.mean()) / crystals.std()
    smooth = ndimage.gaussian_filter(crystals, 0.5, mode="wrap")
    relief = smooth - np.roll(smooth, (2, 2), (0, 1))
    density = 0.7 + 0.3 * np.tanh(_smooth_noise(random, 1.6))
    light = style.sharpness * (crystals * density + 0.4 * relief)
    light += 0.8 * _smooth_noise(random, 1.4) - 0.5 * np.abs(_smooth_noise(random, 1.2))
    light = (light - light.mean()) / light.std()
    picture = (np.array(style.color) + style.deviation * light[..., None]) / 255
    return np.clip(picture, 0, 1).astype("float32")


def _draw_crystal(canvas: np.ndarray, random: np.random.Generator, longest: float) -> None:
    """Draws a bent stem with straight branches to both sides, of which one is darker."""
    length = longest * random.uniform(0.25, 1)
    stem = np.arange(0, length, 2.5)
    share = stem / length
    angles = random.uniform(0, 2 * np.pi) + random.uniform(-0.6, 0.6) * share
    y, x = random.uniform(0, SIDE, 2)
    ys, xs = y + np.cumsum(np.sin(angles)) * 2.5, x + np.cumsum(np.cos(angles)) * 2.5
    light = random.uniform(0.35, 1)
    _draw_points(
        canvas,
        *(np.interp(np.arange(0, length, 0.5), stem, places) for places in (ys, xs)),
        1.2 * light,
    )
    lengths = length * random.uniform(0.2, 0.45) * np.sin(np.pi * share**0.7)
    lengths *= random.uniform(0.6, 1, len(share))
    along = np.arange(0, max(lengths.max(), 1), 0.6)
    is_on = along <= lengths[:, None]
    fading = 1 - 0.7 * along / np.maximum(lengths, 1)[:, None]
    spread = random.uniform(0.6, 1.1)
    for side, of_side in ((1, light), (-1, light * random.uniform(0.3, 0.8))):
        branches = angles + side * spread
        _draw_points(
            canvas,
            (ys[:, None] + np.sin(branches)[:, None] * along)[is_on],
            (xs[:, None] + np.cos(branches)[:, None] * along)[is_on],
            (of_side * fading)[is_on],
        )


def _draw_points(canvas: np.ndarray, y: np.ndarray, x: np.ndarray, light: np.ndarray) -> None:
    np.maximum.at(canvas, (np.floor(y).astype(int) % SIDE, np.floor(x).astype(int) % SIDE), light)


def _smooth_noise(random: np.random.Generator, slope: float) -> np.ndarray:
    """Returns noise whose amplitude falls with the frequency to the power of `slope`."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE))
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(random.standard_normal((SIDE, SIDE))) * frequency**-slope
    noise = np.fft.irfft2(spectrum, s=(SIDE, SIDE))
    return noise / noise.std()

"""Images in [0, 1] as the 256 levels of their pixels, and in gray."""

import functools

import numpy as np

# What float32 left just below a level belongs to that level.
_ROUNDING = 1e-3


def to_levels(images: np.ndarray) -> np.ndarray:
    """Converts images to uint8: clips them to [0, 1] and truncates to levels of 1/255.

    The published images are truncated too.
    """
    levels = np.clip(images, 0, 1)
    levels *= 255
    levels += _ROUNDING
    return levels.astype("uint8")


def to_gray(images: np.ndarray) -> np.ndarray:
    """Returns the luminance (ITU-R BT.601) of images `(n, h, w, 1 or 3)`, `(n, h, w, 1)`."""
    if images.shape[-1] == 1:
        return images
    red, green, blue = _channels(images)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def over_channels(function: np.ufunc, images: np.ndarray) -> np.ndarray:
    """Reduces images to one channel, several times as fast as `function.reduce`."""
    return functools.reduce(function, _channels(images))


def _channels(images: np.ndarray) -> list[np.ndarray]:
    return [images[..., i : i + 1] for i in range(images.shape[-1])]

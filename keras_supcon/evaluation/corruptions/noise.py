"""Noise: Gaussian, shot, impulse and speckle.

Operations take float32 images `(n, h, w, c)` in [0, 1], the random streams of the images and their
constants, and return images that may leave [0, 1].
"""

import numpy as np

from keras_supcon.evaluation.corruptions.streams import Streams


def gaussian_noise(images: np.ndarray, streams: Streams, deviation: float) -> np.ndarray:
    """Adds noise of one deviation to all values."""
    return images + deviation * streams.normal(images.shape[1:])


def shot_noise(images: np.ndarray, streams: Streams, photons: float) -> np.ndarray:
    """Counts the photons of each value; white has `photons` on average."""
    return streams.poisson(images * photons) / photons


def impulse_noise(images: np.ndarray, streams: Streams, share: float) -> np.ndarray:
    """Sets a share of the values to 0 or 1, each channel of a pixel by itself."""
    chance = streams.uniform(images.shape[1:])
    return np.where(chance < share, (chance < share / 2).astype("float32"), images)


def speckle_noise(images: np.ndarray, streams: Streams, deviation: float) -> np.ndarray:
    """Adds noise whose deviation is a share of the value."""
    return images + images * deviation * streams.normal(images.shape[1:])

"""Digital: contrast, elastic transform, pixelation, JPEG compression and saturation.

Operations take float32 images `(n, h, w, c)` in [0, 1], the random streams of the images and their
constants, and return images that may leave [0, 1].
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import fft

from keras_supcon.evaluation.corruptions.levels import over_channels, to_levels
from keras_supcon.evaluation.corruptions.resampling import sample
from keras_supcon.evaluation.corruptions.streams import Streams


def contrast(images: np.ndarray, _: Streams, share: float) -> np.ndarray:
    """Moves the values of each channel toward their mean."""
    # Sums of whole levels are exact, whatever their order.
    means = np.rint(images * 255).mean(axis=(1, 2), keepdims=True, dtype="float64") / 255
    means = means.astype("float32")
    return (images - means) * share + means


def elastic_transform(
    images: np.ndarray, streams: Streams, unit: float, alpha: float, sigma: float, affine: float
) -> np.ndarray:
    """Distorts by a random affine map, then by smooth random displacements.

    Args:
        images: `(n, h, w, c)`.
        streams: Random numbers.
        unit: Factor of the shorter side that gives the unit of the other constants.
        alpha: Factor of the displacements.
        sigma: Deviation of the Gaussian that smooths the displacements.
        affine: Largest displacement of a corner of the affine map.
    """
    height, width = images.shape[1:3]
    unit *= min(height, width)
    corners = streams.uniform((3, 2), -affine * unit, affine * unit)
    y, x = _affine_places(corners.astype("float64"), height, width)
    images = sample(images, y, x, repeat_edge=False)
    displacements = streams.uniform((2, height, width), -1, 1)
    displacements = alpha * unit * smooth(displacements, sigma * unit)
    y, x = np.mgrid[:height, :width].astype("float32")
    return sample(images, y + displacements[:, 0], x + displacements[:, 1], repeat_edge=True)


def _affine_places(displacements: np.ndarray, height: int, width: int) -> tuple:
    """Finds where each pixel comes from, float32 `(n, h, w)` each for rows and columns.

    The affine map moves three corners of a square about the center, two thirds of the shorter side
    wide, by `displacements` `(n, 3, 2)`, columns before rows.
    """
    half = min(height, width) // 3
    corners = np.array([width // 2, height // 2]) + half * np.array([[1, 1], [1, -1], [-1, -1]])
    moved = np.concatenate([corners + displacements, np.ones((len(displacements), 3, 1))], axis=2)
    back = np.linalg.solve(moved, np.broadcast_to(corners, displacements.shape).astype("float64"))
    rows, columns = np.mgrid[:height, :width]
    x, y = (
        back[:, 0, i, None, None] * columns
        + back[:, 1, i, None, None] * rows
        + back[:, 2, i, None, None]
        for i in (0, 1)
    )
    return y.astype("float32"), x.astype("float32")


def smooth(planes: np.ndarray, sigma: float) -> np.ndarray:
    """Filters planes `(..., h, w)` by a Gaussian that is cut at 3 deviations; borders are mirrored.

    The cosine transform turns such a filter into a product, which takes no longer for the 1,000
    weights of a deviation of 170 pixels.
    """
    height, width = planes.shape[-2:]
    transfer = _transfer(height, sigma)[:, None] * _transfer(width, sigma)
    return fft.idctn(fft.dctn(planes, axes=(-2, -1)) * transfer, axes=(-2, -1))


@functools.lru_cache(maxsize=8)
def _transfer(size: int, sigma: float) -> np.ndarray:
    """Returns the factor of each frequency of a line under the filter of `smooth`."""
    reach = int(3 * sigma + 0.5)
    places = np.arange(-reach, reach + 1)
    weights = np.exp(-(places**2) / (2 * sigma**2)) if reach else np.ones(1)
    frequencies = np.pi * np.arange(size)[:, None] / size
    return (np.cos(frequencies * places) @ (weights / weights.sum())).astype("float32")


def pixelate(images: np.ndarray, _: Streams, share: float) -> np.ndarray:
    """Shrinks to a share of the sides and back, each with a box filter."""

    def shrink(image: Image.Image) -> Image.Image:
        width, height = image.size
        small = image.resize((int(width * share), int(height * share)), Image.Resampling.BOX)
        return small.resize((width, height), Image.Resampling.BOX)

    return _with_pillow(images, shrink)


def jpeg_compression(images: np.ndarray, _: Streams, quality: int) -> np.ndarray:
    """Writes and reads a JPEG file of a quality."""

    def compress(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return _with_pillow(images, compress)


def _with_pillow(images: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    changed = np.empty_like(images)
    for image, result in zip(to_levels(images), changed, strict=True):
        picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
        result[...] = np.asarray(change(picture)).reshape(image.shape)
    return changed / 255


def saturate(images: np.ndarray, _: Streams, factor: float, amount: float) -> np.ndarray:
    """Changes the saturation of HSV; hue and value stay. Gray has the hue of red."""
    value = over_channels(np.maximum, images)
    chroma = value - over_channels(np.minimum, images)
    saturation = chroma / np.where(value > 0, value, 1)
    saturated = np.clip(saturation * factor + amount, 0, 1)
    is_gray = chroma == 0
    # From the value down to each channel, as a share of the chroma.
    depth = (value - images) / np.where(is_gray, 1, chroma)
    depth = np.where(is_gray, np.array([0, 1, 1], "float32"), depth)
    return value * (1 - saturated * depth)

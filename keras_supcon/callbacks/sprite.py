"""Thumbnails of many images in one picture, as TensorBoard's projector takes them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

# The largest picture that the projector takes, and thumbnails of a legible size.
_LARGEST_SIDE = 8192
_THUMBNAIL_SIDE = 64


def check_pictures(name: str, images: Any) -> None:
    """Checks that images can be shown.

    Raises:
        ValueError: If they are not `(n, height, width, channels)` with 1, 3 or 4 channels.
    """
    shape = getattr(images, "shape", ())
    if (
        len(shape) != 4
        or shape[3] not in (1, 3, 4)
        or 0 in shape
        or images.dtype.kind not in "biuf"
    ):
        raise ValueError(
            f"`{name}` should be pictures of shape (n, height, width, channels) with 1, 3 or 4 "
            "channels; `images=False` writes no thumbnails. Received: "
            + (f"{name}.shape={tuple(shape)}" if shape else type(images).__name__)
        )


def thumbnail_size(images: np.ndarray) -> tuple[int, int]:
    """Returns the height and width of the thumbnails.

    They have the shape of the images and are no larger than these, than 64 pixels, and than lets
    all of them fit into 8192 x 8192 pixels.

    Args:
        images: `(n, height, width, channels)`.
    """
    number, height, width = images.shape[:3]
    largest = min(_THUMBNAIL_SIDE, _LARGEST_SIDE // _columns(number))
    scale = min(1.0, largest / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def draw_sprite(images: np.ndarray) -> Image:
    """Draws all images as thumbnails in the rows of one picture, from its top left.

    Args:
        images: `(n, height, width, channels)`.

    Returns:
        A picture with as many columns as rows; the last rows may be empty.
    """
    from PIL import Image

    height, width = thumbnail_size(images)
    columns = _columns(len(images))
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[images.shape[3]]
    low, high = _range(images)
    sprite = Image.new(mode, (columns * width, columns * height))
    for place, image in enumerate(images):
        pixels = np.clip(255 * (image.astype("float64") - low) / (high - low), 0, 255)
        pixels = np.nan_to_num(pixels).round().astype("uint8")
        picture = Image.fromarray(pixels[:, :, 0] if mode == "L" else pixels)
        if picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.BOX)
        row, column = divmod(place, columns)
        sprite.paste(picture, (column * width, row * height))
    return sprite


def _columns(number: int) -> int:
    return math.isqrt(number - 1) + 1


def _range(images: np.ndarray) -> tuple[float, float]:
    """Returns the values that are black and white."""
    low, high = float(np.nanmin(images)), float(np.nanmax(images))
    if low >= 0 and high <= 255 and (images.dtype.kind in "iu" or high > 1):
        return 0.0, 255.0
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return low, high if high > low else low + 1

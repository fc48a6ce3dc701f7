"""Reads picture files as small RGB images."""

import pathlib

import numpy as np
from PIL import Image

SIDE = 32


def read_small(path: pathlib.Path, crop: bool = False) -> np.ndarray:
    """Reads a picture as uint8 `(32, 32, 3)`, with white where it is transparent.

    One that is not square is centered on a white square. It is resized bicubically with
    antialiasing.

    Args:
        path: The file.
        crop: Whether to leave out transparent margins.

    Raises:
        ValueError: If it cannot be decoded.
    """
    try:
        with Image.open(path) as file:
            picture = file.convert("RGBA")
    except (OSError, SyntaxError) as error:  # the latter from broken PNG chunks
        raise ValueError(
            f"A picture should be a file that Pillow decodes. Received: {str(path)!r}, {error}"
        ) from error
    if crop:
        picture = picture.crop(picture.getchannel("A").getbbox())
    side = max(picture.size)
    square = Image.new("RGBA", (side, side), "white")
    square.alpha_composite(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return np.asarray(square.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC))

"""Figures as PNG files."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keras_supcon.evaluation.reporting.names import key_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 110
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def as_pngs(
    figure: Figure | Callable[[bool], Figure] | bytes,
) -> tuple[bytes, bytes, dict[str, str]]:
    """Returns a figure as PNG for a wide screen and for a phone, and the key of its names.

    Args:
        figure: A figure or a PNG, which serves both; or a function that draws a figure for a phone
            if its only argument is True, and for a wide screen otherwise.

    Returns:
        `(wide, narrow, key)`: the key is from a text in a chart to the name that it stands for.

    Raises:
        ValueError: If it is none of these.
    """
    from matplotlib.figure import Figure

    if callable(figure) and not isinstance(figure, Figure):
        wide, narrow = figure(False), figure(True)
        return _as_png(wide), _as_png(narrow), {**_key_of(wide), **_key_of(narrow)}
    png = _as_png(figure)
    return png, png, _key_of(figure)


def _key_of(figure: Figure | bytes) -> dict[str, str]:
    return {} if isinstance(figure, bytes) else key_of(figure)


def _as_png(figure: Any) -> bytes:
    from matplotlib.figure import Figure

    if isinstance(figure, bytes) and figure.startswith(_SIGNATURE):
        return _check_whole(figure)
    if not isinstance(figure, Figure):
        raise ValueError(
            "`figure` should be a matplotlib figure, a function that draws one, or the bytes of a "
            f"PNG file. Received: {type(figure).__name__}"
        )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    return buffer.getvalue()


def _check_whole(png: bytes) -> bytes:
    """Checks that a PNG can be decoded, since a browser would show half a picture or none."""
    from PIL import Image  # which matplotlib needs

    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"`figure` should be a PNG file that can be decoded. Received: {len(png)} bytes "
            f"({error})"
        ) from error
    return png

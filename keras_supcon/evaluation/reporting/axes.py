"""Axes of charts: their size, names beside them, and legends."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from keras_supcon.evaluation.reporting.figures import NARROW_WIDTH, new_figure
from keras_supcon.evaluation.reporting.names import DrawnNames, note_key

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.ticker import Formatter

_WIDTH = 6.6
_HEIGHT, _NARROW_HEIGHT = 4.0, 3.2
# Inches, of letters of 10 points: a character, one of a Chinese or Japanese text, and a line.
_CHARACTER, _WIDE_CHARACTER, LINE = 0.085, 0.14, 0.22
# The line or square before a name in a legend, with the spaces around it.
_HANDLE = 0.55


def width_of(narrow: bool) -> float:
    """Returns the width of a chart in inches."""
    return NARROW_WIDTH if narrow else _WIDTH


def new_axes(narrow: bool, height: float | None = None) -> Axes:
    """Returns the axes of a new figure; `height` in inches."""
    height = height or (_NARROW_HEIGHT if narrow else _HEIGHT)
    return new_figure(width_of(narrow), height).subplots()


def text_width(text: str) -> float:
    """Estimates the width of a text in inches."""
    is_wide = [unicodedata.east_asian_width(character) in "WF" for character in text]
    return sum(_WIDE_CHARACTER if wide else _CHARACTER for wide in is_wide)


def widest(texts: Sequence[str]) -> float:
    """Estimates the width of the widest text in inches; 0 of none."""
    return max(map(text_width, texts), default=0.0)


def name_places(axes: Axes, which: Literal["x", "y"], names: DrawnNames, room: float) -> None:
    """Writes names at 0, 1, ... of an axis; only some of them if they are too many.

    Args:
        axes: The axes.
        which: The axis. Names on x are upright if they are too wide to stand side by side.
        names: A name for each place.
        room: Inches for each place.
    """
    upright = which == "x" and widest(names.texts) + _CHARACTER > room
    step = max(1, math.ceil((LINE if upright or which == "y" else 0) / room))
    set_ticks = axes.set_xticks if which == "x" else axes.set_yticks
    shown = range(0, len(names.texts), step)
    rotation = {"rotation": 90} if upright else {}
    set_ticks(shown, names.texts[::step], **rotation, **names.properties)
    note_key(axes.figure, names)


def label_axes(axes: Axes, x_label: str, y_label: str) -> None:
    """Writes labels verbatim, beside faint lines."""
    axes.set_xlabel(x_label, parse_math=False)
    axes.set_ylabel(y_label, parse_math=False)
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    hide_sides(axes, "top", "right")


def hide_sides(axes: Axes, *sides: str) -> None:
    """Hides sides of the frame."""
    for side in sides:
        axes.spines[side].set_visible(False)


def in_percent() -> Formatter:
    """Returns what writes shares in percent."""
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda share, _: f"{100 * share:.4g}%")


def add_legend(axes: Axes, names: DrawnNames) -> None:
    """Adds a legend above the axes, for which the figure grows.

    Args:
        axes: Axes whose labeled parts are in the order of the names. A label must not begin with
            `_`, or matplotlib leaves it out.
        names: What the legend says of them.
    """
    figure = axes.figure
    column = _HANDLE + widest(names.texts)
    columns = max(1, min(len(names.texts), int((figure.get_figwidth() - 0.2) / column)))
    figure.set_figheight(figure.get_figheight() + LINE * math.ceil(len(names.texts) / columns))
    legend = figure.legend(
        frameon=False, loc="outside upper left", ncols=columns, columnspacing=1, handlelength=1.5
    )
    for text, name in zip(legend.get_texts(), names.texts, strict=True):
        text.set(text=name, **names.properties)
    note_key(figure, names)

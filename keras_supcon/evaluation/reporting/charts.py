"""Charts of results, as matplotlib figures.

`narrow` draws a chart for a phone: as wide as its screen, with legible letters. Values that are NaN
are left out. Names are shown verbatim, as `draw_names` draws them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_supcon.evaluation.reporting.axes import (
    LINE,
    add_legend,
    hide_sides,
    in_percent,
    label_axes,
    name_places,
    new_axes,
    text_width,
    widest,
    width_of,
)
from keras_supcon.evaluation.reporting.figures import NARROW_WIDTH, new_figure
from keras_supcon.evaluation.reporting.names import draw_names
from keras_supcon.extras import require_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE_STYLES = ("-", "--", ":", "-.")
_COLORS = 10  # of matplotlib's usual cycle
# More would make a picture that nobody scrolls through.
_MOST_NAMED = 40
_MOST_TICKS, _SMALLEST_NAMED = 12, 1e-4
# Inches around the axes, for ticks and labels, and of a bar.
_MARGIN, _WIDEST_BAR = 0.9, 0.7
_GRAY, _GAP = "0.4", "tab:red"


def draw_lines(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    x_label: str,
    y_label: str,
    *,
    log_x: bool = False,
    marks: Mapping[str, float] | None = None,
    intervals: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
    percent: bool = False,
    narrow: bool = False,
) -> Figure:
    """Draws lines, with a legend if there is more than one thing to name.

    Args:
        series: From the name of a line to its x and y values.
        x_label: What x is.
        y_label: What y is.
        log_x: Whether the x axis is logarithmic.
        marks: From a name to the x of a vertical line. One that has the name of a line has its
            color too, and no place in the legend.
        intervals: From the name of a line to the low and high y values of a band around it.
        percent: Whether y values are shares, which are written in percent.
        narrow: Whether the chart is for a phone.

    Returns:
        The chart.
    """
    require_extra("report", "matplotlib", by="`draw_lines`")
    marks = marks or {}
    axes = new_axes(narrow)
    for number, (name, (x, y)) in enumerate(series.items()):
        color, style = f"C{number % _COLORS}", _LINE_STYLES[number // _COLORS % len(_LINE_STYLES)]
        axes.plot(x, y, style, marker=".", color=color, label=str(number))
        if name in marks:
            axes.axvline(marks[name], color=color, linestyle="--", linewidth=1)
        if intervals and name in intervals:
            axes.fill_between(x, *intervals[name], color=color, alpha=0.2, linewidth=0)
    marks = {name: x for name, x in marks.items() if name not in series}
    for number, x in enumerate(marks.values()):
        style = _LINE_STYLES[1 + number % (len(_LINE_STYLES) - 1)]
        axes.axvline(x, color=_GRAY, linestyle=style, linewidth=1, label=str(number))
    if log_x:
        axes.set_xscale("log")
    _name_values(axes, np.concatenate([[], *(x for x, _ in series.values())]), log_x, narrow)
    label_axes(axes, x_label, y_label)
    if percent:
        axes.yaxis.set_major_formatter(in_percent())
    if len(series) + len(marks) > 1:
        add_legend(axes, draw_names([*series, *marks]))
    return axes.figure


def _name_values(axes: Axes, values: np.ndarray, log_x: bool, narrow: bool) -> None:
    """Writes the values below an axis that have points, if they are few and not tiny."""
    from matplotlib.ticker import NullLocator

    values = np.unique(values[np.isfinite(values) & ((values > 0) | (not log_x))])
    if not 2 <= len(values) <= _MOST_TICKS or np.abs(values[values != 0]).min() < _SMALLEST_NAMED:
        return
    places = np.log(values) if log_x else values
    places = (places - places[0]) * (width_of(narrow) - _MARGIN) / (places[-1] - places[0])
    names, last = {values[0]: _number(values[0])}, 0
    for number, value in enumerate(values[1:], start=1):
        width = text_width(f"{_number(value)} {names[values[last]]}") / 2
        if places[number] - places[last] > width:  # no overlap
            names[value], last = _number(value), number
    axes.set_xticks(list(names), list(names.values()))
    axes.xaxis.set_minor_locator(NullLocator())


def _number(value: float) -> str:
    return f"{value:,.0f}" if value % 1 == 0 else f"{value:.4g}"


def draw_bars(
    values: Mapping[str, float] | Mapping[str, Mapping[str, float]],
    y_label: str,
    *,
    intervals: Mapping[str, tuple[float, float] | None]
    | Mapping[str, Mapping[str, tuple[float, float] | None]]
    | None = None,
    percent: bool = False,
    narrow: bool = False,
) -> Figure:
    """Draws bars or groups of bars; horizontal ones if their names are long or many.

    More than 40 bars are thin and vertical, and only some of them are named.

    Args:
        values: From the name of a bar to its value, or from the name of a group to such a mapping.
        y_label: What the values are.
        intervals: From the same names to the low and high value of an interval, or None.
        percent: Whether values are shares, which are written in percent.
        narrow: Whether the chart is for a phone.

    Returns:
        The chart.
    """
    require_extra("report", "matplotlib", by="`draw_bars`")
    is_grouped = any(isinstance(one, Mapping) for one in values.values())
    groups, spans = values, intervals or {}
    if not is_grouped:
        groups, spans = (
            {name: {"": one} for name, one in both.items()} for both in (groups, spans)
        )
    series = list(dict.fromkeys(name for group in groups.values() for name in group))
    names, places = draw_names(list(groups)), np.arange(len(groups))
    room = (width_of(narrow) - _MARGIN) / max(len(groups), 1)
    is_flat = widest(names.texts) > room and len(groups) <= _MOST_NAMED
    thickness = 0.8 / max(len(series), 1)
    if not is_flat:
        thickness = min(thickness, _WIDEST_BAR / room)
    line = LINE * max(1.0, 0.7 * len(series))  # a flat group
    axes = new_axes(narrow, _MARGIN + line * len(groups) if is_flat else None)
    for number, name in enumerate(series):
        at = places + (number - (len(series) - 1) / 2) * thickness
        lengths = np.array([group.get(name, np.nan) for group in groups.values()], "float64")
        draw = axes.barh if is_flat else axes.bar
        draw(at, lengths, thickness, color=f"C{number % _COLORS}", label=str(number))
        ends = [spans.get(group, {}).get(name) or (np.nan, np.nan) for group in groups]
        _draw_intervals(axes, at, lengths, np.reshape(ends, (-1, 2)), is_flat)
    if is_flat:
        name_places(axes, "y", names, line)
        axes.set_ylim(len(groups) - 0.5, -0.5)
    else:
        name_places(axes, "x", names, room)
        axes.set_xlim(-0.5, max(len(groups), 1) - 0.5)
    label_axes(axes, y_label if is_flat else "", "" if is_flat else y_label)
    axes.grid(visible=False, axis="y" if is_flat else "x")
    if percent:
        (axes.xaxis if is_flat else axes.yaxis).set_major_formatter(in_percent())
    if is_grouped:
        add_legend(axes, draw_names(series))
    return axes.figure


def _draw_intervals(
    axes: Axes, at: np.ndarray, lengths: np.ndarray, ends: np.ndarray, is_flat: bool
) -> None:
    """Draws the low and high end `(n, 2)` of each bar; none where there is no number."""
    known = np.isfinite(lengths) & np.isfinite(ends).all(axis=1)
    at, lengths, (low, high) = at[known], lengths[known], ends[known].T
    errors = np.maximum([lengths - low, high - lengths], 0)
    if not known.any():
        return
    style = {"fmt": "none", "ecolor": "0.2", "elinewidth": 1, "capsize": 2}
    if is_flat:
        axes.errorbar(lengths, at, xerr=errors, **style)
    else:
        axes.errorbar(at, lengths, yerr=errors, **style)


def draw_reliability(
    edges: np.ndarray,
    accuracy: np.ndarray,
    confidence: np.ndarray,
    counts: np.ndarray,
    title: str,
    *,
    narrow: bool = False,
) -> Figure:
    """Draws a reliability diagram: accuracy by confidence, above the share of images in each bin.

    Args:
        edges: Borders of the bins `(bins + 1,)`, in [0, 1].
        accuracy: Accuracy in each bin `(bins,)`; NaN in an empty one.
        confidence: Mean confidence in each bin `(bins,)`; NaN in an empty one.
        counts: Number of images in each bin `(bins,)`.
        title: Title of the diagram.
        narrow: Whether the diagram is for a phone.

    Returns:
        The diagram.
    """
    require_extra("report", "matplotlib", by="`draw_reliability`")
    edges, accuracy, confidence = (np.asarray(x, "float64") for x in (edges, accuracy, confidence))
    shares = np.asarray(counts) / max(np.sum(counts), 1)
    left, width = edges[:-1], np.diff(edges)
    figure = new_figure(*((NARROW_WIDTH, 4.6) if narrow else (5.4, 5.8)))
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    style = {"align": "edge", "linewidth": 0.5}
    axes.bar(left, accuracy, width, color="C0", edgecolor="white", label="accuracy", **style)
    # Hatched, to be seen over the bar of a bin that is more accurate than confident.
    gap = {"facecolor": (_GAP, 0.3), "edgecolor": _GAP, "hatch": "//"}
    gap["label"] = "gap to mean confidence"
    axes.bar(left, confidence - accuracy, width, bottom=accuracy, **gap, **style)
    axes.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=1, label="calibrated")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_title(title, fontsize=10, wrap=True, parse_math=False)
    label_axes(axes, "", "accuracy")
    figure.legend(
        loc="outside upper center", ncols=2 if narrow else 3, frameon=False, handlelength=1.5
    )
    below.bar(left, shares, width, color="0.6", edgecolor="white", **style)
    label_axes(below, "confidence", "images")
    for one in (axes.xaxis, axes.yaxis, below.yaxis):
        one.set_major_formatter(in_percent())
    return figure


def draw_heatmap(
    values: np.ndarray,
    row_names: Sequence[str],
    column_names: Sequence[str],
    *,
    percent: bool = False,
    narrow: bool = False,
) -> Figure:
    """Draws a table of numbers, dark where they are large; with the numbers if there is room.

    Args:
        values: `(rows, columns)`.
        row_names: Names of the rows.
        column_names: Names of the columns.
        percent: Whether values are shares, from white at 0% to dark at 100%.
        narrow: Whether the chart is for a phone.

    Returns:
        The chart.

    Raises:
        ValueError: If there are no values, or not as many names as rows and columns.
    """
    require_extra("report", "matplotlib", by="`draw_heatmap`")
    values = np.asarray(values, "float64")
    if values.shape != (len(row_names), len(column_names)) or not values.size:
        raise ValueError(
            "`values` should be (rows, columns), as many as names, and at least one of each. "
            f"Received: values of shape {values.shape}, {len(row_names)} names of rows and "
            f"{len(column_names)} of columns"
        )
    known = values[np.isfinite(values)]
    low, high = (known.min(), known.max()) if known.size and not percent else (0.0, 1.0)
    rows, columns = draw_names(row_names), draw_names(column_names)
    line = 1.2 * LINE * min(1.0, _MOST_NAMED / len(values))
    room = (width_of(narrow) - 0.3 - widest(rows.texts)) / values.shape[1]
    upright = widest(columns.texts) if widest(columns.texts) > room else 0.0
    axes = new_axes(narrow, 0.5 + line * len(values) + upright)
    axes.imshow(values, cmap="Blues", vmin=low, vmax=high, aspect="auto")
    name_places(axes, "y", rows, line)
    name_places(axes, "x", columns, room)
    axes.tick_params(length=0)
    hide_sides(axes, "top", "right", "bottom", "left")
    texts = {
        place: f"{value:.0%}" if percent else f"{value:.3g}"
        for place, value in np.ndenumerate(values)
    }
    if 0.8 * widest(list(texts.values())) > room or line < LINE:
        return axes.figure
    for (row, column), text in texts.items():
        value = values[row, column]
        if np.isfinite(value):
            color = "white" if value > low + 0.6 * (high - low) else "black"
            style = {"ha": "center", "va": "center", "fontsize": 8}
            axes.text(column, row, text, color=color, **style)
    return axes.figure

"""Pictures of what was found of claims."""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_supcon.evaluation.reporting.axes import LINE, hide_sides, label_axes, new_axes
from keras_supcon.evaluation.reporting.charts import draw_lines
from keras_supcon.experiments.claims.claim import CONTRADICTED, HOLDS, NOT_SHOWN, Comparison
from keras_supcon.experiments.claims.outcome import Compared, Outcome, comparison_name
from keras_supcon.experiments.trials import (
    NO_SHARES,
    PairedDifference,
    paired_difference,
    scale_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLORS = {HOLDS: "tab:green", NOT_SHOWN: "0.35", CONTRADICTED: "tab:red"}
_EXPECTED = "0.92"
# Characters of a line of text, and inches: below the rows, and of what is drawn of a row.
_LINE_LENGTH, _NARROW_LINE_LENGTH, _BELOW, _ROW = 74, 40, 0.75, 0.3


@dataclasses.dataclass(frozen=True)
class _Row:
    """A difference in a picture: its text, numbers in points where they are shares, and band."""

    text: str
    differences: np.ndarray
    low: float
    high: float
    expected: tuple[float, float]
    verdict: str


def draw_outcome(outcome: Outcome, narrow: bool = False) -> Figure:
    """Draws what was found of a claim.

    That is a line over the values of its axis if it has one, else each difference with its interval
    and a dot for each seed, on a band where the claim expects it.

    Args:
        outcome: What was found.
        narrow: Whether the picture is for a phone.

    Returns:
        The picture.
    """
    if outcome.exact is not None:
        exact = outcome.exact
        return draw_lines(exact.values, exact.x_label, exact.y_label, narrow=narrow)
    if outcome.claim.axis is not None:
        return _draw_axis(outcome, narrow)
    rows = [_row(f"{comparison_name(one)}: {one.verdict}", one) for one in outcome.compared]
    is_share = outcome.compared[0].comparison.number not in NO_SHARES
    return _draw_rows(rows, "difference, in points" if is_share else "difference", narrow)


def draw_verdicts(outcomes: Sequence[Outcome], narrow: bool = False) -> Figure:
    """Draws the difference that decided each claim.

    Args:
        outcomes: What was found; computed claims and numbers that are no shares are left out.
        narrow: Whether the picture is for a phone.

    Returns:
        The picture.
    """
    rows = [
        _row(f"{one.claim.title}: {one.verdict}", one.decisive)
        for one in outcomes
        if one.decisive is not None and one.decisive.comparison.number not in NO_SHARES
    ]
    return _draw_rows(rows, "difference, in points", narrow)


def _row(text: str, compared: Compared) -> _Row:
    comparison, found = compared.comparison, compared.difference
    scale = scale_of(comparison.number)
    low, high = _expected_range(comparison)
    return _Row(
        text,
        scale * np.array(found.differences),
        scale * found.low,
        scale * found.high,
        (scale * low, scale * high),
        compared.verdict,
    )


def _expected_range(comparison: Comparison) -> tuple[float, float]:
    margin = comparison.margin
    return {
        "higher": (0.0, math.inf),
        "lower": (-math.inf, 0.0),
        "equal": (-margin, margin),
        "not lower": (-margin, math.inf),
    }[comparison.expected]


def _draw_rows(rows: Sequence[_Row], x_label: str, narrow: bool) -> Figure:
    """Draws rows of intervals, the text of each above it over the whole width."""
    texts = [
        textwrap.fill(row.text, _NARROW_LINE_LENGTH if narrow else _LINE_LENGTH) for row in rows
    ]
    heights = [_ROW + LINE * (text.count("\n") + 1) for text in texts]
    bottoms = np.cumsum(heights)
    axes = new_axes(narrow, _BELOW + float(bottoms[-1]))
    values = np.concatenate([[0.0], *([*row.differences, row.low, row.high] for row in rows)])
    values = values[np.isfinite(values)]
    room = 0.08 * max(float(np.ptp(values)), 1e-9)
    left, right = values.min() - room, values.max() + room
    for row, text, height, bottom in zip(rows, texts, heights, bottoms, strict=True):
        _draw_row(axes, row, bottom - _ROW / 2, (left, right))
        axes.text(
            left,
            bottom - height + 0.04,
            text,
            va="top",
            color=_COLORS[row.verdict],
            parse_math=False,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    axes.axvline(0, color="0.2", linewidth=1)
    axes.set_xlim(left, right)
    axes.set_ylim(float(bottoms[-1]) + 0.05, -0.05)
    axes.set_yticks([])
    label_axes(axes, x_label, "")
    hide_sides(axes, "left")
    return axes.figure


def _draw_row(axes: Axes, row: _Row, at: float, ends: tuple[float, float]) -> None:
    begin, end = np.clip(row.expected, *ends)
    axes.barh(at, end - begin, 0.8 * _ROW, begin, color=_EXPECTED, zorder=0.5)
    color = _COLORS[row.verdict]
    axes.plot(row.differences, [at] * len(row.differences), "o", color=color, alpha=0.35, ms=3.5)
    if np.isfinite([row.low, row.high]).all():
        axes.plot([row.low, row.high], [at, at], color=color, linewidth=2)
        axes.plot(row.differences.mean(), at, "D", color=color, ms=6)


def _draw_axis(outcome: Outcome, narrow: bool) -> Figure:
    """Draws the number of each arm over the number in its name, a line for each kind of arm."""
    number = outcome.claim.comparisons[0].number
    lines: dict[str, list[tuple[float, PairedDifference]]] = {}
    for arm, numbers in outcome.arms.items():
        kind, _, value = arm.rpartition(" ")
        span = paired_difference(numbers[number], np.zeros(len(numbers[number])))
        lines.setdefault(kind, []).append((float(value), span))
    series, intervals = {}, {}
    for kind, points in lines.items():
        points.sort(key=lambda point: point[0])
        spans = [span for _, span in points]
        series[kind] = [x for x, _ in points], [one.mean for one in spans]
        intervals[kind] = [one.low for one in spans], [one.high for one in spans]
    return draw_lines(
        series,
        outcome.claim.axis,
        number.replace("_", " "),
        log_x=True,
        intervals=intervals,
        percent=True,
        narrow=narrow,
    )

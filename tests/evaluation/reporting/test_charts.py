"""Charts draw any number of things, leave NaN out, and fit a phone."""

import itertools

import numpy as np
import pytest

from keras_supcon.evaluation.reporting.charts import (
    draw_bars,
    draw_heatmap,
    draw_lines,
    draw_reliability,
)
from keras_supcon.evaluation.reporting.png import DOTS_PER_INCH

pytestmark = pytest.mark.filterwarnings("error")
NAN = float("nan")


def lines(number, narrow=False, nan=NAN):
    series = {f"_s {i}": ([1, 10, 100], [nan, 0.1, nan or 0.1 * i]) for i in range(number)}
    bands = {"_s 0": ([0, nan, 0], [0.2, nan, 0.3])}
    settings = {"log_x": True, "percent": True, "narrow": narrow}
    return draw_lines(series, "x", "y", marks={"$m$": 10}, intervals=bands, **settings)


def bars(number, narrow=False):
    values = {f"class {i}": NAN if i == 1 else 0.5 for i in range(number)}
    intervals = {"class 0": (0.4, 0.7), "class 1": (0.1, 0.2), "class 2": None}
    return draw_bars(values, "y", intervals=intervals, narrow=narrow)


def grouped_bars(number, narrow=False):
    values = {f"group {i}": {"a": 0.1, "_b": NAN, "c": 0.3} for i in range(number)}
    values["group 0"] = {"d": 0.2}
    intervals = {"group 0": {"d": (0.1, 0.3)}, "group 1": {"a": None}}
    return draw_bars(values, "y", percent=True, intervals=intervals, narrow=narrow)


def reliability(number, narrow=False):
    accuracy = np.where(np.arange(number) == 1, NAN, 0.5)
    counts = np.where(np.arange(number) == 1, 0, 7)
    edges = np.linspace(0, 1, number + 1)
    return draw_reliability(edges, accuracy, accuracy + 0.1, counts, "ECE $1$", narrow=narrow)


def heatmap(number, narrow=False):
    values = np.where(np.eye(number, 5) == 1, NAN, 0.3)
    values[0, -1] = 0.9
    return draw_heatmap(values, [f"_r {i}" for i in range(number)], list("abcde"), narrow=narrow)


def test_the_mark_of_a_line_has_its_color_and_no_place_in_the_legend():
    series = {"one": ([1, 2], [1, 2]), "other": ([1, 2], [2, 1])}
    axes = draw_lines(series, "x", "y", marks={"other": 1.5, "third": 1.7}).axes[0]
    _, *marked, third = axes.lines
    line, mark = marked
    assert mark.get_xdata() == [1.5, 1.5]
    assert mark.get_color() == line.get_color()
    assert third.get_xdata() == [1.7, 1.7]
    legend = axes.figure.legends[0] if axes.figure.legends else axes.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["one", "other", "third"]


@pytest.mark.parametrize("draw", [lines, bars, grouped_bars, reliability, heatmap])
@pytest.mark.parametrize("number", [1, 2, 25, 120])
def test_any_number_can_be_drawn_and_fits_a_phone(draw, number):
    for narrow in (False, True):
        figure = draw(number, narrow)
        figure.draw_without_rendering()
        width, height = figure.get_size_inches() * DOTS_PER_INCH
        assert (width <= 450) == narrow
        assert height < 3000


@pytest.mark.parametrize("narrow", [False, True])
def test_nothing_but_nan_can_be_drawn(narrow):
    nans = np.full((2, 3), NAN)
    for figure in (
        draw_lines({"a": (nans[0], nans[0])}, "x", "y", log_x=True, narrow=narrow),
        draw_lines({"a": ([], [])}, "x", "y", log_x=True, narrow=narrow),
        draw_lines({}, "x", "y", narrow=narrow),
        draw_bars({"a": NAN}, "y", intervals={"a": (NAN, NAN)}, narrow=narrow),
        draw_bars({}, "y", narrow=narrow),
        draw_reliability(np.linspace(0, 1, 4), *nans, np.zeros(3), "", narrow=narrow),
        draw_heatmap(nans, ["a", "b"], list("cde"), narrow=narrow),
        draw_heatmap(np.ones((1, 1)), ["a"], ["b"], narrow=narrow),
    ):
        figure.draw_without_rendering()


def texts_of(texts):
    return [text.get_text() for text in texts]


def test_names_are_drawn_verbatim():
    (legend,) = lines(2).legends
    assert texts_of(legend.get_texts()) == ["_s 0", "_s 1", "$m$"]
    (legend,) = grouped_bars(2).legends
    assert texts_of(legend.get_texts()) == ["d", "a", "_b", "c"]
    names = ["$a$", "_b", "x" * 30]
    shown = ["$a$", "_b", "x" * 19 + "…"]
    axes = draw_heatmap(np.eye(3), names, names).axes[0]
    assert texts_of(axes.get_xticklabels()) == texts_of(axes.get_yticklabels()) == shown
    axes = draw_bars(dict.fromkeys(names, 1.0), "$y$").axes[0]
    ticks = axes.get_xticklabels()
    assert texts_of(ticks) == shown
    title = reliability(2).axes[0].title
    for text in (*ticks, axes.yaxis.label, title, *legend.get_texts()):
        assert not text.get_parse_math()


def test_one_line_needs_no_legend():
    assert draw_lines({"a": ([1, 2], [3, 4])}, "x", "y").legends == []


def test_lines_have_the_values_of_their_series():
    (line, mark) = lines(1, nan=0.5).axes[0].lines
    np.testing.assert_array_equal(line.get_xydata(), [[1, 0.5], [10, 0.1], [100, 0.5]])
    assert mark.get_xdata() == [10, 10]


@pytest.mark.parametrize("name", ["a", "a name that needs a bar beside it"])
def test_bars_and_intervals_have_the_lengths_of_their_values(name):
    values = {f"{i} {name}": i / 10 for i in range(4)}
    intervals = {f"1 {name}": (0.05, 0.2)}
    axes = draw_bars(values, "y", intervals=intervals).axes[0]
    along, across = (0, 1) if len(name) > 1 else (1, 0)
    ends = [bar.get_corners()[2] for bar in axes.patches]
    assert [end[along] for end in ends] == [0, 0.1, 0.2, 0.3]
    middles = [bar.get_corners().mean(axis=0)[across] for bar in axes.patches]
    np.testing.assert_allclose(middles, [0, 1, 2, 3])
    (interval,) = axes.collections[0].get_segments()
    np.testing.assert_allclose(interval[:, along], [0.05, 0.2])
    np.testing.assert_allclose(interval[:, across], 1)


def test_intervals_of_groups_are_at_their_bars():
    axes = grouped_bars(2).axes[0]
    (interval,) = axes.collections[0].get_segments()
    bar = next(bar for bar in axes.patches if bar.get_height() == 0.2)
    np.testing.assert_allclose(interval[:, 0], bar.get_x() + bar.get_width() / 2)
    np.testing.assert_allclose(interval[:, 1], [0.1, 0.3])


def test_the_gap_reaches_from_accuracy_to_confidence():
    axes = reliability(4).axes[0]
    accuracy, gap = axes.patches[2], axes.patches[6]
    assert (accuracy.get_x(), accuracy.get_width(), accuracy.get_height()) == (0.5, 0.25, 0.5)
    assert gap.get_y() == 0.5
    assert gap.get_height() == pytest.approx(0.1)
    shares = [bar.get_height() for bar in reliability(4).axes[1].patches]
    np.testing.assert_allclose(shares, [1 / 3, 0, 1 / 3, 1 / 3])


def test_cells_say_their_values():
    texts = heatmap(2).axes[0].texts
    assert texts_of(texts) == ["0.3", "0.3", "0.3", "0.9", "0.3", "0.3", "0.3", "0.3"]
    assert texts[3].get_position() == (4, 0)
    percent = draw_heatmap([[0.25, 1]], ["a"], ["b", "c"], percent=True)
    assert texts_of(percent.axes[0].texts) == ["25%", "100%"]
    many = draw_heatmap(np.ones((3, 100)), list("abc"), list(map(str, range(100))))
    assert not list(many.axes[0].texts)  # no room


@pytest.mark.parametrize("shape", [(2,), (1, 2), (2, 0)])
def test_a_heatmap_has_a_name_for_each_row_and_column(shape):
    with pytest.raises(ValueError, match=r"`values` should be \(rows, columns\).* 2 names of rows"):
        draw_heatmap(np.ones(shape), ["a", "b"], ["c"])


@pytest.mark.parametrize("log_x", [True, False])
def test_labels_below_an_axis_do_not_overlap(log_x):
    values = [1, 2, 5, 10, 20, 50, 90, 100]
    figure = draw_lines({"a": (values, values)}, "x", "y", log_x=log_x, narrow=True)
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
    assert len(boxes) > 2
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(boxes))


@pytest.mark.parametrize("log_x", [True, False])
@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.5, 0.05, 0.1], ["0.05", "0.1", "0.5"]),
        ([1, 3, 4000], ["1", "3", "4,000"]),
        ([1, NAN, 2], ["1", "2"]),
    ],
    ids=["temperatures", "whole", "nan"],
)
def test_an_axis_names_the_values_that_were_tried(values, texts, log_x):
    figure = draw_lines({"a": (values, [0.5] * 3)}, "x", "y", log_x=log_x)
    named = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert named == (texts if log_x or values[-1] < 10 else [texts[0], texts[-1]])

"""Pictures of claims: every difference is there, with its interval where it belongs."""

import dataclasses

import numpy as np
import pytest

from keras_supcon.experiments import Images, Training
from keras_supcon.experiments.claims import Arm, Claim, Comparison
from keras_supcon.experiments.claims.outcome import Outcome, compare_arms
from keras_supcon.experiments.claims.pictures import draw_outcome, draw_verdicts

TRAINING = Training(images=Images(dataset="digits"))
CLAIM = Claim(
    title="Loss $a$ is better than $b$, and as good as a loss whose name is much longer than that",
    group="loss",
    source="A test",
    published="no figure",
    expectation="Holds.",
    arms=lambda tier: {name: Arm(TRAINING) for name in "abc"},
    comparisons=(
        Comparison("a", "b"),
        Comparison("a", "c", "equal", margin=0.02),
        Comparison("b", "a", "lower"),
        Comparison("c", "a", "not lower", margin=0.01),
    ),
)
ARMS = {"a": (0.50, 0.52, 0.54), "b": (0.47, 0.50, 0.50), "c": (0.51, 0.515, 0.545)}


def outcome_of(claim=CLAIM, arms=ARMS, number="accuracy"):
    numbers = {name: {number: values} for name, values in arms.items()}
    return Outcome("name", claim, compare_arms(claim, numbers), numbers)


def rows_of(figure):
    """Returns the text, the ends of the interval, the mean and the band of each row."""
    (axes,) = figure.axes
    texts = [text.get_text().replace("\n", " ") for text in axes.texts]
    lines = [line for line in axes.lines if line.get_linewidth() == 2]
    means = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "D"]
    bands = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches]
    return texts, [tuple(line.get_xdata()) for line in lines], means, bands, axes.get_xlim()


@pytest.mark.parametrize("narrow", [False, True])
def test_each_comparison_has_a_row_with_its_interval(narrow):
    outcome = outcome_of()
    texts, intervals, means, bands, (left, right) = rows_of(draw_outcome(outcome, narrow))
    names = ["a - b", "a - c", "b - a", "c - a"]
    for text, name, one in zip(texts, names, outcome.compared, strict=True):
        assert text == f"{name}, accuracy: {one.verdict}"
    for interval, mean, one in zip(intervals, means, outcome.compared, strict=True):
        assert interval == pytest.approx((100 * one.difference.low, 100 * one.difference.high))
        assert mean == pytest.approx(100 * one.difference.mean)
    assert np.ravel(bands) == pytest.approx([0, right, -2, 2, left, 0, -1, right])
    assert all(left < end < right for interval in intervals for end in interval)


def test_all_verdicts_are_in_one_picture_with_what_decided():
    whole = dataclasses.replace(CLAIM, comparisons=CLAIM.comparisons[:1])
    likelihood = Comparison("a", "b", number="negative_log_likelihood")
    no_share = outcome_of(
        dataclasses.replace(CLAIM, comparisons=(likelihood,)), number="negative_log_likelihood"
    )
    texts, _, means, _, _ = rows_of(draw_verdicts([outcome_of(whole), no_share, outcome_of()]))
    assert texts == [f"{CLAIM.title}: holds", f"{CLAIM.title}: {outcome_of().verdict}"]
    assert means[1] == pytest.approx(100 * outcome_of().decisive.difference.mean)


def test_numbers_that_are_no_shares_are_not_in_points():
    claim = dataclasses.replace(
        CLAIM, comparisons=(Comparison("a", "b", number="negative_log_likelihood"),)
    )
    figure = draw_outcome(outcome_of(claim, number="negative_log_likelihood"))
    assert rows_of(figure)[2] == pytest.approx([0.03], abs=1e-6)
    assert figure.axes[0].get_xlabel() == "difference"


def test_a_diverged_training_has_no_interval():
    figure = draw_outcome(outcome_of(arms={**ARMS, "b": (0.47, np.nan, 0.50)}))
    texts, intervals, _, _, ends = rows_of(figure)
    assert len(texts) == 4
    assert len(intervals) == 2
    assert np.isfinite(ends).all()


def test_an_axis_has_a_line_for_each_kind():
    names = ["one 0.1", "one 1", "two 0.1", "two 1"]
    claim = dataclasses.replace(
        CLAIM,
        axis="temperature",
        arms=lambda tier: {name: Arm(TRAINING) for name in names},
        comparisons=(Comparison("one 1", "one 0.1"),),
    )
    arms = {name: (0.1 * place, 0.1 * place + 0.01) for place, name in enumerate(names, start=1)}
    (axes,) = draw_outcome(outcome_of(claim, arms)).axes
    drawn = [line.get_ydata() for line in axes.lines if len(line.get_xdata()) == 2]
    assert np.array(drawn[:2]) == pytest.approx(np.array([[0.105, 0.205], [0.305, 0.405]]))
    assert axes.get_xlabel() == "temperature"

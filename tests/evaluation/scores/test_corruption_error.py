"""The mean corruption error of cases that can be computed by hand."""

import numpy as np
import pytest

from keras_supcon.evaluation.corruptions import CORRUPTIONS
from keras_supcon.evaluation.scores.corruption_error import (
    ALEXNET_CLEAN_ERROR,
    ALEXNET_ERRORS,
    corruption_errors,
    mean_corruption_error,
    relative_mean_corruption_error,
)

TWO = ("fog", "snow")


@pytest.fixture
def errors(rng):
    return {name: rng.uniform(0.5, 0.9, 5).tolist() for name in CORRUPTIONS}


def test_alexnet_against_itself_is_100():
    assert {*ALEXNET_ERRORS} == {*CORRUPTIONS}
    errors = {name: [error] * 5 for name, error in ALEXNET_ERRORS.items()}
    assert mean_corruption_error(errors, "alexnet") == pytest.approx(100, abs=1e-9)
    relative = relative_mean_corruption_error(errors, ALEXNET_CLEAN_ERROR, "alexnet")
    assert relative == pytest.approx(100, abs=1e-9)


def test_a_model_against_itself_is_exactly_100(errors):
    assert mean_corruption_error(errors, errors) == 100
    assert relative_mean_corruption_error(errors, 0.4, errors, 0.4) == 100


def test_severities_are_added_before_the_ratio():
    ours = {"fog": [0.0, 0.1, 0.2, 0.3, 0.4], "snow": [0.5] * 5}
    theirs = {"fog": [0.2, 0.2, 0.2, 0.2, 1.0], "snow": [1.0] * 5}
    expected = {"fog": 100 * 1.0 / 1.8, "snow": 50.0}
    assert corruption_errors(ours, theirs, TWO) == pytest.approx(expected)
    assert mean_corruption_error(ours, theirs, TWO) == pytest.approx(
        (expected["fog"] + expected["snow"]) / 2
    )
    relative = relative_mean_corruption_error(ours, 0.1, theirs, 0.2, TWO)
    assert relative == pytest.approx(100 * ((1.0 - 0.5) / (1.8 - 1.0) + (2.5 - 0.5) / 4.0) / 2)


def test_without_a_baseline_it_is_the_mean_error_rate(errors):
    expected = 100 * np.mean(list(errors.values()))
    assert mean_corruption_error(errors) == pytest.approx(expected)
    assert corruption_errors(errors)["fog"] == pytest.approx(100 * np.mean(errors["fog"]))


def test_a_baseline_may_be_given_by_its_means(errors):
    means = {name: float(np.mean(rates)) for name, rates in errors.items()}
    halves = {name: np.array(rates) / 2 for name, rates in errors.items()}
    assert mean_corruption_error(halves, means) == pytest.approx(50)
    assert mean_corruption_error(halves, errors) == pytest.approx(50)


def test_names_choose_what_counts(errors):
    more = {**errors, "spatter": [1.0] * 5}
    assert mean_corruption_error(more) == mean_corruption_error(errors)
    assert mean_corruption_error(more, names=("spatter",)) == 100
    assert list(corruption_errors(errors, names=("snow", "fog"))) == ["snow", "fog"]


def test_relative_error_is_negative_where_corruption_helps(errors):
    ours = {name: [0.1] * 5 for name in errors}
    assert relative_mean_corruption_error(ours, 0.2, errors, 0.3) < 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"errors": {}}, "`errors` should hold all corruptions .* none for fog, snow"),
        ({"errors": {"fog": [0.1] * 5}}, "Received: none for snow"),
        ({"errors": [0.1] * 5}, "`errors` should be a dictionary"),
        ({"errors": {"fog": [0.1] * 4, "snow": [0.1] * 5}}, "5 error rates .* for 'fog'"),
        ({"errors": {"fog": 0.1, "snow": [0.1] * 5}}, "5 error rates .* Received: 0.1 for 'fog'"),
        ({"errors": {"fog": [10, 20, 30, 40, 50], "snow": [0.1] * 5}}, r"rates in \[0, 1\]"),
        ({"errors": {"fog": [-0.1] * 5, "snow": [0.1] * 5}}, r"rates in \[0, 1\]"),
        ({"errors": {"fog": [float("nan")] * 5, "snow": [0.1] * 5}}, r"rates in \[0, 1\]"),
        ({"errors": {"fog": ["a"] * 5, "snow": [0.1] * 5}}, r"rates in \[0, 1\]"),
        ({"names": ()}, "`names` should be a sequence of one or more names"),
        ({"names": "fog"}, "`names` should be a sequence of one or more names"),
        ({"names": ("fog", "fog")}, "`names` should have each name once"),
        ({"names": ("fog", "rain")}, "`names` should be one of"),
        ({"names": (["fog"],)}, "`names` should be a sequence of"),
        ({"baseline": "resnet"}, "`baseline` should be one of"),
        ({"baseline": {"fog": 0.5}}, "`baseline` should hold all corruptions"),
        ({"baseline": {"fog": 0.5, "snow": [0.0] * 5}}, "make some errors.*none for 'snow'"),
        ({"baseline": {"fog": 1.5, "snow": 0.5}}, "or their mean"),
    ],
)
def test_refuses_wrong_errors(arguments, message):
    good = {"errors": {name: [0.1] * 5 for name in TWO}, "names": TWO}
    with pytest.raises(ValueError, match=message):
        mean_corruption_error(**{**good, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clean_error": 1.5}, "`clean_error` should be between 0 and 1"),
        ({"baseline": None}, "`baseline` should be a dictionary"),
        ({"baseline_clean_error": None}, "`baseline_clean_error` should be between 0 and 1"),
        ({"baseline_clean_error": 0.5}, "more errors than `baseline_clean_error` .* 'fog'"),
        ({"baseline_clean_error": float("nan")}, "`baseline_clean_error` should be between"),
    ],
)
def test_relative_error_refuses_wrong_errors(arguments, message):
    errors = {name: [0.5] * 5 for name in TWO}
    good = {
        "errors": errors,
        "clean_error": 0.1,
        "baseline": errors,
        "baseline_clean_error": 0.2,
        "names": TWO,
    }
    with pytest.raises(ValueError, match=message):
        relative_mean_corruption_error(**{**good, **arguments})

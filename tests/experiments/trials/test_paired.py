"""Paired differences: Student's interval, as SciPy's test has it."""

import numpy as np
import pytest
from scipy import stats

from keras_supcon.experiments import paired_difference


def test_the_interval_is_that_of_the_paired_test():
    rng = np.random.default_rng(0)
    first = rng.normal(0.9, 0.02, 7)
    second = first - rng.normal(0.01, 0.01, 7)
    found = paired_difference(first, second)
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    np.testing.assert_allclose((found.low, found.high), expected, rtol=1e-10)
    np.testing.assert_allclose(found.mean, (first - second).mean())
    assert found.num_positive == (first > second).sum()
    reverse = paired_difference(second, first)
    np.testing.assert_allclose((-reverse.high, -reverse.low), (found.low, found.high))


def test_the_interval_holds_the_mean_nineteen_times_of_twenty():
    rng = np.random.default_rng(1)
    draws = rng.normal(0.3, 1.0, (2000, 5))
    ends = [paired_difference(one, np.zeros(5)) for one in draws]
    share = np.mean([one.low < 0.3 < one.high for one in ends])
    assert abs(share - 0.95) < 0.015


def test_a_seed_without_a_number_leaves_no_interval():
    found = paired_difference([0.5, np.nan, 0.7], [0.4, 0.5, 0.6])
    assert found.num_missing == 1
    assert np.isnan([found.mean, found.low, found.high]).all()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([1.0], [1.0]),
        ([1.0, 2.0], [1.0]),
        ([1.0, np.inf], [1.0, 2.0]),
        ([[1.0, 2.0]], [[1.0, 2.0]]),
    ],
    ids=["one", "lengths", "infinite", "shape"],
)
def test_other_numbers_are_refused(first, second):
    with pytest.raises(ValueError, match="should be"):
        paired_difference(first, second)

"""Intervals cover the truth about as often as they say, and tests equal SciPy's."""

import numpy as np
import pytest
import scipy.stats

from keras_supcon.evaluation.scores.intervals import (
    accuracy_interval,
    basic_interval,
    bootstrap,
    mcnemar,
    percentile_interval,
    permutation_test,
)


def test_intervals_of_a_share_cover_it_in_95_of_100_cases(rng):
    counts = rng.binomial(200, 0.9, 400)
    covered = [low <= 0.9 <= high for low, high in (accuracy_interval(one, 200) for one in counts)]
    assert 0.92 < np.mean(covered) < 0.98
    assert accuracy_interval(10, 10)[0] < 0.9  # ten of ten prove little
    assert accuracy_interval(10, 10)[1] == 1


def test_bootstrap_intervals_of_a_mean_are_near_those_of_students_t(rng):
    values = rng.normal(size=400)
    low, high = percentile_interval(bootstrap(lambda rows: values[rows].mean(), 400, 2000))
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.02)
    assert high == pytest.approx(values.mean() + half, abs=0.02)


def test_a_seed_gives_the_same_draws():
    one, other, third = (bootstrap(lambda rows: rows.mean(), 50, 20, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, other)
    assert (one != third).any()


def test_basic_intervals_mirror_the_draws():
    low, high = basic_interval(0.1, np.linspace(0.1, 0.14, 1001))
    assert (low, high) == pytest.approx((0.061, 0.099), abs=1e-3)
    assert basic_interval(0.01, np.linspace(0.02, 0.03, 11)) == (0.0, 0.0)


def test_mcnemar_is_the_binomial_test_of_the_images_that_one_has_right(rng):
    first, second = rng.uniform(size=(2, 300)) < [[0.8], [0.7]]
    only_first, only_second = (first & ~second).sum(), (second & ~first).sum()
    expected = scipy.stats.binomtest(only_first, only_first + only_second).pvalue
    assert mcnemar(first, second) == mcnemar(second, first) == pytest.approx(expected)
    assert mcnemar(first, first) == 1


def test_permutations_of_right_and_wrong_approach_mcnemar(rng):
    first, second = rng.uniform(size=(2, 300)) < [[0.8], [0.75]]
    differences = first.astype(int) - second.astype(int)
    assert permutation_test(differences, 20_000) == pytest.approx(mcnemar(first, second), abs=0.01)


def test_permutations_of_scores_are_those_of_scipy(rng):
    differences = rng.normal(0.15, 1, size=40)
    expected = scipy.stats.permutation_test(
        (differences, np.zeros(40)),
        lambda a, b, axis: (a - b).mean(axis),
        permutation_type="samples",
        n_resamples=20_000,
        vectorized=True,
        rng=1,
    ).pvalue
    assert permutation_test(differences, 20_000) == pytest.approx(expected, abs=0.01)
    assert permutation_test(np.zeros(5)) == 1
    assert permutation_test(np.ones(50), 99) == 0.01  # no draw is as uneven

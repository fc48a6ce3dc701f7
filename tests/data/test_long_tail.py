"""Subsets in which classes are of very different sizes."""

import numpy as np
import pytest

from keras_supcon.data import load_arrays, long_tail_sizes, long_tailed

pytestmark = pytest.mark.neutral


@pytest.mark.parametrize("imbalance", [1, 10, 100.0])
@pytest.mark.parametrize("num_samples", [None, 3000])
def test_sizes_fall_by_one_factor(imbalance, num_samples):
    sizes = long_tail_sizes([2000] * 10, imbalance, num_samples)
    factor = imbalance ** (-1 / 9)
    expected = sizes[0] * factor ** np.arange(10)
    assert np.abs(sizes - expected).max() <= 1.0
    assert sizes[0] / sizes[-1] == pytest.approx(imbalance, rel=0.06)
    if num_samples is None:
        assert sizes[0] == 2000
    else:
        assert abs(sizes.sum() - num_samples) <= 5


def test_the_smallest_class_bounds_what_there_can_be():
    counts = np.array([50, 90, 4])
    sizes = long_tail_sizes(counts, 4)
    assert sizes.tolist() == [16, 8, 4]
    assert (sizes <= counts).all()
    assert long_tail_sizes([5, 5], 1e6).tolist() == [5, 1]


def test_a_subset_is_of_its_sizes_and_of_its_seed_alone():
    _, labels = load_arrays("digits", "train")
    chosen = long_tailed(labels, 20, 400)
    expected = long_tail_sizes(np.bincount(labels), 20, 400)
    np.testing.assert_array_equal(np.bincount(labels[chosen]), expected)
    assert (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(chosen, long_tailed(labels, 20, 400, seed=0))
    other = long_tailed(labels, 20, 400, seed=1)
    np.testing.assert_array_equal(np.bincount(labels[other]), expected)
    assert (chosen != other).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([5], 2), "`class_counts` should hold whole numbers of at least 1, of at least two"),
        (([5, 0], 2), "`class_counts` should hold whole numbers of at least 1"),
        (([5.0, 3.0], 2), "`class_counts` should hold whole numbers"),
        (([5, 5], 0.5), "`imbalance` should be a number of at least 1"),
        (([5, 5], "100"), "`imbalance` should be a number of at least 1"),
        (([5, 5], 2, 1), "`num_samples` should be None or a whole number of at least 2"),
        (([5, 5], 2, 12), "`num_samples` should leave enough samples .* takes 8 of the 5 of"),
    ],
)
def test_sizes_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        long_tail_sizes(*arguments)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "`labels` should be an array"),
        ([0.0, 1.0], "`labels` should be an array .* dtype float64"),
        ([[0], [1]], r"`labels` should be an array .* shape \(2, 1\)"),
        ([0, -1], "`labels` should be an array"),
        ([0, 2], "`labels` should have a sample of each class .* none of class 1"),
        ([0, 0], "`labels` should be of two classes at least. Received: class 0"),
    ],
)
def test_labels_of_another_form_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        long_tailed(labels, 2)

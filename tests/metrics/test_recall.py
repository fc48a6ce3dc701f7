"""Recall at k equals a search of the nearest rows of the batch."""

import numpy as np
import pytest

from keras_supcon.evaluation.scores.ranking import recall_at_k
from keras_supcon.metrics import ContrastiveAccuracy, RecallAtK
from tests.covering import every_pair

pytestmark = pytest.mark.neutral


def recall_of(k, *batches, **options) -> float:
    metric = RecallAtK(k, **options)
    for batch in batches:
        metric.update_state(*batch)
    return float(metric.result())


def found_by_sorting(k, class_ids, projections) -> tuple[np.ndarray, np.ndarray]:
    """Returns for each row whether a positive is among the k nearest, and whether it has one."""
    samples, views, dim = projections.shape
    rows = projections.reshape(-1, dim).astype("float64")
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    sample = np.repeat(np.arange(samples), views)
    labels = class_ids[sample]
    is_positive = (sample[:, None] == sample) | ((labels[:, None] == labels) & (labels >= 0))
    np.fill_diagonal(is_positive, False)
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -np.inf)
    nearest = np.argsort(-cosines, axis=1)[:, :k]
    return np.take_along_axis(is_positive, nearest, axis=1).any(axis=1), is_positive.any(axis=1)


@every_pair(k=[1, 2, 5, 100], views=[1, 2, 3], lowest=[-1, 0])
def test_it_is_that_of_a_sorted_search(rng, k, views, lowest):
    class_ids = rng.integers(lowest, 6, 20)
    projections = rng.normal(size=(20, views, 3)).astype("float32")
    found, counts = found_by_sorting(k, class_ids, projections)
    assert recall_of(k, (class_ids, projections)) == pytest.approx(found[counts].mean(), rel=1e-6)


def test_it_is_the_array_function_of_a_batch_of_several_blocks(rng):
    class_ids = rng.integers(0, 300, 1100)
    rows = rng.normal(size=(1100, 6)).astype("float32")
    for k in (1, 10):
        assert recall_of(k, (class_ids, rows)) == pytest.approx(
            recall_at_k(rows, class_ids, k), abs=2e-3
        )


def test_the_nearest_alone_is_contrastive_accuracy(rng):
    class_ids, projections = rng.integers(-1, 4, 20), rng.normal(size=(20, 2, 3)).astype("float32")
    accuracy = ContrastiveAccuracy()
    accuracy.update_state(class_ids, projections)
    assert recall_of(1, (class_ids, projections)) == float(accuracy.result())


def test_more_neighbors_find_no_less(rng):
    batch = rng.integers(0, 8, 40), rng.normal(size=(40, 4)).astype("float32")
    recalls = [recall_of(k, batch) for k in range(1, 41)]
    assert recalls == sorted(recalls)
    assert recalls[0] < 0.5
    assert recalls[-1] == 1


@pytest.mark.parametrize("number", [30, 1100])  # one block, and two
@pytest.mark.parametrize("dim", [16, 129])
def test_equal_rows_are_no_success(rng, number, dim):
    """Their cosines differ by rounding, which depends on the place in a matrix product."""
    class_ids = np.arange(number) % 3
    direction = rng.normal(size=(1, dim)).astype("float32")
    for lengths in (1, rng.uniform(0.5, 2, size=(number, 1)).astype("float32")):
        assert recall_of(5, (class_ids, direction * lengths * np.ones((number, 1)))) == 0


def test_batches_weigh_by_their_anchors_with_a_positive(rng):
    batches = [
        (rng.integers(0, 8, size), rng.normal(size=(size, 3)).astype("float32")) for size in (5, 20)
    ]
    found, counts = (
        np.concatenate(parts)
        for parts in zip(
            *(found_by_sorting(2, ids, rows[:, None]) for ids, rows in batches), strict=True
        )
    )
    assert 0 < counts.mean() < 1
    for order in (batches, batches[::-1]):
        assert recall_of(2, *order) == pytest.approx(found[counts].mean(), rel=1e-6)


def test_weights_are_of_anchors(rng):
    class_ids, rows = rng.integers(0, 6, 20), rng.normal(size=(20, 3)).astype("float32")
    weights = rng.uniform(size=20)
    found, counts = found_by_sorting(2, class_ids, rows[:, None])
    expected = np.average(found[counts], weights=weights[counts])
    assert recall_of(2, (class_ids, rows, weights)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("ignore_class", [5, -1, -3])
def test_ignored_samples_are_left_out(rng, ignore_class):
    class_ids = np.array([0, 1, ignore_class, 0, 2, 1, ignore_class, 0, 3, ignore_class])
    rows = rng.normal(size=(10, 2)).astype("float32")
    others = class_ids != ignore_class
    assert recall_of(2, (class_ids, rows), ignore_class=ignore_class) == pytest.approx(
        recall_of(2, (class_ids[others], rows[others])), rel=1e-6
    )


def test_rows_that_are_not_finite_give_no_number():
    assert np.isnan(recall_of(1, ([0, 0, 1], np.array([[1, 0], [1, 0], [0, np.nan]], "float32"))))


@pytest.mark.parametrize("k", [0, -1, 1.5, True, None])
def test_wrong_numbers_of_neighbors_are_refused(k):
    with pytest.raises(ValueError, match="`k` should be a whole number of at least 1"):
        RecallAtK(k)

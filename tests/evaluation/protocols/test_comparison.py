"""Paired comparisons of two models on the same images."""

import numpy as np
import pytest

from keras_supcon import evaluation as E  # noqa: N812
from tests.evaluation.protocols.embeddings import overlapping


def test_counts_the_images_that_one_alone_has_right():
    first = np.array([1, 1, 1, 1, 0, 0, 1, 1, 1, 1], bool)
    second = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 0], bool)
    result = E.compare(first, second)
    assert (result.only_first, result.only_second) == (4, 1)
    assert result.difference == pytest.approx(0.3)
    assert result.mcnemar == pytest.approx(2 * (1 + 5) / 32)  # four or five heads of five, or tails
    assert result.permutation == pytest.approx(result.mcnemar, abs=0.02)
    assert result.interval[0] < 0.3 < result.interval[1]


def test_swapping_the_models_swaps_the_sign(rng):
    first, second = rng.uniform(size=(2, 200)) < [[0.9], [0.8]]
    one, other = E.compare(first, second, resamples=500), E.compare(second, first, resamples=500)
    assert one.difference == -other.difference
    assert one.mcnemar == other.mcnemar
    assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]))


def test_a_model_equals_itself(rng):
    right = rng.uniform(size=50) < 0.5
    result = E.compare(right, right, resamples=50)
    assert (result.difference, result.mcnemar, result.permutation) == (0, 1, 1)
    assert result.interval == (0, 0)


def test_results_of_protocols_are_compared_by_their_predictions(rng):
    split = overlapping(rng, noise=1.0)
    linear, knn = E.linear_evaluation(*split), E.knn_evaluation(*split, num_neighbors=5)
    result = E.compare(linear, knn, names=("linear", "kNN"), resamples=200)
    assert result.scores == (linear.accuracy, knn.accuracy)
    assert result.protocol["compared"] == ["linear_evaluation", "knn_evaluation"]
    assert list(result.rows()[0])[:2] == ["linear", "kNN"]
    assert result.plot().axes


def test_scores_that_are_not_right_or_wrong_have_no_mcnemar(rng):
    first = rng.uniform(size=40)
    result = E.compare(first, first - 0.1, resamples=500)
    assert result.mcnemar is result.only_first is None
    assert result.permutation < 0.01
    assert "McNemar p" not in result.rows()[0]


def test_refuses_other_images(rng):
    with pytest.raises(ValueError, match="should be of the same images. Received: 3 and 4"):
        E.compare(np.ones(3), np.ones(4))
    train, train_labels, test, test_labels = overlapping(rng)
    one = E.knn_evaluation(train, train_labels, test, test_labels)
    other = E.knn_evaluation(train, train_labels, test[::-1], test_labels[::-1])
    with pytest.raises(ValueError, match="results with different labels"):
        E.compare(one, other)
    with pytest.raises(ValueError, match="two different names"):
        E.compare(np.ones(3), np.ones(3), names=("a", "a"))
    with pytest.raises(ValueError, match="two different names"):
        E.compare(np.ones(3), np.ones(3), names=(1, "1"))
    with pytest.raises(ValueError, match="`first` should be numbers"):
        E.compare([[1], [0, 1]], np.ones(2))
    with pytest.raises(ValueError, match="two different names.*names=5"):
        E.compare(np.ones(3), np.ones(3), names=5)
    with pytest.raises(ValueError, match="`first` should be finite"):
        E.compare(np.full(3, np.nan), np.ones(3))
    retrieved = E.retrieval(train, train_labels)
    with pytest.raises(ValueError, match="a result with a score of each image"):
        E.compare(retrieved, retrieved)

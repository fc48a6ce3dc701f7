"""Scores of predictions equal scikit-learn's, and VOC's average precision a loop."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from keras_supcon.evaluation import eleven_point_average_precision, mean_per_class_accuracy


def test_mean_per_class_is_balanced_accuracy(rng):
    labels = rng.choice(5, 300, p=[0.6, 0.2, 0.1, 0.06, 0.04])
    predictions = np.where(rng.uniform(size=300) < 0.7, labels, rng.integers(0, 5, 300))
    assert mean_per_class_accuracy(predictions, labels) == pytest.approx(
        balanced_accuracy_score(labels, predictions)
    )


def test_eleven_points_are_the_best_precisions_at_each_recall(rng):
    scores, positive = rng.normal(size=200), rng.integers(0, 2, 200)
    order = np.argsort(-scores)
    hits = np.cumsum(positive[order])
    precision, recall = hits / np.arange(1, 201), hits / positive.sum()
    expected = np.mean(
        [max(precision[recall >= step / 10 - 1e-12], default=0) for step in range(11)]
    )
    assert eleven_point_average_precision(scores, positive) == pytest.approx(expected)


def test_equal_scores_have_no_order(rng):
    scores, positive, order = rng.integers(0, 3, 60), rng.integers(0, 2, 60), rng.permutation(60)
    one = eleven_point_average_precision(scores, positive)
    assert eleven_point_average_precision(scores[order], positive[order]) == pytest.approx(one)
    assert eleven_point_average_precision(np.zeros(4), [1, 0, 0, 0]) == 0.25


def test_a_class_in_no_image_has_no_precision():
    assert np.isnan(eleven_point_average_precision([1.0, 2.0], [0, 0]))


def test_refuses_wrong_input():
    with pytest.raises(ValueError, match="`labels` should hold at least one"):
        mean_per_class_accuracy([], [])
    with pytest.raises(ValueError, match="`predictions` should hold 2 class ids"):
        mean_per_class_accuracy([0], [0, 1])
    with pytest.raises(ValueError, match="from 0 to 1"):
        eleven_point_average_precision([1.0, 2.0], [0, 2])

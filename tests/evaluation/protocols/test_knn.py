"""Votes of neighbors equal scikit-learn's and a loop."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from keras_supcon.evaluation import knn_accuracy, knn_evaluation
from tests.evaluation.protocols.embeddings import overlapping


def test_votes_are_weighted_by_similarity(rng):
    train, train_labels, test, test_labels = overlapping(rng)
    unit = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in (train, test)]
    predictions = []
    for query in unit[1]:
        cosines = unit[0] @ query
        votes = np.zeros(5)
        for neighbor in np.argsort(-cosines)[:20]:
            votes[train_labels[neighbor]] += np.exp(cosines[neighbor] / 0.07)
        predictions.append(votes.argmax())
    result = knn_evaluation(train, train_labels, test, test_labels, 20, 0.07)
    np.testing.assert_array_equal(result.predictions, predictions)
    assert result.accuracy == (np.array(predictions) == test_labels).mean()
    assert result.accuracy < result.top_5 == 1


@pytest.mark.parametrize("num_neighbors", [1, 7, 50])
def test_equal_votes_are_those_of_scikit_learn(rng, num_neighbors):
    train, train_labels, test, test_labels = overlapping(rng)
    peer = KNeighborsClassifier(num_neighbors, metric="cosine", algorithm="brute")
    expected = peer.fit(train, train_labels).score(test, test_labels)
    assert knn_accuracy(train, train_labels, test, test_labels, num_neighbors) == expected


def test_scale_of_embeddings_and_order_of_images_do_not_matter(rng):
    train, train_labels, test, test_labels = overlapping(rng)
    expected = knn_evaluation(train, train_labels, test, test_labels, 20).predictions
    order = rng.permutation(len(train))
    changed = knn_evaluation(1e3 * train[order], train_labels[order], 0.01 * test, test_labels, 20)
    np.testing.assert_array_equal(changed.predictions, expected)


def test_class_ids_need_not_count_from_zero(rng):
    train, train_labels, test, test_labels = overlapping(rng)
    one = knn_evaluation(train, train_labels, test, test_labels)
    other = knn_evaluation(train, 10 * train_labels + 3, test, 10 * test_labels + 3)
    np.testing.assert_array_equal(other.predictions, 10 * one.predictions + 3)


def test_a_low_temperature_leaves_the_vote_to_the_nearest(rng):
    train, train_labels, test, test_labels = overlapping(rng)
    cold = knn_evaluation(train, train_labels, test, test_labels, 200, temperature=1e-6)
    nearest = knn_evaluation(train, train_labels, test, test_labels, 1)
    np.testing.assert_array_equal(cold.predictions, nearest.predictions)


def test_fewer_training_images_than_neighbors_all_vote(rng):
    train, train_labels, test, test_labels = overlapping(rng, train=50)
    result = knn_evaluation(train, train_labels, test, test_labels)
    assert result.protocol["num_neighbors"] == 50
    with pytest.raises(ValueError, match="between 1 and the number of training images, 50"):
        knn_accuracy(train, train_labels, test, test_labels, num_neighbors=51)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": np.full((4, 2), np.nan)}, "`train` should be finite numbers"),
        ({"test": np.ones((2, 3))}, "should have the same width"),
        ({"test": np.ones((0, 2)), "test_labels": []}, "at least one row"),
        ({"train_labels": [0, 0, 0, 0], "test_labels": [0, 0]}, "at least two classes"),
        ({"test_labels": [0, 7]}, "`train_labels` should have the classes.*no image of class 7"),
        ({"train_labels": [0, 1, -1, 1]}, "images without a label should be left out"),
        ({"train_labels": [0, 1]}, "`train_labels` should hold 4 class ids"),
        ({"num_neighbors": 0}, "`num_neighbors` should be a whole number of at least 1"),
        ({"temperature": 0}, "`temperature` should be a positive number"),
    ],
)
def test_refuses_wrong_input(change, message):
    arguments = {
        "train": np.ones((4, 2)),
        "train_labels": [0, 1, 0, 1],
        "test": np.ones((2, 2)),
        "test_labels": [0, 1],
        **change,
    }
    with pytest.raises(ValueError, match=message):
        knn_evaluation(**arguments)

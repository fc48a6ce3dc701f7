import numpy as np
import pytest

from keras_supcon.evaluation import knn_accuracy

pytestmark = pytest.mark.neutral


def test_equals_a_vote_counted_by_hand(rng):
    train, train_labels = rng.normal(size=(60, 5)), rng.integers(0, 3, 60)
    test, test_labels = rng.normal(size=(40, 5)), rng.integers(0, 3, 40)
    cosine = (test / np.linalg.norm(test, axis=1, keepdims=True)) @ (
        train / np.linalg.norm(train, axis=1, keepdims=True)
    ).T
    votes = [np.bincount(train_labels[np.argsort(-row)[:7]], minlength=3) for row in cosine]
    expected = np.mean(
        [np.argmax(vote) == label for vote, label in zip(votes, test_labels, strict=True)]
    )
    assert knn_accuracy(train, train_labels, test, test_labels, num_neighbors=7) == pytest.approx(
        expected
    )


def test_length_of_the_embeddings_does_not_matter(rng):
    train, labels = rng.normal(size=(30, 4)), rng.integers(0, 2, 30)
    test, test_labels = rng.normal(size=(20, 4)), rng.integers(0, 2, 20)
    scaled = train * rng.uniform(0.1, 10, size=(30, 1))
    assert knn_accuracy(scaled, labels, 7 * test, test_labels, 5) == knn_accuracy(
        train, labels, test, test_labels, 5
    )


@pytest.mark.parametrize("num_neighbors", [0, 5])
def test_refuses_more_neighbours_than_there_are(num_neighbors):
    with pytest.raises(
        ValueError,
        match=rf"between 1 and the number of training images, 4. Received: .*={num_neighbors}",
    ):
        knn_accuracy(np.eye(4), np.arange(4), np.eye(4), np.arange(4), num_neighbors)

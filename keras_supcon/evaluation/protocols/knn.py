"""Votes of the nearest training images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from keras_supcon.arguments import check_positive, check_whole_number
from keras_supcon.evaluation.protocols.predictions import PredictionResult
from keras_supcon.evaluation.protocols.splits import check_splits
from keras_supcon.evaluation.results import describe, percent
from keras_supcon.evaluation.search import nearest_blocks, normalize_rows

if TYPE_CHECKING:
    from keras_supcon.evaluation.protocols.splits import Splits


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class KNNResult(PredictionResult):
    """What `knn_evaluation` measured.

    Args:
        accuracy: Share of test images whose class has the most votes.
        interval: Its 95% interval over test images.
        top_5: Share of test images whose class is among the five with the most votes.
        labels: Class ids `(test,)`.
        predictions: Class ids `(test,)`.
        protocol: Sizes, choices and versions.
    """

    top_5: float

    title: ClassVar[str] = "Nearest neighbors"

    def rows(self) -> list[dict[str, str]]:
        return [{**super().rows()[0], "top 5": percent(self.top_5)}]


def knn_evaluation(
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    num_neighbors: int = 200,
    temperature: float = 0.1,
) -> KNNResult:
    """Classifies each test image by a weighted vote of the nearest training images.

    A neighbor with cosine c to the test image has the vote `exp(c / temperature)`. Nothing is
    trained and nothing is chosen, so the test images may be seen often. Of equal votes the lowest
    class wins.

    60,000 training and 10,000 test images of 128 features take some seconds on two cores, and
    about 200 MB: the similarities are computed in blocks.

    Args:
        train: Embeddings `(train, d)`, of any length.
        train_labels: Class ids `(train,)`.
        test: Embeddings `(test, d)`.
        test_labels: Class ids `(test,)`.
        num_neighbors: Number of neighbors that vote, at least 1. All training images if there are
            fewer.
        temperature: Positive. Small values leave the vote to the nearest ones.

    Returns:
        Accuracy with its interval, and the predictions.

    Raises:
        ValueError: If embeddings are not finite rows of one width, labels do not match them, the
            training images lack a class of the test images, or a number is out of its range.

    Reference:
        Wu et al., Unsupervised Feature Learning via Non-Parametric Instance Discrimination, CVPR
        2018, section 3.4.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> train = np.array([[1.0, 0.0], [9.0, 1.0], [0.0, 1.0], [1.0, 9.0]])
    >>> labels = np.array([0, 0, 1, 1])
    >>> test = np.array([[5.0, 1.0], [1.0, 2.0]])
    >>> result = keras_supcon.evaluation.knn_evaluation(train, labels, test, np.array([0, 1]))
    >>> result.accuracy, result.protocol["num_neighbors"]
    (1.0, 4)
    """
    splits = check_splits(train, train_labels, test, test_labels)
    num_neighbors = check_whole_number("num_neighbors", num_neighbors, at_least=1)
    num_neighbors = min(num_neighbors, len(splits.train))
    temperature = check_positive("temperature", temperature)
    places = np.searchsorted(splits.classes, splits.test_labels)
    predictions, ranks = np.empty_like(places), np.empty_like(places)
    for rows, votes in _votes(splits, num_neighbors, temperature):
        predictions[rows] = votes.argmax(axis=1)
        place = places[rows, None]
        own = np.take_along_axis(votes, place, axis=1)
        # Of equal votes the lowest class comes first, as in the predictions.
        before = (votes > own) | ((votes == own) & (np.arange(votes.shape[1]) < place))
        ranks[rows] = before.sum(axis=1)
    return KNNResult.of_predictions(
        splits.classes[predictions],
        splits.test_labels,
        top_5=float((ranks < 5).mean()),
        protocol=describe(
            "knn_evaluation",
            **splits.sizes,
            num_neighbors=num_neighbors,
            temperature=temperature,
            similarity="cosine",
        ),
    )


def _votes(
    splits: Splits, num_neighbors: int, temperature: float | None
) -> Iterator[tuple[slice, np.ndarray]]:
    """Adds up the votes for each class, for some test images at a time.

    Args:
        splits: Embeddings and labels.
        num_neighbors: Number of neighbors that vote.
        temperature: None for votes of equal weight.

    Yields:
        The place of the test images, and the votes `(rows, classes)`.
    """
    classes, of_train = np.unique(splits.train_labels, return_inverse=True)
    test, train = normalize_rows(splits.test), normalize_rows(splits.train)
    for rows, similarities, neighbors in nearest_blocks(test, train, num_neighbors):
        of_neighbors = of_train[neighbors]
        weights = np.ones(of_neighbors.shape)
        if temperature is not None:
            # Relative to the nearest one, so that a low temperature does not overflow.
            distances = similarities.astype("float64") - similarities[:, :1]
            weights = np.exp(distances / temperature)
        places = np.arange(len(of_neighbors))[:, None] * len(classes) + of_neighbors
        votes = np.bincount(places.ravel(), weights.ravel(), len(of_neighbors) * len(classes))
        yield rows, votes.reshape(-1, len(classes))


def knn_accuracy(
    train_embeddings: np.ndarray,
    train_labels: np.ndarray,
    test_embeddings: np.ndarray,
    test_labels: np.ndarray,
    num_neighbors: int = 20,
) -> float:
    """Computes the accuracy of a vote of the nearest training images, by cosine similarity.

    Args:
        train_embeddings: `(train, features)`.
        train_labels: `(train,)` class ids.
        test_embeddings: `(test, features)`.
        test_labels: `(test,)` class ids.
        num_neighbors: Number of neighbors that vote, with equal weight; at most the number of
            training images. Of equal votes the lowest class wins.

    Returns:
        Accuracy in [0, 1].

    Raises:
        ValueError: If `num_neighbors` is below 1 or above the number of training images, or the
            arrays are not as described.

    Reference:
        Wu et al., Unsupervised Feature Learning via Non-Parametric Instance Discrimination, CVPR
        2018, section 3.4, without the weighting by similarity, which `knn_evaluation` has.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.evaluation import knn_accuracy
    >>> train = np.array([[1.0, 0.0], [9.0, 1.0], [0.0, 1.0], [1.0, 9.0]])
    >>> labels = np.array([0, 0, 1, 1])
    >>> knn_accuracy(train, labels, np.array([[5.0, 1.0]]), np.array([0]), num_neighbors=1)
    1.0
    """
    splits = check_splits(train_embeddings, train_labels, test_embeddings, test_labels)
    num_neighbors = check_whole_number("num_neighbors", num_neighbors, at_least=1)
    if num_neighbors > len(splits.train):
        raise ValueError(
            "`num_neighbors` should be between 1 and the number of training images, "
            f"{len(splits.train)}. Received: num_neighbors={num_neighbors!r}"
        )
    right = [
        splits.classes[votes.argmax(axis=1)] == splits.test_labels[rows]
        for rows, votes in _votes(splits, num_neighbors, temperature=None)
    ]
    return float(np.concatenate(right).mean())

"""Accuracy of the nearest neighbors in the embedding space."""

import numpy as np

from keras_supcon.extras import require_extra


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
            training images.

    Returns:
        Accuracy in [0, 1].

    Raises:
        ValueError: If `num_neighbors` is below 1 or above the number of training images.
        ImportError: If scikit-learn is missing (`pip install keras-supcon[report]`).

    Reference:
        Wu et al., Unsupervised Feature Learning via Non-Parametric Instance Discrimination, CVPR
        2018, section 3.4, without the weighting by similarity.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.evaluation import knn_accuracy
    >>> train = np.array([[1.0, 0.0], [9.0, 1.0], [0.0, 1.0], [1.0, 9.0]])
    >>> labels = np.array([0, 0, 1, 1])
    >>> knn_accuracy(train, labels, np.array([[5.0, 1.0]]), np.array([0]), num_neighbors=1)
    1.0
    """
    require_extra("report", "sklearn", by="`knn_accuracy`")
    from sklearn.neighbors import KNeighborsClassifier

    if not 1 <= num_neighbors <= len(train_labels):
        raise ValueError(
            "`num_neighbors` should be between 1 and the number of training images, "
            f"{len(train_labels)}. Received: num_neighbors={num_neighbors!r}"
        )
    neighbors = KNeighborsClassifier(num_neighbors, metric="cosine", algorithm="brute").fit(
        train_embeddings, train_labels
    )
    return float(neighbors.score(test_embeddings, test_labels))

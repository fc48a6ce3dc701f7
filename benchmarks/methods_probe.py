"""The accuracy of frozen features, by a linear probe and by neighbors, and how projections spread.

What a probe has to be chosen for is chosen on validation images; the test images are measured once.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from keras_supcon.evaluation import knn_accuracy

# Inverse strengths of the L2 penalty, and numbers of neighbors.
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
NEIGHBORS = (5, 20, 100)
_ITERATIONS = 300

Split = tuple[np.ndarray, np.ndarray]


def measure_features(splits: dict[str, Split]) -> dict[str, float]:
    """Measures features by a linear probe and by kNN.

    Args:
        splits: Features and class ids of `"train"`, `"validation"` and `"test"`.

    Returns:
        The accuracies on the test images, and what was chosen for them.
    """
    linear = _LinearProbe(splits["train"])
    penalty = _best(PENALTIES, lambda value: linear.accuracy(splits["validation"], value))
    neighbors = _best(NEIGHBORS, lambda k: knn_accuracy(*splits["train"], *splits["validation"], k))
    return {
        "linear_accuracy": linear.accuracy(splits["test"], penalty),
        "knn_accuracy": knn_accuracy(*splits["train"], *splits["test"], neighbors),
        "penalty": penalty,
        "neighbors": neighbors,
    }


def measure_spread(projections: np.ndarray) -> dict[str, float]:
    """Measures whether projections collapse.

    Returns:
        `deviation`: that of the entries of unit rows, times the square root of their number: 1 for
        rows all over the sphere, 0 for one point. `effective_rank`: exp of the entropy of the
        singular values (Roy and Vetterli, The effective rank, 2007).
    """
    rows = projections / np.maximum(np.linalg.norm(projections, axis=1, keepdims=True), 1e-12)
    shares = np.linalg.svd(rows, compute_uv=False)
    shares = shares / shares.sum()
    entropy = -np.sum(shares * np.log(np.maximum(shares, 1e-12)))
    deviation = rows.std(axis=0).mean() * np.sqrt(rows.shape[1])
    return {"deviation": float(deviation), "effective_rank": float(np.exp(entropy))}


class _LinearProbe:
    """Logistic regressions on standardized features, each fitted once."""

    def __init__(self, train: Split) -> None:
        features, self._labels = train
        self._scaler = StandardScaler().fit(features)
        self._features = self._scaler.transform(features)
        self._fitted: dict[float, LogisticRegression] = {}

    def accuracy(self, split: Split, penalty: float) -> float:
        if penalty not in self._fitted:
            model = LogisticRegression(C=penalty, max_iter=_ITERATIONS)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # it is good enough by then
                self._fitted[penalty] = model.fit(self._features, self._labels)
        features, labels = split
        return float(self._fitted[penalty].score(self._scaler.transform(features), labels))


def _best(candidates: tuple[Any, ...], accuracy: Callable[[Any], float]) -> Any:
    """Returns the candidate of the highest accuracy, the first one of several."""
    return max(candidates, key=accuracy)

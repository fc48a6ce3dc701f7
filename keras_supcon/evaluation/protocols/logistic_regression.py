"""Logistic regression on embeddings, along a path of regularizations."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_supcon.array_checks import check_embeddings
from keras_supcon.evaluation.scores.calibration import softmax
from keras_supcon.extras import require_extra

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

# Those of Kornblith et al. and its followers.
REGULARIZATIONS = tuple(float(one) for one in np.logspace(-6, 5, 45))
# A step that lowers the loss by a smaller share of that at the start is the last one. 1e-6 takes
# 1,800 evaluations along the 45 regularizations of Fashion-MNIST. With a tenth of it accuracies
# differ by up to 0.1 points.
_TOLERANCE_OF_PATH = 1e-6
_TOLERANCE = 1e-8  # the least that float32 tells apart
_MOST_STEPS = 1000
_SMALLEST_LOSS = 1e-12
# A feature that varies less is taken as constant: weights for it would overflow.
_SMALLEST_DEVIATION = 1e-290
# Rows that are converted to float64 at a time: embeddings may be larger than the memory.
_ROWS_AT_ONCE = 8192


@dataclasses.dataclass(frozen=True)
class LinearProbe:
    """A linear classifier of embeddings.

    Args:
        weights: float64 `(d, classes)`, for embeddings as the encoder gives them.
        bias: float64 `(classes,)`.
        classes: Class ids `(classes,)`, in ascending order.
        regularization: Factor of the squared weights in the loss.
    """

    weights: np.ndarray
    bias: np.ndarray
    classes: np.ndarray
    regularization: float

    def logits(self, embeddings: np.ndarray) -> np.ndarray:
        """Returns the scores of the classes, `(n, classes)`.

        Raises:
            ValueError: If embeddings are not finite rows of the width of the training.
        """
        embeddings = check_embeddings("embeddings", embeddings)
        if embeddings.shape[1] != len(self.weights):
            raise ValueError(
                f"`embeddings` should have {len(self.weights)} features, as in training. Received: "
                f"embeddings.shape={embeddings.shape}"
            )
        logits = np.empty((len(embeddings), len(self.classes)))
        for rows in _blocks(embeddings):
            logits[rows] = embeddings[rows].astype("float64") @ self.weights + self.bias
        return logits

    def probabilities(self, embeddings: np.ndarray) -> np.ndarray:
        """Returns the probabilities of the classes, `(n, classes)`."""
        return softmax(self.logits(embeddings))

    def predict(self, embeddings: np.ndarray) -> np.ndarray:
        """Returns class ids `(n,)`."""
        return self.classes[self.logits(embeddings).argmax(axis=1)]


class Standardizer:
    """Shifts and scales features to mean 0 and standard deviation 1 over the training images.

    A feature that is constant there is only shifted.

    Args:
        train: `(n, d)`.
    """

    def __init__(self, train: np.ndarray) -> None:
        # In units of the largest value, since squares of float64 overflow from 1.3e154 on.
        largest = np.max([np.abs(train[rows]).max(axis=0) for rows in _blocks(train)], axis=0)
        unit = np.where(largest > 0, largest, 1).astype("float64")
        mean, squares = np.zeros(train.shape[1]), np.zeros(train.shape[1])
        for rows in _blocks(train):
            mean += (train[rows] / unit).sum(axis=0) / len(train)
        for rows in _blocks(train):
            squares += ((train[rows] / unit - mean) ** 2).sum(axis=0)
        deviation = np.sqrt(squares / len(train))
        # Rounding leaves a little of the size of the mean.
        is_constant = (deviation <= 1e-6 * np.abs(mean)) | (deviation * unit < _SMALLEST_DEVIATION)
        self.mean = mean * unit
        self.scale = np.where(is_constant, 1.0, deviation * unit)

    def __call__(self, embeddings: np.ndarray) -> np.ndarray:
        standardized = np.empty(embeddings.shape, "float32")
        for rows in _blocks(embeddings):
            standardized[rows] = (embeddings[rows] - self.mean) / self.scale
        return standardized

    def probe(
        self, weights: np.ndarray, bias: np.ndarray, classes: np.ndarray, regularization: float
    ) -> LinearProbe:
        """Returns the probe for embeddings that are not standardized."""
        weights = weights / self.scale[:, None]
        return LinearProbe(weights, bias - self.mean @ weights, classes, regularization)


def _blocks(rows: np.ndarray) -> Iterator[slice]:
    return (slice(i, i + _ROWS_AT_ONCE) for i in range(0, len(rows), _ROWS_AT_ONCE))


def fit_path(
    train: np.ndarray,
    labels: np.ndarray,
    regularizations: Sequence[float],
    standardizer: Standardizer,
    tolerance: float = _TOLERANCE_OF_PATH,
    balanced: bool = False,
) -> Iterator[LinearProbe]:
    """Fits a probe for each regularization, beginning with the weights of the one before.

    The loss is the mean cross-entropy of softmax plus `regularization / 2` times the sum of the
    squared weights of standardized features. The bias is not regularized.

    It is minimized by L-BFGS along the principal axes of the features, each scaled by what the
    second derivative of the loss is there, about `variance * mean p(1 - p) + regularization` with
    the probabilities p of the probe before. Features of an encoder are correlated: without that,
    weak regularizations take many more steps.

    Args:
        train: `(n, d)`.
        labels: Class ids `(n,)`, at least two different ones.
        regularizations: Positive numbers, best in descending order: strong regularization is fitted
            in a few steps.
        standardizer: What standardizes the features.
        tolerance: Share of the loss at the start that the last step lowers it by.
        balanced: Whether each class counts alike in the mean cross-entropy, however many rows it
            has.

    Yields:
        The probes, in the order of the regularizations.
    """
    classes, places = np.unique(labels, return_inverse=True)
    rows, axes = _principal_axes(standardizer(train))
    variances = np.einsum("nr,nr->r", rows, rows, dtype="float64") / len(rows)
    loss = _Loss(rows, places, len(classes), tolerance, balanced)
    weights, bias = np.zeros((len(variances), len(classes))), np.zeros(len(classes))
    for regularization in regularizations:
        scales = 1 / np.sqrt(variances * loss.curvature(weights, bias) + regularization)
        weights, bias = loss.minimize(weights, bias, regularization, scales)
        yield standardizer.probe(axes @ weights, bias, classes, regularization)


def _principal_axes(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns rows along their principal axes, `(n, r)`, and the axes `(d, r)`.

    Regularized weights have no part outside of the space of the rows, so that `r` is at most the
    number of rows.
    """
    number, width = rows.shape
    if number < width:
        left, lengths, axes = np.linalg.svd(rows, full_matrices=False)
        return left * lengths, axes.T.astype("float64")
    axes = np.linalg.eigh((rows.T @ rows).astype("float64"))[1]
    return rows @ axes.astype("float32"), axes


class _Loss:
    """Cross-entropy of softmax with squared weights.

    Args:
        rows: float32 `(n, r)`.
        places: Columns of the true classes `(n,)`.
        num_classes: Number of classes.
        tolerance: Share of the loss at the start that the last step lowers it by.
        balanced: Whether each class counts alike.
    """

    def __init__(
        self,
        rows: np.ndarray,
        places: np.ndarray,
        num_classes: int,
        tolerance: float,
        balanced: bool,
    ) -> None:
        self._rows, self._num_classes = rows, num_classes
        self._options = {"maxiter": _MOST_STEPS, "maxcor": 20, "gtol": 1e-6, "ftol": tolerance}
        self._true = np.arange(len(rows)), places
        self._row_weights = None  # of mean 1
        if balanced:
            per_class = len(rows) / (num_classes * np.bincount(places))
            self._row_weights = per_class[places].astype("float32")

    def minimize(
        self, weights: np.ndarray, bias: np.ndarray, regularization: float, scales: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the best weights `(r, classes)` and bias `(classes,)`, from given ones.

        Args:
            weights: Where to begin.
            bias: Where to begin.
            regularization: Factor of the squared weights.
            scales: Scales of the weights of each row, `(r,)`, for the optimizer.
        """
        from scipy.optimize import minimize

        scales = scales[:, None]

        def unpack(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            parts = flat.reshape(-1, self._num_classes)
            return parts[:-1] * scales, parts[-1]

        start = np.vstack([weights / scales, bias]).ravel()
        # SciPy's tolerance is a share of the loss above 1 alone: so the loss begins at 1.
        unit = max(self._evaluate(weights, bias, regularization)[0], _SMALLEST_LOSS)

        def evaluate(flat: np.ndarray) -> tuple[float, np.ndarray]:
            loss, of_weights, of_bias = self._evaluate(*unpack(flat), regularization)
            return loss / unit, np.vstack([of_weights * scales, of_bias]).ravel() / unit

        with _blas_of_scipy().limit(limits=1):
            found = minimize(evaluate, start, jac=True, method="L-BFGS-B", options=self._options)
        return unpack(found.x)

    def _logits(self, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
        return self._rows @ weights.astype("float32") + bias.astype("float32")

    def curvature(self, weights: np.ndarray, bias: np.ndarray) -> float:
        """Returns the mean of p(1 - p) over the probabilities p of all rows and classes."""
        probabilities = softmax(self._logits(weights, bias))
        return float((probabilities * (1 - probabilities)).mean(dtype="float64"))

    def _evaluate(
        self, weights: np.ndarray, bias: np.ndarray, regularization: float
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Returns the loss and its derivatives by weights and bias."""
        logits = self._logits(weights, bias)
        logits -= logits.max(axis=1, keepdims=True)
        of_true = logits[self._true]
        exponentials = np.exp(logits, out=logits)
        sums = exponentials.sum(axis=1)
        of_rows = np.log(sums) - of_true
        exponentials /= sums[:, None]
        exponentials[self._true] -= 1
        if self._row_weights is not None:
            of_rows *= self._row_weights
            exponentials *= self._row_weights[:, None]
        likelihood = of_rows.mean(dtype="float64")
        of_weights = self._rows.T @ exponentials / len(self._rows) + regularization * weights
        of_bias = exponentials.mean(axis=0, dtype="float64")
        return likelihood + regularization / 2 * float((weights**2).sum()), of_weights, of_bias


@functools.cache
def _blas_of_scipy() -> ThreadpoolController:
    """Returns what sets the threads of a copy of BLAS that only SciPy uses, as its wheels have one.

    L-BFGS gives its threads next to no work, and while they wait they take the cores from NumPy's.
    With both, 4,000 rows of 128 features took ten times as long on two cores.
    """
    require_extra("report", "threadpoolctl", by="Logistic regression")
    from threadpoolctl import ThreadpoolController

    controller = ThreadpoolController()
    paths = [one["filepath"] for one in controller.info()]
    of_scipy = [one for one in paths if {"scipy", "scipy.libs"} & {*pathlib.Path(one).parts}]
    return controller.select(filepath=of_scipy)


def fit_probe(
    train: np.ndarray,
    labels: np.ndarray,
    regularization: float,
    standardizer: Standardizer,
    balanced: bool = False,
) -> LinearProbe:
    """Fits one probe, from weights of zero and to a smaller tolerance; arguments as `fit_path`."""
    return next(fit_path(train, labels, [regularization], standardizer, _TOLERANCE, balanced))

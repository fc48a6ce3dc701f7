"""Logistic regression on embeddings, along a path of regularizations."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator, Sequence

import numpy as np

from keras_supcon.evaluation.array_checks import check_embeddings
from keras_supcon.evaluation.scores.calibration import softmax

# Those of Kornblith et al. and its followers.
REGULARIZATIONS = tuple(float(one) for one in np.logspace(-6, 5, 45))
_MOST_STEPS = 1000
_TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True)
class LinearProbe:
    """A linear classifier of embeddings.

    Args:
        weights: `(d, classes)`, for embeddings as the encoder gives them.
        bias: `(classes,)`.
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
        return embeddings @ self.weights + self.bias

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
        self.mean = train.mean(axis=0, dtype="float64")
        deviation = train.std(axis=0, dtype="float64")
        # Rounding leaves a little of the size of the mean.
        is_constant = deviation <= 1e-6 * np.abs(self.mean)
        self.scale = np.where(is_constant, 1.0, deviation)

    def __call__(self, embeddings: np.ndarray) -> np.ndarray:
        return ((embeddings - self.mean) / self.scale).astype("float32")

    def probe(
        self, weights: np.ndarray, bias: np.ndarray, classes: np.ndarray, regularization: float
    ) -> LinearProbe:
        """Returns the probe for embeddings that are not standardized."""
        weights = weights / self.scale[:, None]
        bias = bias - self.mean @ weights
        return LinearProbe(
            weights.astype("float32"), bias.astype("float32"), classes, regularization
        )


def fit_path(
    train: np.ndarray,
    labels: np.ndarray,
    regularizations: Sequence[float],
    standardizer: Standardizer,
) -> Iterator[LinearProbe]:
    """Fits a probe for each regularization, beginning with the weights of the one before.

    The loss is the mean cross-entropy plus `regularization / 2` times the sum of the squared
    weights of standardized features. The bias is not regularized. Of two classes the weights are
    those of one logit.

    Args:
        train: `(n, d)`.
        labels: Class ids `(n,)`, at least two different ones.
        regularizations: Positive numbers, best in descending order: strong regularization is fitted
            in a few steps.
        standardizer: What standardizes the features.

    Yields:
        The probes, in the order of the regularizations.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    train = standardizer(train)
    model = LogisticRegression(warm_start=True, max_iter=_MOST_STEPS, tol=_TOLERANCE)
    for regularization in regularizations:
        model.C = 1 / (regularization * len(train))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # after that many steps it is near
            model.fit(train, labels)
        weights, bias = model.coef_.T, model.intercept_
        if len(model.classes_) == 2:
            weights = np.concatenate([-weights / 2, weights / 2], axis=1)
            bias = np.concatenate([-bias / 2, bias / 2])
        yield standardizer.probe(weights, bias, model.classes_, regularization)


def fit_probe(
    train: np.ndarray, labels: np.ndarray, regularization: float, standardizer: Standardizer
) -> LinearProbe:
    """Fits one probe, from weights of zero; arguments as in `fit_path`."""
    return next(iter(fit_path(train, labels, [regularization], standardizer)))

"""The choice of a regularization by cross-validation of the few images that there are."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np

from keras_supcon.evaluation.protocols.logistic_regression import Standardizer, fit_path

# Fewer than in the linear evaluation: some images choose no finer.
REGULARIZATIONS = tuple(float(one) for one in np.logspace(-5, 2, 15))
MOST_FOLDS = 3
_WITHOUT_CHOICE = 1.0


def choose_regularization(
    rows: np.ndarray,
    labels: np.ndarray,
    regularizations: Sequence[float],
    standardizer: Standardizer,
    seed: int,
    balanced: bool = False,
) -> float:
    """Chooses a regularization by cross-validation in up to three folds.

    Each fold leaves two classes at least to be fitted. Where all classes but one have one image
    there is nothing to choose by, and it is the one nearest to 1.

    Args:
        rows: `(n, d)`.
        labels: Class ids `(n,)`, at least two different ones.
        regularizations: Positive numbers in ascending order.
        standardizer: What standardizes the features.
        seed: Seed of the folds.
        balanced: Whether each class counts alike, in the loss and in the score, which is else the
            number of right predictions.

    Returns:
        The one with the best score; of equal ones the strongest.
    """
    from sklearn.model_selection import StratifiedKFold

    if len(regularizations) == 1:
        return regularizations[0]
    classes, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    num_folds = min(MOST_FOLDS, int(np.sort(counts)[-2]))
    if num_folds < 2:
        return min(regularizations, key=lambda one: abs(math.log(one / _WITHOUT_CHOICE)))
    folds = StratifiedKFold(num_folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # of classes with fewer images than folds
        warnings.simplefilter("ignore", UserWarning)
        splits = list(folds.split(rows, labels))
    right = {one: np.zeros(len(classes), int) for one in reversed(regularizations)}
    for fitted, held_out in splits:
        path = fit_path(rows[fitted], labels[fitted], list(right), standardizer, balanced=balanced)
        for probe in path:
            is_right = probe.predict(rows[held_out]) == labels[held_out]
            right[probe.regularization] += np.bincount(
                places[held_out][is_right], minlength=len(classes)
            )
    weights = 1 / counts if balanced else np.ones(len(classes))
    scores = {one: round(float(number @ weights), 9) for one, number in right.items()}
    return max(scores, key=scores.get)

"""Scores of learning one task after the other."""

from typing import Any

import numpy as np

from keras_supcon.array_checks import check_embeddings


def forgetting(accuracies: Any) -> float:
    """Computes how much accuracy on earlier tasks was lost.

    It is the mean, over all tasks but the last, of the best accuracy that was ever reached on the
    task before the last one was learned, minus that after the last one:

        1 / (T - 1) sum over j < T - 1 of (max over j <= i < T - 1 of a[i, j]) - a[T - 1, j]

    Args:
        accuracies: `(tasks, tasks)`, at least two: `accuracies[i][j]` is that on task `j` once task
            `i` was learned. Those with `j > i` are not used, and may be anything.

    Returns:
        A number in [-1, 1]; negative if earlier tasks became better.

    Raises:
        ValueError: If the accuracies are no such square, or not finite where they are used.

    Reference:
        Chaudhry et al., Riemannian Walk for Incremental Learning, ECCV 2018, section 3.

    Example:

    >>> from keras_supcon.evaluation import forgetting
    >>> round(forgetting([[1.0, 0.0, 0.0], [0.6, 0.9, 0.0], [0.5, 0.8, 1.0]]), 3)
    0.3
    """
    lower = _check_accuracies(accuracies)
    last = len(lower) - 1
    best = np.array([lower[j:last, j].max() for j in range(last)])
    return float((best - lower[last, :last]).mean())


def backward_transfer(accuracies: Any) -> float:
    """Computes what later tasks changed on earlier ones.

    It is the mean, over all tasks but the last, of the accuracy after the last task minus that
    right after the task was learned.

    Args:
        accuracies: As for `forgetting`.

    Returns:
        A number in [-1, 1]; positive if earlier tasks became better.

    Raises:
        ValueError: As by `forgetting`.

    Reference:
        Lopez-Paz and Ranzato, Gradient Episodic Memory for Continual Learning, NIPS 2017.

    Example:

    >>> from keras_supcon.evaluation import backward_transfer
    >>> round(backward_transfer([[1.0, 0.0, 0.0], [0.6, 0.9, 0.0], [0.5, 0.8, 1.0]]), 3)
    -0.3
    """
    lower = _check_accuracies(accuracies)
    return float((lower[-1, :-1] - np.diag(lower)[:-1]).mean())


def _check_accuracies(accuracies: Any) -> np.ndarray:
    """Returns float64 `(tasks, tasks)`, with 0 above the diagonal."""
    array = np.array(accuracies, dtype="float64")
    if array.ndim != 2 or array.shape[0] != array.shape[1] or len(array) < 2:
        raise ValueError(
            "`accuracies` should have shape (tasks, tasks), at least two tasks. Received: "
            f"accuracies.shape={array.shape}"
        )
    array[np.triu_indices(len(array), 1)] = 0
    return check_embeddings("accuracies", array)

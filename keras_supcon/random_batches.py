"""Odds of batches that are drawn at random."""

import numpy as np


def no_other_of_class(class_counts: np.ndarray, batch_size: int) -> np.ndarray:
    """Returns how likely the batch of a sample has no other sample of its class.

    Of `N` samples, `n` of the class, a batch has `B - 1` others, drawn without replacement. None is
    of the class with the probability `C(N - n, B - 1) / C(N - 1, B - 1)`.

    Args:
        class_counts: Number of samples of each class, `(classes,)`.
        batch_size: Samples in a batch. A batch of more than there are has all of them.

    Returns:
        Float array `(classes,)`, 0 for a class without samples.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.random_batches import no_other_of_class
    >>> no_other_of_class(np.array([1, 2, 3]), batch_size=2)
    array([1. , 0.8, 0.6])
    """
    counts, total = np.asarray(class_counts), int(np.sum(class_counts))
    odds = {int(n): _no_other(total, int(n), batch_size) for n in np.unique(counts)}
    return np.array([odds[int(n)] for n in counts])


def _no_other(total: int, of_class: int, batch_size: int) -> float:
    left, drawn = total - of_class, min(batch_size, total) - 1
    if of_class == 0 or drawn > left:
        return 0.0
    # The sample number k + 1 that is drawn beside the anchor is of another class.
    k = np.arange(drawn)
    return float(np.exp(np.sum(np.log(left - k) - np.log(total - 1 - k))))

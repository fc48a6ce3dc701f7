"""Subsets in which classes are of very different sizes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_supcon.arguments import check_whole_number_or_none, is_number
from keras_supcon.seeds import check_seed, random_generator


def long_tail_sizes(
    class_counts: Sequence[int], imbalance: float, num_samples: int | None = None
) -> np.ndarray:
    """Returns how many samples of each class a long-tailed subset has.

    Sizes fall by one factor from a class to the next, and by `imbalance` from the first to the
    last, as far as rounding to whole samples lets them; each is at least 1.

    Args:
        class_counts: Samples that there are of each class, at least 1 each, of at least two
            classes.
        imbalance: How many times as many samples the first class has as the last one, at least 1.
        num_samples: Samples of the subset, about; None for as many as there can be.

    Returns:
        Sizes, int64 `(classes,)`, none above that of `class_counts`.

    Raises:
        ValueError: If an argument is out of its range, or there are fewer samples of a class.

    Reference:
        Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019, section
        5.1.

    Example:

    >>> from keras_supcon.data import long_tail_sizes
    >>> long_tail_sizes([5000] * 10, imbalance=100).tolist()
    [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    """
    counts = np.asarray(class_counts)
    if counts.ndim != 1 or len(counts) < 2 or counts.dtype.kind not in "iu" or counts.min() < 1:
        raise ValueError(
            "`class_counts` should hold whole numbers of at least 1, of at least two classes. "
            f"Received: class_counts={class_counts!r}"
        )
    if not (is_number(imbalance) and imbalance >= 1):
        raise ValueError(
            f"`imbalance` should be a number of at least 1. Received: imbalance={imbalance!r}"
        )
    check_whole_number_or_none("num_samples", num_samples, at_least=len(counts))
    shares = imbalance ** (-np.arange(len(counts)) / (len(counts) - 1))
    if num_samples is None:
        # The largest multiple that the classes allow; half a sample more would round up beyond.
        sizes = np.floor(np.min(counts / shares) * shares + 1e-9)
    else:
        sizes = np.round(num_samples * shares / shares.sum())
    sizes = np.maximum(sizes, 1).astype("int64")
    if (sizes > counts).any():
        place = int(np.argmax(sizes > counts))
        raise ValueError(
            "`num_samples` should leave enough samples of each class. Received: "
            f"num_samples={num_samples}, which takes {sizes[place]} of the {counts[place]} of "
            f"class {place}"
        )
    return sizes


def long_tailed(
    labels: Any, imbalance: float, num_samples: int | None = None, *, seed: int = 0
) -> np.ndarray:
    """Chooses the samples of a long-tailed subset, the first class being the largest.

    Args:
        labels: Class ids `(n,)` from 0 on, an integer array. Each class up to the largest id has a
            sample.
        imbalance: As for `long_tail_sizes`.
        num_samples: As for `long_tail_sizes`.
        seed: Whole number that determines which samples of a class there are.

    Returns:
        Places of the samples in ascending order, int64.

    Raises:
        ValueError: If an argument is out of its range, or a class has too few samples.

    Example:

    >>> import numpy as np
    >>> from keras_supcon import data
    >>> images, labels = data.load_arrays("digits", "train")
    >>> chosen = data.long_tailed(labels, imbalance=20)
    >>> print(np.bincount(labels[chosen]))
    [143 102  73  52  37  27  19  13   9   7]
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels) or labels.min() < 0:
        raise ValueError(
            "`labels` should be an array (n,) of class ids from 0 on. Received: "
            f"labels of shape {labels.shape} and dtype {labels.dtype}"
        )
    check_seed(seed)
    counts = np.bincount(labels)
    if (counts == 0).any():
        raise ValueError(
            "`labels` should have a sample of each class up to the largest id. Received: none of "
            f"class {int(np.argmin(counts))}"
        )
    if len(counts) < 2:
        raise ValueError("`labels` should be of two classes at least. Received: class 0 alone")
    sizes, rng = long_tail_sizes(counts, imbalance, num_samples), random_generator(seed)
    chosen = [
        rng.permutation(np.flatnonzero(labels == label))[:size] for label, size in enumerate(sizes)
    ]
    return np.sort(np.concatenate(chosen))

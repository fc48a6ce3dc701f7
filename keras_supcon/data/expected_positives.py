"""How many positives batches will hold, before a run is started."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keras_supcon.arguments import check_whole_number
from keras_supcon.random_batches import no_other_of_class


class ExpectedPositives(NamedTuple):
    """Expectations over the anchors of a random batch.

    Args:
        mean: Mean number of positives of an anchor, its own other views included.
        without: Share of anchors without a positive, whose loss is 0.
        without_others: Share of anchors whose batch has no other sample of their class: their own
            views alone are positives.
        mean_of_class: Float array `(classes,)`, the mean of the anchors of each class.
    """

    mean: float
    without: float
    without_others: float
    mean_of_class: np.ndarray


def expected_positives(
    batch_size: int, class_counts: Sequence[int] | np.ndarray, num_views: int = 2
) -> ExpectedPositives:
    """Computes how many positives an anchor has on average, and which share has none.

    Batches are drawn at random without replacement, as of a shuffled data set. With `N` samples,
    `n` of the anchor's class, and batches of `B`, the other samples of its class in a batch are
    hypergeometric: `(B - 1) (n - 1) / (N - 1)` in the mean, and none with the probability
    `C(N - n, B - 1) / C(N - 1, B - 1)`. `balanced_batches` has `samples_per_class - 1` instead.

    Args:
        batch_size: Samples in a batch over all replicas, at most as many as there are.
        class_counts: Number of samples of each class, `(classes,)`, such as
            `np.bincount(labels)`. An unlabeled sample is a class of 1.
        num_views: Views of a sample.

    Returns:
        The expectations, over anchors of all classes as often as they occur.

    Raises:
        ValueError: If an argument is out of its range.

    Reference:
        Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, table 6: accuracy grows up to
        about seven positives.

    Example:

    >>> from keras_supcon import data
    >>> many = data.expected_positives(256, [5000] * 10)  # CIFAR-10
    >>> few = data.expected_positives(256, [1300] * 1000)  # ImageNet
    >>> round(many.mean, 1), round(few.mean, 2), round(few.without_others, 2)
    (52.0, 1.51, 0.77)
    """
    counts = np.asarray(class_counts)
    if counts.ndim != 1 or counts.dtype.kind not in "iu" or (counts < 0).any() or not counts.sum():
        raise ValueError(
            "`class_counts` should be whole numbers of at least 0 and not all 0, of shape "
            f"(classes,). Received: class_counts={class_counts!r}"
        )
    total = int(counts.sum())
    batch_size = check_whole_number("batch_size", batch_size, at_least=1)
    num_views = check_whole_number("num_views", num_views, at_least=1)
    if batch_size > total:
        raise ValueError(
            f"`batch_size` should be at most the number of samples, {total}. Received: "
            f"batch_size={batch_size}"
        )
    share = counts / total
    others = (batch_size - 1) * np.maximum(counts - 1, 0) / max(total - 1, 1)
    means = np.where(counts > 0, num_views * others + num_views - 1, 0.0)
    none = no_other_of_class(counts, batch_size)
    without_others = float(share @ none)
    return ExpectedPositives(
        float(share @ means), without_others if num_views == 1 else 0.0, without_others, means
    )

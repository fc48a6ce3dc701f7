"""Groups samples by class."""

from typing import Any

from keras import ops

from keras_supcon.typing import Tensor

# Up to this number of samples, comparing all pairs is faster than the many small steps of sorting.
_SMALL_BATCH = 1024


def class_groups(class_ids: Tensor) -> Any:
    """Numbers the classes of a batch, from 0 and below the number of samples.

    Args:
        class_ids: Integer tensor `(samples,)`; a negative id is unlabeled, a separate class for
            each sample.

    Returns:
        int32 tensor `(samples,)`. The numbers have no order.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.ops.classes import class_groups
    >>> ops.convert_to_numpy(class_groups(ops.array([70, 5, -1, 70, -1]))).tolist()
    [0, 1, 2, 0, 4]
    """
    num_samples = class_ids.shape[0]
    if num_samples and num_samples <= _SMALL_BATCH:
        # The place of its first sample is the number of a class.
        place = ops.arange(num_samples, dtype="int32")
        class_ids = ops.where(class_ids < 0, -1 - place, class_ids)
        are_same = ops.equal(class_ids[:, None], class_ids[None])
        return ops.min(ops.where(are_same, place[None], num_samples), axis=1)
    order = ops.argsort(class_ids)
    ascending = ops.take(class_ids, order)
    place = ops.arange(ops.shape(class_ids)[0], dtype="int32")
    before = ops.take(ascending, ops.maximum(place - 1, 0))
    starts_class = ops.logical_and(
        ops.logical_or(ops.not_equal(ascending, before), ascending < 0), place > 0
    )
    return ops.take(ops.cumsum(ops.cast(starts_class, "int32")), ops.argsort(order))


def at_least_one(count: Tensor | int) -> Any:
    """Returns a number of segments that every backend accepts, also for an empty batch."""
    return max(count, 1) if isinstance(count, int) else ops.maximum(count, 1)


def ranks_in_group(groups: Tensor) -> Any:
    """Returns the place of each sample within its group, from 0.

    Args:
        groups: int32 tensor `(samples,)`.

    Returns:
        int32 tensor `(samples,)`.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.ops.classes import ranks_in_group
    >>> ops.convert_to_numpy(ranks_in_group(ops.array([0, 1, 2, 0, 0]))).tolist()
    [0, 0, 0, 1, 2]
    """
    order = ops.argsort(groups)
    ascending = ops.take(groups, order)
    place = ops.arange(ops.shape(groups)[0], dtype="int32")
    ranks = place - ops.cast(ops.searchsorted(ascending, ascending, side="left"), "int32")
    return ops.take(ranks, ops.argsort(order))

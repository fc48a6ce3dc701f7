"""The samples of each class."""

from typing import Any, NamedTuple

from keras import ops


class ClassMembers(NamedTuple):
    """What a sample is among those of its class; integer vectors in the order of the samples."""

    group: Any
    """The place of the sample's class among the classes present, from 0. An unlabelled sample is a class of its own."""
    rank: Any
    """The place of the sample among those of its class, from 0."""


def class_members(class_ids: Any) -> ClassMembers:
    """Numbers the classes present and the samples of each class.

    Args:
        class_ids: Integer tensor `(samples,)`; negative is unlabelled.

    Returns:
        `ClassMembers`.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.ops import class_members
    >>> group, rank = class_members(ops.array([70, 5, -1, 70, -1]))
    >>> ops.convert_to_numpy(group).tolist(), ops.convert_to_numpy(rank).tolist()
    ([3, 2, 0, 3, 1], [0, 0, 0, 1, 0])
    """
    order = ops.argsort(class_ids)
    ascending = ops.take(class_ids, order)
    place = ops.arange(ops.shape(class_ids)[0], dtype="int32")
    before = ops.take(ascending, ops.maximum(place - 1, 0))
    starts_class = ops.logical_and(ops.logical_or(ops.not_equal(ascending, before), ascending < 0), place > 0)
    group = ops.cumsum(ops.cast(starts_class, "int32"))
    rank = place - ops.cast(ops.searchsorted(group, group, side="left"), "int32")
    back = ops.argsort(order)
    return ClassMembers(ops.take(group, back), ops.take(rank, back))


def members_per_group(groups: Any, ascending_groups: Any) -> Any:
    """How often each item of `groups` appears in `ascending_groups`."""
    after = ops.searchsorted(ascending_groups, groups, side="right")
    return ops.cast(after - ops.searchsorted(ascending_groups, groups, side="left"), "int32")

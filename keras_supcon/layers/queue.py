"""A memory of rows of earlier batches."""

from typing import Any

import keras
from keras import ops

from keras_supcon.arguments import check_whole_number, check_whole_number_or_none
from keras_supcon.distribution import gather_across_replicas
from keras_supcon.ops import l2_normalize, standardize_labels
from keras_supcon.ops.classes import ranks_in_group
from keras_supcon.ops.normalization import convert_rows
from keras_supcon.typing import Tensor

EMPTY = -2
"""Label of an empty slot, as the losses take it in `queue_labels`."""


@keras.saving.register_keras_serializable(package="keras_supcon")
class Queue(keras.layers.Layer):
    """Remembers the last rows that it was given, with their class ids.

    It is a ring: a new row takes the place of the oldest one, whatever the size of a batch. Rows
    are scaled to length one and take no gradient. Everything is a weight that is not trained, so
    that files and checkpoints hold it. The losses take `rows` and `labels` as they are: an empty
    slot has a label of -2, which counts for nothing.

    Under a strategy all replicas hold the same queue: it gets the rows of all of them, in the order
    of the global batch. Rows that are not finite, as of a step that a scaled loss in half precision
    will skip, leave their slots empty.

    Args:
        size: Number of slots, at least 1.
        dim: Length of a row, at least 1.
        per_class: None for one ring. A number of classes gives each class a ring of its own, `size
            / per_class` slots, so that rare classes stay present. Unlabeled rows then have no slot.
        **kwargs: `name` and the other arguments of `keras.layers.Layer`.

    Attributes:
        rows: Float32 weight `(size, dim)`, zeros in empty slots.
        tags: int32 weight `(size,)`, a further number of each row, such as that of its image.
        labels: int32 weight `(size,)`: class ids, -1 for unlabeled, -2 for an empty slot. With
            `per_class` class `c` has the slots from `c * size / per_class` on.
        count: int32 weight `()`, number of slots that are not empty.
        pointer: int32 weight `(rings,)`, the place in each ring where the next row goes.

    Raises:
        ValueError: If an argument is of the wrong kind, or `size` is not divisible by `per_class`.

    Reference:
        He et al., Momentum Contrast for Unsupervised Visual Representation Learning, CVPR 2020,
        section 3.2.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> queue = keras_supcon.layers.Queue(size=4, dim=2)
    >>> queue.enqueue(np.array([[3.0, 4.0], [0.0, 2.0], [1.0, 0.0]]), [7, 8, -1])
    >>> int(queue.count), np.asarray(queue.labels).tolist()
    (3, [7, 8, -1, -2])
    >>> queue.enqueue(np.array([[0.0, 1.0], [1.0, 0.0]]), [9, 9])  # the oldest row makes room
    >>> np.asarray(queue.rows).round(1).tolist(), np.asarray(queue.labels).tolist()
    ([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], [9, 8, -1, 9])
    """

    def __init__(self, size: int, dim: int, per_class: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size, self.per_class = check_rings("size", size, per_class)
        self.dim = check_whole_number("dim", dim, at_least=1)
        self._num_rings = self.per_class or 1

        def add(name: str, shape: tuple[int, ...], initial: float, dtype: str) -> Any:
            return self.add_weight(
                shape,
                keras.initializers.Constant(initial),
                dtype=dtype,
                name=name,
                trainable=False,
                autocast=False,
                aggregation="only_first_replica",  # the same on all
            )

        self.rows = add("rows", (self.size, self.dim), 0.0, "float32")
        self.labels = add("labels", (self.size,), EMPTY, "int32")
        self.tags = add("tags", (self.size,), 0, "int32")
        self.count = add("count", (), 0, "int32")
        self.pointer = add("pointer", (self._num_rings,), 0, "int32")
        self.built = True

    def enqueue(
        self,
        rows: Tensor,
        labels: Tensor | None = None,
        tags: Tensor | None = None,
        is_ignored: Tensor | None = None,
    ) -> None:
        """Puts the rows of all replicas into the queue, in place of the oldest ones.

        Args:
            rows: `(batch, dim)`. Of more rows than slots the last ones are kept.
            labels: Class ids `(batch,)` or `(batch, 1)`, -1 for unlabeled, or one-hot rows. None
                for unlabeled rows.
            tags: Integers `(batch,)`; None for zeros.
            is_ignored: Bool `(batch,)`, rows whose slots stay empty; None for none.

        Raises:
            ValueError: If a shape or, where the values can be seen, the labels are not as
                described, or an id is not below `per_class`.
        """
        rows = ops.cast(convert_rows(rows, "float32"), "float32")
        if len(rows.shape) != 2 or rows.shape[1] != self.dim:
            raise ValueError(
                f"`rows` should have shape (batch, {self.dim}). Received: "
                f"rows.shape={tuple(rows.shape)}"
            )
        if labels is None:
            labels = ops.full((ops.shape(rows)[0],), -1, dtype="int32")
        labels = standardize_labels(labels, name="labels", num_classes=self.per_class)
        labels = ops.maximum(labels, -1)  # what XLA could not refuse would look like an empty slot
        if None not in (labels.shape[0], rows.shape[0]) and labels.shape[0] != rows.shape[0]:
            raise ValueError(
                "`labels` should have as many rows as `rows`. Received: "
                f"labels.shape={tuple(labels.shape)}, rows.shape={tuple(rows.shape)}"
            )
        tags = ops.zeros_like(labels) if tags is None else ops.cast(tags, "int32")
        is_row = ops.ones_like(labels) if is_ignored is None else 1 - ops.cast(is_ignored, "int32")
        (rows, labels, tags, is_row), _ = gather_across_replicas(
            ops.stop_gradient(rows), labels, tags, is_row
        )
        slots, moved = self._slots(labels)
        is_row = ops.logical_and(is_row > 0, ops.all(ops.isfinite(rows), axis=1))
        rows = l2_normalize(ops.where(is_row[:, None], rows, ops.zeros_like(rows)))
        labels = ops.where(is_row, labels, ops.full_like(labels, EMPTY))
        self.rows.assign(_put(self.rows, slots, rows))
        self.labels.assign(_put(self.labels, slots, labels))
        self.tags.assign(_put(self.tags, slots, tags))
        self.pointer.assign(moved)
        is_filled = ops.cast(ops.convert_to_tensor(self.labels) > EMPTY, "int32")
        self.count.assign(ops.sum(is_filled))

    def is_filled(self) -> Tensor:
        """Returns 1 for each slot that holds a row and 0 for each empty one, float32 `(size,)`."""
        return ops.cast(ops.convert_to_tensor(self.labels) > EMPTY, "float32")

    def _slots(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the slot of each row, `size` for a row that gets none, and the new pointers."""
        length, pointer = self.size // self._num_rings, ops.convert_to_tensor(self.pointer)
        batch_size = ops.shape(labels)[0]
        if self.per_class is None:
            rings = ops.zeros_like(labels)
            ranks = ops.arange(batch_size, dtype="int32")
            counts = ops.reshape(ops.cast(batch_size, "int32"), (1,))
        else:
            # Unlabeled rows are in a ring beyond the last one.
            rings = ops.where(labels < 0, ops.full_like(labels, self._num_rings), labels)
            ranks = ranks_in_group(rings)
            ones = ops.ones_like(rings)
            counts = ops.segment_sum(ones, rings, self._num_rings + 1)[: self._num_rings]
        has_ring = rings < self._num_rings
        rings = ops.where(has_ring, rings, ops.zeros_like(rings))
        # Of more rows than slots the first ones would be overwritten at once.
        is_kept = ops.logical_and(has_ring, ranks >= ops.take(counts, rings) - length)
        places = rings * length + (ops.take(pointer, rings) + ranks) % length
        slots = ops.where(is_kept, places, ops.full_like(places, self.size))
        return slots, (pointer + counts) % length

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "size": self.size,
            "dim": self.dim,
            "per_class": self.per_class,
        }


def check_rings(name: str, size: Any, per_class: Any) -> tuple[int, int | None]:
    """Returns the number of slots and the number of classes of a queue.

    Raises:
        ValueError: If one is of the wrong kind, or the slots do not divide over the classes.
    """
    size = check_whole_number(name, size, at_least=1)
    per_class = check_whole_number_or_none("per_class", per_class, at_least=1)
    if per_class is not None and size % per_class:
        raise ValueError(
            f"`{name}` should be divisible by `per_class`, the number of classes. Received: "
            f"{name}={size}, per_class={per_class}"
        )
    return size, per_class


def _put(weight: keras.Variable, slots: Tensor, values: Tensor) -> Tensor:
    """Returns a weight with new values in its slots; the slot after the last one is dropped."""
    present = ops.convert_to_tensor(weight)
    padded = ops.concatenate([present, ops.zeros_like(present[:1])], axis=0)
    return ops.scatter_update(padded, slots[:, None], values)[:-1]

"""Reorders rows."""

from typing import Any

from keras import ops

from keras_supcon.ops.loops import gradient_function
from keras_supcon.typing import Tensor


def permute_rows(x: Tensor, order: Tensor, back: Tensor) -> Any:
    """Returns `x[order]`, with a gradient that is a permutation as well.

    The gradient of `keras.ops.take` adds up rows that may have been taken twice. On TensorFlow it
    has a sparse form that `tf.distribute` does not gather.

    Args:
        x: Float tensor `(rows, ...)`.
        order: Integer tensor `(rows,)`, a permutation.
        back: Its inverse.

    Returns:
        A tensor of the shape of `x`.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.ops.permutation import permute_rows
    >>> order = ops.array([2, 0, 1])
    >>> rows = permute_rows(ops.array([10.0, 20.0, 30.0]), order, ops.argsort(order))
    >>> ops.convert_to_numpy(rows).tolist()
    [30.0, 10.0, 20.0]
    """

    @ops.custom_gradient
    def permute(x: Tensor) -> Any:
        return ops.take(x, order, axis=0), gradient_function(
            lambda upstream: ops.take(upstream, back, axis=0)
        )

    return permute(x)


class RowOrder:
    """Sorts rows and restores their order.

    Args:
        keys: Integer tensor `(rows,)` by which rows are sorted, stably; None for no change.
    """

    def __init__(self, keys: Tensor = None) -> None:
        self._order = None if keys is None else ops.argsort(keys)
        self._back = None if keys is None else ops.argsort(self._order)

    def take(self, values: Tensor) -> Any:
        """Returns values `(rows,)` that take no gradient in this order."""
        return values if self._order is None else ops.take(values, self._order, axis=0)

    def permute(self, x: Tensor) -> Any:
        """Returns float rows `(rows, ...)` in this order."""
        return x if self._order is None else permute_rows(x, self._order, self._back)

    def restore(self, x: Tensor) -> Any:
        """Returns float rows in this order to the original one."""
        return x if self._order is None else permute_rows(x, self._back, self._order)

    def places(self, num_rows: Tensor | int) -> Any:
        """Returns the new place of each row."""
        return (
            ops.arange(num_rows, dtype="int32")
            if self._back is None
            else ops.cast(self._back, "int32")
        )

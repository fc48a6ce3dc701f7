"""Rows in another order."""

from typing import Any

from keras import ops

from keras_supcon.ops.loops import gradient_function


def permute_rows(x: Any, order: Any, back: Any) -> Any:
    """`x[order]`, with a gradient that is a permutation too.

    The gradient of `keras.ops.take` has to add up rows that may have been taken twice; on
    TensorFlow it comes in a sparse form that `tf.distribute` does not gather.

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
    >>> ops.convert_to_numpy(permute_rows(ops.array([10.0, 20.0, 30.0]), order, ops.argsort(order))).tolist()
    [30.0, 10.0, 20.0]
    """

    @ops.custom_gradient
    def permute(x: Any) -> Any:
        return ops.take(x, order, axis=0), gradient_function(
            lambda upstream: ops.take(upstream, back, axis=0)
        )

    return permute(x)


class RowOrder:
    """An order of rows and the way back; without keys the order in which they came.

    Args:
        keys: Integer tensor `(rows,)` by which the rows ascend, rows of equal keys in the order in
            which they came; or None.
    """

    def __init__(self, keys: Any = None) -> None:
        self._order = None if keys is None else ops.argsort(keys)
        self._back = None if keys is None else ops.argsort(self._order)

    def take(self, values: Any) -> Any:
        """Values `(rows,)` that take no gradient, in this order."""
        return values if self._order is None else ops.take(values, self._order, axis=0)

    def permute(self, x: Any) -> Any:
        """Float rows `(rows, ...)` in this order."""
        return x if self._order is None else permute_rows(x, self._order, self._back)

    def restore(self, x: Any) -> Any:
        """Float rows in this order back in that in which they came."""
        return x if self._order is None else permute_rows(x, self._back, self._order)

    def places(self, num_rows: Any) -> Any:
        """Where each row has gone."""
        return (
            ops.arange(num_rows, dtype="int32")
            if self._back is None
            else ops.cast(self._back, "int32")
        )

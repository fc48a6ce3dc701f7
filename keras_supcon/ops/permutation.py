"""Rows in another order."""

from typing import Any

from keras import ops

from keras_supcon.ops.loops import gradient_function


def permute_rows(x: Any, order: Any, back: Any) -> Any:
    """`x[order]`, with a gradient that is a permutation too.

    The gradient of `keras.ops.take` has to add up rows that may have been taken twice; on TensorFlow it comes in a sparse form
    that `tf.distribute` does not gather.

    Args:
        x: Float tensor `(rows, ...)`.
        order: Integer tensor `(rows,)`, a permutation.
        back: Its inverse.

    Returns:
        A tensor of the shape of `x`.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.ops import permute_rows
    >>> order = ops.array([2, 0, 1])
    >>> ops.convert_to_numpy(permute_rows(ops.array([10.0, 20.0, 30.0]), order, ops.argsort(order))).tolist()
    [30.0, 10.0, 20.0]
    """

    @ops.custom_gradient
    def permute(x: Any) -> Any:
        return ops.take(x, order, axis=0), gradient_function(lambda upstream: ops.take(upstream, back, axis=0))

    return permute(x)

"""Projection onto the unit sphere that is safe at every magnitude of float32."""

from typing import Any

from keras import ops

# Rows whose largest entry is below this are treated as zero. It is far below any useful activation, and
# its inverse, the largest gradient that can appear, still fits float32.
_SMALLEST_ROW = 1e-30


def l2_normalize(x: Any, axis: int = -1) -> Any:
    """Scales vectors to Euclidean length one.

    `keras.ops.normalize` overflows for long vectors and its gradient at a zero vector is 1e7 on TensorFlow and
    NaN on JAX and PyTorch. Here every vector is first divided by its largest entry, so the sum of squares lies
    between 1 and the dimension; the result does not depend on that factor, so no gradient flows through it.

    Args:
        x: Float tensor of any shape, float32 or float64.
        axis: The axis that holds the vectors.

    Returns:
        A tensor of the shape and dtype of `x`. A zero vector stays zero and receives a zero gradient.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.ops import l2_normalize
    >>> print(ops.convert_to_numpy(l2_normalize(ops.array([[3e25, 4e25], [0.0, 0.0]]))).round(4).tolist())
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    x = ops.convert_to_tensor(x)
    largest = ops.stop_gradient(ops.max(ops.abs(x), axis=axis, keepdims=True))
    is_zero = largest <= ops.cast(_SMALLEST_ROW, x.dtype)
    scaled = ops.where(is_zero, ops.zeros_like(x), x) / ops.where(is_zero, ops.ones_like(largest), largest)
    squared_norm = ops.sum(ops.square(scaled), axis=axis, keepdims=True)
    return scaled * ops.rsqrt(ops.where(is_zero, ops.ones_like(squared_norm), squared_norm))

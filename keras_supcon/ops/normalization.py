"""Projection onto the unit sphere that is safe at every magnitude of float32."""

from typing import Any

from keras import ops

from keras_supcon.ops.loops import gradient_function

# Rows whose largest entry is below this are treated as zero. It is far below any useful activation, and
# its inverse, the largest gradient that can appear, still fits float32.
_SMALLEST_ROW = 1e-30


def l2_normalize(x: Any, axis: int = -1) -> Any:
    """Scales vectors to Euclidean length one.

    `keras.ops.normalize` overflows for long vectors and its gradient at a zero vector is 1e7 on TensorFlow and
    NaN on JAX and PyTorch. Here every vector is first divided by its largest entry, so the sum of squares lies
    between 1 and the dimension.

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

    @ops.custom_gradient
    def normalize(x: Any) -> Any:
        largest = ops.max(ops.abs(x), axis=axis, keepdims=True, initial=0)
        # Divided by infinity a zero vector and its gradient become 0.
        largest = ops.where(largest > _SMALLEST_ROW, largest, ops.full_like(largest, float("inf")))
        scaled = x / largest
        inverse_norm = ops.rsqrt(ops.maximum(ops.sum(ops.square(scaled), axis=axis, keepdims=True), 1.0))
        unit = scaled * inverse_norm

        def backward(upstream: Any) -> Any:
            # The part of the gradient along the vector only changes its length.
            tangent = upstream - unit * ops.sum(unit * upstream, axis=axis, keepdims=True)
            return tangent * inverse_norm / largest

        return unit, gradient_function(backward)

    x = ops.convert_to_tensor(x)
    return x if 0 in x.shape else normalize(x)  # nothing has no largest entry


def limit_norm(x: Any, largest: float, axis: int = -1) -> Any:
    """Shortens vectors that are longer than `largest` to that length, so that their dot products cannot overflow.

    Args:
        x: Float tensor of any shape, float32 or float64.
        largest: Positive float.
        axis: The axis that holds the vectors.

    Returns:
        A tensor of the shape and dtype of `x`. No gradient flows through the factor.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.ops import limit_norm
    >>> print(ops.convert_to_numpy(limit_norm(ops.array([[3e25, 4e25], [0.0, 3.0]]), 10.0)).round(4).tolist())
    [[6.0, 8.0], [0.0, 3.0]]
    """
    x = ops.convert_to_tensor(x)
    if 0 in x.shape:
        return x
    constant = ops.stop_gradient(x)
    peak = ops.max(ops.abs(constant), axis=axis, keepdims=True, initial=_SMALLEST_ROW)
    relative_norm = ops.sqrt(ops.sum(ops.square(constant / peak), axis=axis, keepdims=True))
    # largest / norm in two steps: the norm itself may be beyond the dtype.
    return x * ops.minimum(largest / peak / ops.maximum(relative_norm, 1.0), 1.0)

"""Projection onto the unit sphere that is safe at every magnitude of float32."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_supcon.ops.loops import gradient_function

# Rows whose largest entry is below this are treated as zero. It is far below any useful activation,
# and its inverse, the largest gradient that can appear, still fits float32.
_SMALLEST_ROW = 1e-30
# What float64 rows are shortened to before they become float32.
_LARGEST_CAST = 1e30
# XLA multiplies by 1 / y where x / y is written, and has no number for that beyond 2^126, nor below
# 2^-126: rows are first brought this much nearer to 1. Not more: of constants it makes (x / y)^2
# into x^2 / y^2, which for rows of common lengths should be numbers, too.
_STEP = 2.0**8


def l2_normalize(x: Any, axis: int = -1) -> Any:
    """Scales vectors to Euclidean length one.

    `keras.ops.normalize` overflows for long vectors and its gradient at a zero vector is 1e7 on
    TensorFlow and NaN on JAX and PyTorch. Here every vector is first divided by its largest entry,
    so the sum of squares lies between 1 and the dimension. A gradient that is too long for the
    dtype, of a vector near the shortest, ends at its largest number.

    Args:
        x: Float tensor of any shape, float32 or float64.
        axis: The axis that holds the vectors.

    Returns:
        A tensor of the shape and dtype of `x`. A zero vector, and one of which no entry is above
        1e-30, becomes zero and receives a zero gradient.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.ops import l2_normalize
    >>> print(ops.convert_to_numpy(l2_normalize(ops.array([[3e25, 4e25], [0.0, 0.0]]))).round(4).tolist())
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """

    @ops.custom_gradient
    def normalize(x: Any) -> Any:
        largest = ops.max(ops.abs(x), axis=axis, keepdims=True, initial=0)
        step = _towards_one(largest)
        # Divided by infinity a zero vector and its gradient become 0.
        largest = ops.where(
            largest > _SMALLEST_ROW, largest * step, ops.full_like(largest, float("inf"))
        )
        scaled = x * step / largest
        inverse_norm = ops.rsqrt(
            _at_least_one(ops.sum(ops.square(scaled), axis=axis, keepdims=True))
        )
        unit = scaled * inverse_norm

        def backward(upstream: Any) -> Any:
            # The part of the gradient along the vector only changes its length.
            tangent = upstream - unit * ops.sum(unit * upstream, axis=axis, keepdims=True)
            gradient = tangent * inverse_norm / largest * step
            # Of a short vector it may be longer than the dtype holds.
            limit = float(np.finfo(keras.backend.standardize_dtype(gradient.dtype)).max)
            return ops.where(ops.isinf(gradient), ops.sign(gradient) * limit, gradient)

        return unit, gradient_function(backward)

    x = ops.convert_to_tensor(x)
    return x if 0 in x.shape else normalize(x)  # nothing has no largest entry


def _at_least_one(x: Any) -> Any:
    # With a Python number for it `ops.maximum` makes float32 of float64 on PyTorch.
    return ops.maximum(x, ops.ones_like(x))


def _towards_one(magnitude: Any) -> Any:
    """Powers of two by which magnitudes of float32 are brought to numbers that have a reciprocal."""
    return ops.where(
        magnitude > 1, ops.full_like(magnitude, 1 / _STEP), ops.full_like(magnitude, _STEP)
    )


def limit_norm(x: Any, largest: float, axis: int = -1) -> Any:
    """Shortens vectors that are longer than `largest` to that length, so that their dot products
    cannot overflow.

    Args:
        x: Float tensor of any shape, float32 or float64.
        largest: Positive float.
        axis: The axis that holds the vectors.

    Returns:
        A tensor of the shape and dtype of `x`. No gradient flows through the factor.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.ops.normalization import limit_norm
    >>> print(ops.convert_to_numpy(limit_norm(ops.array([[3e25, 4e25], [0.0, 3.0]]), 10.0)).round(4).tolist())
    [[6.0, 8.0], [0.0, 3.0]]
    """
    x = ops.convert_to_tensor(x)
    if 0 in x.shape:
        return x
    constant = ops.stop_gradient(x)
    peak = ops.max(ops.abs(constant), axis=axis, keepdims=True, initial=_SMALLEST_ROW)
    step = _towards_one(peak)
    relative_norm = ops.sqrt(
        ops.sum(ops.square(constant * step / (peak * step)), axis=axis, keepdims=True)
    )
    # largest / norm in two steps, since the norm itself may be beyond the dtype; XLA makes one of
    # them, hence `step` here too.
    factor = largest * step / (peak * step) / _at_least_one(relative_norm)
    return x * ops.where(factor < 1, factor, ops.ones_like(factor))


def convert_rows(rows: Any, dtype: str | None = None) -> Any:
    """Converts rows to a tensor, so that finite float64 rows stay finite and keep their direction
    in float32.

    Rows that are longer than 1e30 are shortened to that before a cast from float64: that they are
    scaled to unit length, or to their longest allowed length, afterwards makes it no difference.

    Args:
        rows: Array or tensor whose last axis holds the rows.
        dtype: Dtype of the result; None for that of the rows, as far as the backend has it.

    Returns:
        A tensor of the shape of `rows`.

    Example:

    >>> import numpy as np
    >>> from keras import ops
    >>> from keras_supcon.ops.normalization import convert_rows
    >>> bool(ops.all(ops.isfinite(convert_rows(np.array([[1e300, 5e299]]), "float32"))))
    True
    """
    if isinstance(rows, np.ndarray) and rows.dtype == "float64" and rows.ndim and rows.size:
        if (
            dtype == "float32" or keras.backend.backend() == "jax"
        ):  # which makes float32 of float64 unless told otherwise
            peak = np.max(
                np.abs(rows), axis=-1, keepdims=True, where=np.isfinite(rows), initial=_LARGEST_CAST
            )
            rows = rows * (_LARGEST_CAST / peak)
        return ops.convert_to_tensor(rows, dtype=dtype)
    rows = ops.convert_to_tensor(rows)
    given = keras.backend.standardize_dtype(rows.dtype)
    if given == "float64" and dtype not in (None, "float64") and len(rows.shape) > 0:
        rows = limit_norm(rows, _LARGEST_CAST)
    return rows if dtype in (None, given) else ops.cast(rows, dtype)

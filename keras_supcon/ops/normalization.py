"""L2 normalization that is safe at every magnitude of float32."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_supcon.ops.loops import gradient_function
from keras_supcon.typing import Tensor

# Rows whose largest entry is below this are treated as zero. It is far below useful activations,
# and its inverse, the largest possible gradient, still fits float32.
_SMALLEST_ROW = 1e-30
# Length to which float64 rows are shortened before they become float32.
_LARGEST_CAST = 1e30
# XLA computes x / y as x * (1 / y), and has no number for 1 / y beyond 2^126 and below 2^-126: rows
# are first brought nearer to 1 by this factor. It is no larger because XLA folds (x / y)^2 of
# constants into x^2 / y^2, which should be finite for rows of common lengths.
_STEP = 2.0**8


def l2_normalize(x: Tensor, axis: int = -1) -> Any:
    """Scales vectors to Euclidean length one.

    `keras.ops.normalize` overflows for long vectors, and its gradient at a zero vector is 1e7 on
    TensorFlow and NaN on JAX and PyTorch. Here every vector is first divided by its largest entry,
    so that the sum of squares lies between 1 and the dimension. Gradients of vectors near the
    shortest ones are clipped to the largest number of the dtype.

    Args:
        x: Float tensor of any shape, float32 or float64.
        axis: The axis that holds the vectors.

    Returns:
        A tensor of the shape and dtype of `x`. A zero vector, and one of which no entry is above
        1e-30, becomes zero and receives a zero gradient.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.ops import l2_normalize
    >>> unit = l2_normalize(ops.array([[3e25, 4e25], [0.0, 0.0]]))
    >>> print(ops.convert_to_numpy(unit).round(4).tolist())
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """

    @ops.custom_gradient
    def normalize(x: Tensor) -> Any:
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

        def backward(upstream: Tensor) -> Any:
            # The part of the gradient along the vector only changes its length.
            tangent = upstream - unit * ops.sum(unit * upstream, axis=axis, keepdims=True)
            gradient = tangent * inverse_norm / largest * step
            # Of a short vector it may be longer than the dtype holds.
            limit = float(np.finfo(keras.backend.standardize_dtype(gradient.dtype)).max)
            return ops.where(ops.isinf(gradient), ops.sign(gradient) * limit, gradient)

        return unit, gradient_function(backward)

    x = ops.convert_to_tensor(x)
    return x if 0 in x.shape else normalize(x)  # an empty tensor has no largest entry


def _at_least_one(x: Tensor) -> Any:
    # With a Python number `ops.maximum` turns float64 into float32 on PyTorch.
    return ops.maximum(x, ops.ones_like(x))


def _towards_one(magnitude: Tensor) -> Any:
    """Returns powers of two that bring magnitudes of float32 to numbers with a reciprocal."""
    return ops.where(
        magnitude > 1, ops.full_like(magnitude, 1 / _STEP), ops.full_like(magnitude, _STEP)
    )


def limit_norm(x: Tensor, largest: float, axis: int = -1) -> Any:
    """Shortens vectors longer than `largest` to that length, so that dot products stay finite.

    Args:
        x: Float tensor of any shape, float32 or float64.
        largest: Positive float.
        axis: The axis that holds the vectors.

    Returns:
        A tensor of the shape and dtype of `x`. No gradient flows through the factor.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.ops.normalization import limit_norm
    >>> short = limit_norm(ops.array([[3e25, 4e25], [0.0, 3.0]]), 10.0)
    >>> print(ops.convert_to_numpy(short).round(4).tolist())
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
    # largest / norm in two divisions, since the norm may overflow; XLA fuses them, hence `step`.
    factor = largest * step / (peak * step) / _at_least_one(relative_norm)
    return x * ops.where(factor < 1, factor, ops.ones_like(factor))


def convert_rows(rows: Tensor, dtype: str | None = None) -> Any:
    """Converts rows to a tensor; finite float64 rows stay finite and keep their direction.

    Rows longer than 1e30 are shortened to that length before a cast from float64. It has no effect
    on rows that are then scaled to unit length, or to their longest allowed length.

    Args:
        rows: Array or tensor whose last axis holds the rows.
        dtype: Dtype of the result; None for that of the rows, if the backend has it.

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
        ):  # which turns float64 into float32 by default
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

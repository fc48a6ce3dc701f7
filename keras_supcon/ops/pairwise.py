"""Statistics over all pairs of anchor and contrast rows."""

from typing import Any

from keras import ops


def scaled_similarity(anchors: Any, contrasts: Any, temperature: float) -> Any:
    """Dot products over the temperature, `z_i . z_a / tau`.

    Args:
        anchors: Float tensor `(anchors, dim)`.
        contrasts: Float tensor `(contrasts, dim)`.
        temperature: Positive float.

    Returns:
        Float tensor `(anchors, contrasts)`.
    """
    # Scaling the anchors costs anchors x dim operations, scaling the product anchors x contrasts.
    return ops.matmul(anchors / temperature, ops.transpose(contrasts))


def masked_logsumexp(logits: Any, mask: Any) -> Any:
    """`log sum exp` over the entries of each row that `mask` keeps.

    Args:
        logits: Float tensor `(rows, columns)`.
        mask: Boolean tensor `(rows, columns)`.

    Returns:
        Float tensor `(rows,)`; 0 for a row that keeps nothing. Value and gradient are finite for finite logits.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.ops import masked_logsumexp
    >>> logits = ops.array([[500.0, 500.0, 900.0], [1.0, 2.0, 3.0]])
    >>> mask = ops.array([[True, True, False], [False, False, False]])
    >>> print(ops.convert_to_numpy(masked_logsumexp(logits, mask)).round(3).tolist())
    [500.6929931640625, 0.0]
    """
    lowest = ops.full_like(logits, -float("inf"))
    row_max = ops.stop_gradient(ops.max(ops.where(mask, logits, lowest), axis=1, keepdims=True))
    is_empty = ops.logical_not(ops.any(mask, axis=1, keepdims=True))
    row_max = ops.where(is_empty, ops.zeros_like(row_max), row_max)
    # `where` on both sides of exp: a dropped entry may be far above the maximum of the kept ones, and the gradient
    # of exp at infinity times zero would be NaN.
    exponentials = ops.exp(ops.where(mask, logits - row_max, ops.zeros_like(logits)))
    total = ops.sum(ops.where(mask, exponentials, ops.zeros_like(logits)), axis=1)
    is_empty, row_max = ops.squeeze(is_empty, 1), ops.squeeze(row_max, 1)
    return row_max + ops.log(ops.where(is_empty, ops.ones_like(total), total))


def masked_mean(values: Any, mask: Any) -> Any:
    """Mean over the entries of each row that `mask` keeps.

    Args:
        values: Float tensor `(rows, columns)`.
        mask: Boolean tensor `(rows, columns)`.

    Returns:
        Float tensor `(rows,)`; 0 for a row that keeps nothing.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.ops import masked_mean
    >>> values = ops.array([[1.0, 3.0, 100.0], [1.0, 2.0, 3.0]])
    >>> mask = ops.array([[True, True, False], [False, False, False]])
    >>> print(ops.convert_to_numpy(masked_mean(values, mask)).tolist())
    [2.0, 0.0]
    """
    total = ops.sum(ops.where(mask, values, ops.zeros_like(values)), axis=1)
    count = ops.sum(ops.cast(mask, values.dtype), axis=1)
    return total / ops.maximum(count, 1.0)

"""Squared Euclidean distances as dot products, for pairwise sums and rankings of dot products."""

from typing import Any

from keras import ops

from keras_supcon.typing import Tensor


def distance_anchors(rows: Tensor) -> Any:
    """Returns anchor vectors whose dot products with `distance_contrasts` are negative squared
    distances, `-|a|^2 - |c|^2 + 2 a.c`.

    Args:
        rows: Float tensor `(rows, dim)`.

    Returns:
        Float tensor `(rows, dim + 2)`.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.ops import distance_anchors, distance_contrasts
    >>> a, c = ops.array([[1.0, 0.0]]), ops.array([[0.0, 1.0], [4.0, 4.0]])
    >>> products = ops.matmul(distance_anchors(a), ops.transpose(distance_contrasts(c)))
    >>> ops.convert_to_numpy(products).tolist()
    [[-2.0, -25.0]]
    """
    squares = ops.sum(ops.square(rows), axis=1, keepdims=True)
    return ops.concatenate([2.0 * rows, -squares, ops.ones_like(squares)], axis=1)


def distance_contrasts(rows: Tensor) -> Any:
    """Returns contrast vectors for `distance_anchors`: `(rows, dim)` to `(rows, dim + 2)`."""
    squares = ops.sum(ops.square(rows), axis=1, keepdims=True)
    return ops.concatenate([rows, ops.ones_like(squares), -squares], axis=1)

"""A number with gradient that is added to all dot products, as one more dimension of the rows."""

from collections.abc import Callable

from keras import ops

from keras_supcon.typing import Tensor

Function = Callable[[Tensor, Tensor | None], Tensor]


def with_bias(anchors: Tensor, contrasts: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Returns anchors and contrasts whose dot products are those of the rows plus the bias.

    Args:
        anchors: Float tensor `(anchors, dim)`.
        contrasts: Float tensor `(contrasts, dim)`.
        bias: Scalar tensor.
    """
    anchors = _with_column(anchors, ops.cast(bias, anchors.dtype))
    return anchors, _with_column(contrasts, ops.ones((), dtype=contrasts.dtype))


def with_bias_of_pairs(rows: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Returns rows whose dot products with one another have the derivative of a biased one.

    A column `c` adds `c^2`, which cannot be a negative bias. So `c` is 1, with the derivative 1/2
    by the bias, and what is missing of the bias is a constant shift. Anchors and contrasts stay the
    same rows, and each tile serves its mirror image too.

    Args:
        rows: Float tensor `(rows, dim)`.
        bias: Scalar tensor.

    Returns:
        `(rows, shift)`: `(rows, dim + 1)`, and a scalar tensor without gradient, by which the dot
        products have to be shifted.
    """
    bias = ops.cast(bias, rows.dtype)
    now = ops.stop_gradient(bias)
    return _with_column(rows, 1.0 + (bias - now) / 2), now - 1.0


def shifted(value: Function, slope: Function, shift: Tensor) -> tuple[Function, Function]:
    """Returns the functions of a `pair_sum` at shifted dot products."""

    def value_at(similarity: Tensor, parameter: Tensor | None) -> Tensor:
        return value(similarity + shift, parameter)

    def slope_at(similarity: Tensor, parameter: Tensor | None) -> Tensor:
        return slope(similarity + shift, parameter)

    return value_at, value_at if slope is value else slope_at


def _with_column(rows: Tensor, number: Tensor) -> Tensor:
    return ops.concatenate([rows, ops.zeros_like(rows[:, :1]) + number], axis=1)

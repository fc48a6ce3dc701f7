"""Losses that rank all contrasts of an anchor, one block of anchors at a time."""

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_supcon.ops.blocks import Blocks
from keras_supcon.ops.loops import add_to_block, for_each, gradient_function
from keras_supcon.ops.pairs import NEGATIVES, POSITIVES, Rows
from keras_supcon.typing import Tensor

# Number of pairs in memory at a time.
_NUM_PAIRS = 2**20


def row_loss(
    anchors: Tensor,
    anchor_rows: Rows,
    contrasts: Tensor,
    contrast_rows: Rows,
    rule: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]],
    block_size: int | None = None,
) -> Any:
    """Computes for every anchor a loss of its dot products with all contrast rows.

    Unlike in `pair_sum`, a pair may count by its rank among the others. A block of anchors with all
    contrasts is in memory at a time, in the forward and again in the backward pass.

    Args:
        anchors: Float tensor `(anchors, dim)`.
        anchor_rows: Their `Rows`.
        contrasts: Float tensor `(contrasts, dim)`.
        contrast_rows: Their `Rows`.
        rule: Takes dot products and the masks of positives and negatives, all `(block,
            contrasts)`. Returns the losses `(block, 1)` and their derivatives by the dot products
            `(block, contrasts)`.
        block_size: Anchors in a block; None for about a million pairs.

    Returns:
        Float tensor `(anchors,)`. Differentiable once, by `anchors` and `contrasts`.
    """

    @ops.custom_gradient
    def streamed(anchors: Tensor, contrasts: Tensor) -> Any:
        num_contrasts = contrasts.shape[0] or ops.shape(contrasts)[0]
        of_memory = _NUM_PAIRS // (num_contrasts + 1) + 1
        blocks = Blocks(anchors, anchor_rows, of_memory if block_size is None else block_size)
        columns = Rows(*(None if vector is None else vector[None] for vector in contrast_rows))

        def losses_and_slopes(i: Tensor | int) -> tuple[Any, Any]:
            rows = blocks.rows(i)
            products = ops.matmul(blocks.features(i), ops.transpose(contrasts))
            masks = [pairs.contains(rows, columns) for pairs in (POSITIVES, NEGATIVES)]
            if columns.present is not None:
                masks = [ops.logical_and(mask, columns.present > 0) for mask in masks]
            return rule(products, *masks)

        def backward(upstream: Tensor) -> tuple[Any, Any]:
            upstream = blocks.split(upstream[:, None])

            def anchor_block(i: Tensor | int, state: Any) -> Any:
                gradient, contrast_gradient = state
                weights = losses_and_slopes(i)[1] * upstream[i]
                contrast_gradient = contrast_gradient + ops.matmul(
                    ops.transpose(weights), blocks.features(i)
                )
                return add_to_block(gradient, i, ops.matmul(weights, contrasts)), contrast_gradient

            state = blocks.zeros(blocks.dim), ops.zeros_like(contrasts)
            gradient, contrast_gradient = for_each(0, blocks.count, anchor_block, state)
            return blocks.join(gradient), contrast_gradient

        def anchor_block(i: Tensor | int, losses: Tensor) -> Any:
            return add_to_block(losses, i, losses_and_slopes(i)[0])

        losses = for_each(0, blocks.count, anchor_block, blocks.zeros(1))
        return blocks.join(losses)[:, 0], gradient_function(backward)

    return streamed(ops.convert_to_tensor(anchors), ops.convert_to_tensor(contrasts))

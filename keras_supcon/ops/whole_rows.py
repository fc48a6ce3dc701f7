"""Losses of all contrasts of an anchor, one block of anchors at a time."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_supcon.ops.blocks import Blocks
from keras_supcon.ops.loops import add_to, add_to_block, for_each, gradient_function
from keras_supcon.ops.pairs import NEGATIVES, POSITIVES, Rows
from keras_supcon.ops.permutation import RowOrder
from keras_supcon.ops.row_search import index_dtype
from keras_supcon.typing import Tensor

# Number of pairs in memory at a time.
_NUM_PAIRS = 2**20

# Number of pairs whose vectors stay in the cache of a processor.
_NUM_CACHED_PAIRS = 2**19

# One less than a power of two, for `count_below`. A row with more positives takes a visit of all
# its negatives for every so many.
_NUM_POSITIVES = 127


class RowPairs(NamedTuple):
    """Describes the pairs of a block of anchors with all contrasts, which are in order of class."""

    anchors: Rows
    """Vectors `(block, 1)`."""
    contrasts: Rows
    """Vectors `(1, contrasts)`."""
    first: Tensor
    """Integer tensor `(block, 1)`, the first column of the class of the anchor."""
    after: Tensor
    """Integer tensor `(block, 1)`, the column after the last one of the class."""
    num_positives: Tensor
    """Float tensor `(block, 1)`."""
    num_negatives: Tensor
    """Float tensor `(block, 1)`."""

    @property
    def is_positive(self) -> Any:
        """Bool tensor `(block, contrasts)`."""
        return self._present(POSITIVES.contains(self.anchors, self.contrasts))

    @property
    def is_negative(self) -> Any:
        """Bool tensor `(block, contrasts)`."""
        return self._present(NEGATIVES.contains(self.anchors, self.contrasts))

    def of_anchors(self, rows: slice) -> "RowPairs":
        """Returns the pairs of some of the anchors."""
        anchors = Rows(*(None if vector is None else vector[rows] for vector in self.anchors))
        vectors = (self.first, self.after, self.num_positives, self.num_negatives)
        return RowPairs(anchors, self.contrasts, *(vector[rows] for vector in vectors))

    def _present(self, mask: Tensor) -> Any:
        if self.contrasts.present is None:
            return mask
        return ops.logical_and(mask, self.contrasts.present > 0)

    def for_each_part(self, body: Callable[[Tensor, Tensor, Any], Any], state: Any) -> Any:
        """Visits the positives of all anchors part by part.

        Args:
            body: Takes columns `(block, 127)` of `index_dtype`, the bool tensor of those of them
                that are positives of their row, and the state. Returns the next state.
            state: The first state.

        Returns:
            The last state.
        """
        num_columns = self.contrasts.index.shape[1] or ops.shape(self.contrasts.index)[1]
        last = num_columns - 1
        places = ops.arange(_NUM_POSITIVES, dtype="int32")[None]

        def part(number: Tensor | int, state: Any) -> Any:
            columns = self.first + number * _NUM_POSITIVES + places
            is_positive = columns < self.after
            columns = ops.minimum(columns, last)
            index = ops.take(self.contrasts.index[0], columns)
            is_positive = ops.logical_and(is_positive, ops.not_equal(index, self.anchors.index))
            if self.contrasts.present is not None:
                is_present = ops.take(self.contrasts.present[0], columns) > 0
                is_positive = ops.logical_and(is_positive, is_present)
            return body(ops.cast(columns, index_dtype()), is_positive, state)

        if isinstance(num_columns, int) and num_columns <= _NUM_POSITIVES:
            return part(0, state)
        most = ops.max(self.after - self.first, initial=0)
        return for_each(0, (most + _NUM_POSITIVES - 1) // _NUM_POSITIVES, part, state)


Rule = Callable[[Tensor, RowPairs], tuple[Tensor, Tensor]]


def row_loss(
    anchors: Tensor,
    anchor_rows: Rows,
    contrasts: Tensor,
    contrast_rows: Rows,
    num_positives: Tensor,
    num_negatives: Tensor,
    rule: Rule,
    block_size: int | None = None,
    has_many_steps: bool = False,
) -> Any:
    """Computes for every anchor a loss of its dot products with all contrast rows.

    Unlike in `pair_sum`, a pair may count by its rank among the others. A block of anchors with all
    contrasts is in memory at a time. The forward pass also computes the gradient of the sum of the
    losses: where all losses have one factor, as in a mean, the backward pass only multiplies. Where
    they have several it visits all pairs again.

    Args:
        anchors: Float tensor `(anchors, dim)`.
        anchor_rows: Their `Rows`.
        contrasts: Float tensor `(contrasts, dim)`.
        contrast_rows: Their `Rows`.
        num_positives: Float tensor `(anchors,)`.
        num_negatives: Float tensor `(anchors,)`.
        rule: Takes dot products `(block, contrasts)` and the `RowPairs` of the block. Returns the
            losses `(block, 1)`, and their derivatives by the dot products `(block, contrasts)`.
        block_size: Anchors in a block; None for about a million pairs.
        has_many_steps: Whether the rule takes so many small steps that they should not go through
            memory one after the other. TensorFlow compiles them then; PyTorch gives them fewer
            anchors at a time, of which the result for an anchor should not depend.

    Returns:
        Float tensor `(anchors,)`. Differentiable once, by `anchors` and `contrasts`. An anchor
        without a positive or without a negative has a number without meaning and no gradient.
    """
    if 0 in (anchors.shape[0], contrasts.shape[0]):
        return ops.sum(ops.convert_to_tensor(anchors), axis=1)  # none
    order = RowOrder(contrast_rows.group)
    contrasts = order.permute(ops.convert_to_tensor(contrasts))
    ascending = order.take(contrast_rows.group)
    columns = Rows(
        *(None if vector is None else order.take(vector)[None] for vector in contrast_rows)
    )
    ends = [
        ops.cast(ops.searchsorted(ascending, anchor_rows.group, side=side), "int32")
        for side in ("left", "right")
    ]
    rule = _in_few_passes(rule) if has_many_steps else rule
    is_defined = ops.logical_and(num_positives > 0, num_negatives > 0)

    @ops.custom_gradient
    def streamed(anchors: Tensor, contrasts: Tensor) -> Any:
        num_contrasts = contrasts.shape[0] or ops.shape(contrasts)[0]
        of_memory = _NUM_PAIRS // (num_contrasts + 1) + 1
        blocks = Blocks(anchors, anchor_rows, of_memory if block_size is None else block_size)
        # The rows that pad a block have no positives.
        of_anchors = [
            blocks.split(vector[:, None]) for vector in (*ends, num_positives, num_negatives)
        ]

        def products_and_pairs(i: Tensor | int) -> tuple[Any, RowPairs]:
            products = ops.matmul(blocks.features(i), ops.transpose(contrasts))
            return products, RowPairs(
                blocks.rows(i), columns, *(vectors[i] for vectors in of_anchors)
            )

        def visit(factors: Tensor) -> tuple[Any, Any, Any]:
            """Returns losses, and the gradients of their sum with factors `(anchors,)`."""
            factors = blocks.split(ops.where(is_defined, factors, 0.0)[:, None])

            def anchor_block(i: Tensor | int, state: Any) -> Any:
                of_all, gradient, contrast_gradient = state
                losses, slopes = rule(*products_and_pairs(i))
                # Factors of rows go with vectors: there are fewer of them than of pairs.
                contrast_gradient = add_to(
                    contrast_gradient,
                    ops.matmul(ops.transpose(slopes), factors[i] * blocks.features(i)),
                )
                return (
                    add_to_block(of_all, i, losses),
                    add_to_block(gradient, i, factors[i] * ops.matmul(slopes, contrasts)),
                    contrast_gradient,
                )

            state = blocks.zeros(1), blocks.zeros(blocks.dim), ops.zeros_like(contrasts)
            of_all, gradient, contrast_gradient = for_each(0, blocks.count, anchor_block, state)
            return blocks.join(of_all)[:, 0], blocks.join(gradient), contrast_gradient

        losses, *of_sum = visit(ops.ones_like(num_positives))

        def backward(upstream: Tensor) -> tuple[Any, Any]:
            lowest = ops.full_like(upstream, float("-inf"))
            factor = ops.max(ops.where(is_defined, upstream, lowest), initial=float("-inf"))
            are_equal = ops.logical_or(ops.logical_not(is_defined), ops.equal(upstream, factor))
            factor = ops.where(ops.any(is_defined), factor, ops.zeros_like(factor))
            return ops.cond(
                ops.all(are_equal),
                lambda: tuple(factor * gradient for gradient in of_sum),
                lambda: visit(upstream)[1:],
            )

        return losses, gradient_function(backward)

    return streamed(ops.convert_to_tensor(anchors), contrasts)


def _in_few_passes(rule: Rule) -> Rule:
    """Lets a rule of many small steps go through memory less often than once a step."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        if not tf.executing_eagerly():
            # Compiled once for each size of the batch.
            return tf.function(rule, autograph=False, jit_compile=True)
    if backend == "torch":
        return _in_parts(rule)
    return rule


def _in_parts(rule: Rule) -> Rule:
    """Applies a rule to a few rows at a time, whose numbers stay in the cache from step to step."""

    def of_block(products: Tensor, pairs: RowPairs) -> tuple[Tensor, Tensor]:
        num_rows, num_columns = products.shape
        size = _NUM_CACHED_PAIRS // (num_columns + 1) + 1
        if size >= num_rows:
            return rule(products, pairs)
        losses, slopes = products.new_empty((num_rows, 1)), products.new_empty(products.shape)
        for first in range(0, num_rows, size):
            rows = slice(first, first + size)
            losses[rows], slopes[rows] = rule(products[rows], pairs.of_anchors(rows))
        return losses, slopes

    return of_block

"""Weighted sums of contrast rows for every anchor, in memory that grows with the rows alone."""

from typing import Any

from keras import ops

from keras_supcon.ops.blocks import Blocks
from keras_supcon.ops.loops import add_to_block, for_each, gradient_function
from keras_supcon.ops.pair_weighting import Weighting, tile_weights
from keras_supcon.ops.pairs import PairSet, Rows
from keras_supcon.ops.tiles import Tiles
from keras_supcon.typing import Tensor


def weighted_row_sum(
    anchor_rows: Rows,
    features: Tensor,
    contrast_rows: Rows | None,
    pairs: PairSet,
    weighting: Weighting,
    block_size: int | None = None,
) -> Any:
    r"""Sums the vectors of the contrast rows of every anchor, each times the weight of the pair.

        out_i = sum_{j: (i, j) in pairs} w_ij f_j

    Where a loss is linear in its dot products, these are `out_i.a_i`, and a column of ones sums the
    weights in the same visit. Unlike in `pair_sum` no tile holds dot products. Pairs are visited
    tile by tile in the forward and again in the backward pass.

    Args:
        anchor_rows: `Rows` of the anchors, in ascending order of `pairs.key`, or in any order if
            they fit one block.
        features: Float tensor `(contrasts, dim)`.
        contrast_rows: Their `Rows`, in ascending order likewise, or None for the anchors. Rows that
            are not `present` should have zero vectors, and finite weights.
        pairs: The pairs that count.
        weighting: Weights of the pairs, which take no gradient. With `contrast_rows=None` its rows
            are those of the anchors in both parts.
        block_size: As for `pair_sum`.

    Returns:
        Float tensor `(anchors, dim)`, 0 for an anchor without pairs. Differentiable once, by
        `features`.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.ops import OTHERS, PairWeighting, Rows
    >>> from keras_supcon.ops.weighted_row_sum import weighted_row_sum
    >>> rows = Rows(index=ops.arange(3))
    >>> products = PairWeighting(lambda dot, *_: dot, ops.array([[1.0, 0], [0, 1], [1, 1]]))
    >>> vectors = ops.array([[1.0, 1.0], [2.0, 1.0], [4.0, 1.0]])
    >>> sums = weighted_row_sum(rows, vectors, None, OTHERS, products)
    >>> ops.convert_to_numpy(sums).tolist()
    [[4.0, 1.0], [4.0, 1.0], [3.0, 2.0]]
    """
    weighting = weighting.without_gradient()

    @ops.custom_gradient
    def streamed(features: Tensor) -> Any:
        if contrast_rows is None:
            sums = _SameRows(anchor_rows, features, pairs, weighting, block_size)
        else:
            sums = _OtherRows(anchor_rows, features, contrast_rows, pairs, weighting, block_size)
        return sums.forward(features), gradient_function(sums.backward)

    return streamed(ops.convert_to_tensor(features))


class _SameRows:
    """Computes `weighted_row_sum` over the tiles on and above the diagonal.

    The loop is that of `pair_sum` with other products: one for both makes JAX up to a fifth slower.
    """

    def __init__(
        self,
        rows: Rows,
        features: Tensor,
        pairs: PairSet,
        weighting: Weighting,
        block_size: int | None,
    ):
        self.blocks = Blocks(features, rows, block_size, pairs.needed)
        self.tiles = Tiles(self.blocks, rows, self.blocks, rows, pairs)
        self.weights = tile_weights(weighting, self.blocks, self.blocks)

    def forward(self, features: Tensor) -> Any:
        return self._sums(features, lambda rows, columns: (rows, columns))

    def backward(self, upstream: Tensor) -> Any:
        return self._sums(upstream, lambda rows, columns: (columns, rows))

    def _sums(self, vectors: Tensor, ordered: Any) -> Any:
        """Returns the sums of vectors with the weights, or with those of the mirrored pairs."""
        blocks = self.blocks
        vectors = blocks.split(vectors)

        def both_ways(i: Tensor | int, j: Tensor | int, is_masked: bool) -> tuple[Any, Any]:
            return ordered(*self._both_ways(i, j, is_masked))

        if blocks.is_single:
            rows, _ = both_ways(0, 0, True)
            return ops.matmul(rows, vectors[0])[: blocks.num_rows]

        def anchor_block(i: Tensor | int, sums: Tensor) -> Any:
            def tile(j: Tensor | int, state: Any, is_masked: bool) -> Any:
                sums, row_sums = state
                rows, columns = both_ways(i, j, is_masked)
                sums = add_to_block(sums, j, ops.matmul(ops.transpose(columns), vectors[i]))
                return sums, row_sums + ops.matmul(rows, vectors[j])

            rows, _ = both_ways(i, i, True)
            state = sums, ops.matmul(rows, vectors[i])
            sums, row_sums = self.tiles.for_each_contrast_block(i, tile, state, start=i + 1)
            return add_to_block(sums, i, row_sums)

        return blocks.join(for_each(0, blocks.count, anchor_block, blocks.zeros(blocks.dim)))

    def _both_ways(
        self, i: Tensor | int, j: Tensor | int, is_masked: bool
    ) -> tuple[Tensor, Tensor]:
        """Returns weights with the rows of block i as anchors, and with those of block j."""
        rows, columns = self.tiles.kept("weights", lambda: self.weights.both_ways(i, j))
        return self.tiles.masked_both_ways(rows, columns, i, j) if is_masked else (rows, columns)


class _OtherRows:
    """Computes `weighted_row_sum` over all tiles of anchors by other contrast rows."""

    def __init__(
        self,
        anchor_rows: Rows,
        features: Tensor,
        contrast_rows: Rows,
        pairs: PairSet,
        weighting: Weighting,
        block_size: int | None,
    ):
        nothing = ops.zeros_like(weighting.anchors[:, :1], dtype=features.dtype)
        self.anchors = Blocks(nothing, anchor_rows, block_size, pairs.needed)
        self.contrasts = Blocks(features, contrast_rows, block_size, pairs.needed)
        self.tiles = Tiles(self.anchors, anchor_rows, self.contrasts, contrast_rows, pairs)
        self.weights = tile_weights(weighting, self.anchors, self.contrasts)

    def _weights(self, i: Tensor | int, j: Tensor | int, is_masked: bool) -> Tensor:
        weights = self.tiles.kept("weights", lambda: self.weights.of_tile(i, j))
        return self.tiles.masked(weights, i, j) if is_masked else weights

    def forward(self, features: Tensor) -> Any:
        dim, features = self.contrasts.dim, self.contrasts.split(features)

        def anchor_block(i: Tensor | int, sums: Tensor) -> Any:
            def tile(j: Tensor | int, row_sums: Tensor, is_masked: bool) -> Any:
                return row_sums + ops.matmul(self._weights(i, j, is_masked), features[j])

            start = ops.zeros((self.anchors.size, dim), dtype=self.anchors.dtype)
            return add_to_block(sums, i, self.tiles.for_each_contrast_block(i, tile, start))

        zeros = self.anchors.zeros(dim)
        return self.anchors.join(for_each(0, self.anchors.count, anchor_block, zeros))

    def backward(self, upstream: Tensor) -> Any:
        upstream = self.anchors.split(upstream)

        def anchor_block(i: Tensor | int, gradient: Tensor) -> Any:
            def tile(j: Tensor | int, gradient: Tensor, is_masked: bool) -> Any:
                weights = ops.transpose(self._weights(i, j, is_masked))
                return add_to_block(gradient, j, ops.matmul(weights, upstream[i]))

            return self.tiles.for_each_contrast_block(i, tile, gradient)

        zeros = self.contrasts.zeros(self.contrasts.dim)
        return self.contrasts.join(for_each(0, self.anchors.count, anchor_block, zeros))

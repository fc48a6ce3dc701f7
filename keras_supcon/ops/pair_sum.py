"""Sums and maxima over pairs of rows, tile by tile, in memory that grows with the rows alone."""

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_supcon.ops.blocks import Blocks
from keras_supcon.ops.loops import add_to_block, for_each, gradient_function
from keras_supcon.ops.pair_weighting import Weighting, tile_weights
from keras_supcon.ops.pairs import OTHERS, PADDING, PairSet, Rows
from keras_supcon.ops.tiles import Tiles
from keras_supcon.typing import Tensor


def pair_sum(
    anchors: Tensor,
    anchor_rows: Rows,
    contrasts: Tensor,
    contrast_rows: Rows,
    pairs: PairSet,
    value: Callable[[Tensor, Tensor], Tensor],
    slope: Callable[[Tensor, Tensor], Tensor],
    parameter: Tensor | None = None,
    block_size: int | None = None,
    contrasts_are_constant: bool = False,
    weighting: Weighting | None = None,
) -> Any:
    r"""Sums for every anchor a function of its dot products over a set of pairs.

        out_i = sum_{j: (i, j) in pairs} w_ij value(a_i.c_j, parameter_i)

    where `w_ij` is 1 or the constant weight of a pair. Pairs are visited tile by tile in the
    forward and again in the backward pass, so that memory grows with the number of rows. With
    `contrasts=None` anchors and contrasts are the same rows; a tile above the diagonal then also
    serves as its mirror image.

    Args:
        anchors: Float tensor `(anchors, dim)`.
        anchor_rows: Their `Rows`, in ascending order of `pairs.key`, or in any order if they fit
            one block.
        contrasts: Float tensor `(contrasts, dim)`, or None for the anchors.
        contrast_rows: Their `Rows`, in ascending order likewise; ignored without contrasts. Rows
            that are not `present` should be zero, like those that pad a block.
        pairs: The pairs that count.
        value: `value(similarity, parameter)`, elementwise. Its results for pairs outside the set do
            not matter.
        slope: Derivative of `value` by the similarity; the same object if they are equal.
        parameter: Float tensor `(anchors,)` that takes no gradient, or None.
        block_size: Rows in a block, a tile being a block of anchors by a block of contrasts; None
            for 1024.
        contrasts_are_constant: Leaves out the gradient of the contrasts.
        weighting: Weights of the pairs, which take no gradient; None for 1. With `contrasts=None`
            its rows are those of the anchors in both parts.

    Returns:
        Float tensor `(anchors,)`, 0 for an anchor without pairs. Differentiable once, by `anchors`
        and `contrasts`.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.ops import OTHERS, Rows, pair_sum
    >>> rows = Rows(index=ops.arange(3), group=ops.arange(3), rank=ops.zeros(3, "int32"))
    >>> z = ops.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> total = pair_sum(z, rows, None, None, OTHERS, lambda s, _: s, lambda s, _: ops.ones_like(s))
    >>> ops.convert_to_numpy(total).tolist()  # the dot products with the two other rows
    [1.0, 1.0, 2.0]
    """
    anchors = ops.convert_to_tensor(anchors)
    if parameter is not None:
        parameter = ops.stop_gradient(ops.convert_to_tensor(parameter))[:, None]
    weighting = None if weighting is None else weighting.without_gradient()
    if contrasts is None:

        @ops.custom_gradient
        def symmetric_sum(anchors: Tensor) -> Any:
            sums = _SymmetricSum(
                anchors, anchor_rows, pairs, value, slope, parameter, block_size, weighting
            )
            return sums.forward(), gradient_function(sums.backward)

        return symmetric_sum(anchors)

    @ops.custom_gradient
    def rectangular_sum(anchors: Tensor, contrasts: Tensor) -> Any:
        sums = _RectangularSum(
            anchors,
            anchor_rows,
            contrasts,
            contrast_rows,
            pairs,
            value,
            slope,
            parameter,
            block_size,
            contrasts_are_constant,
            weighting,
        )
        return sums.forward(), gradient_function(sums.backward)

    contrasts = ops.convert_to_tensor(contrasts)
    return rectangular_sum(
        anchors, ops.stop_gradient(contrasts) if contrasts_are_constant else contrasts
    )


class _SymmetricSum:
    """Computes `pair_sum` over the tiles on and above the diagonal."""

    def __init__(
        self,
        features: Tensor,
        rows: Rows,
        pairs: PairSet,
        value: Tensor,
        slope: Tensor,
        parameter: Tensor,
        block_size: Any,
        weighting: Weighting | None,
    ):
        self.blocks = Blocks(features, rows, block_size, pairs.needed)
        self.tiles = Tiles(self.blocks, rows, self.blocks, rows, pairs)
        self.value, self.slope = value, slope
        self.parameter = None if parameter is None else self.blocks.split(parameter)
        self.weights = (
            None if weighting is None else tile_weights(weighting, self.blocks, self.blocks)
        )

    def _both_ways(
        self, function: Any, i: Tensor | int, j: Tensor | int, is_masked: bool
    ) -> tuple[Any, Any]:
        """Returns the tile for the anchors of block i and that for the anchors of block j, one
        tensor if they are equal.
        """
        # An exponential is its own slope.
        return self.tiles.kept(function, lambda: self._tile_both_ways(function, i, j, is_masked))

    def _tile_both_ways(
        self, function: Any, i: Tensor | int, j: Tensor | int, is_masked: bool
    ) -> tuple[Any, Any]:
        similarity = self.tiles.similarity(i, j)
        if self.parameter is None:
            rows = columns = function(similarity, None)
        else:
            rows = function(similarity, self.parameter[i])
            columns = function(similarity, ops.transpose(self.parameter[j]))
        if self.weights is not None:
            rows, columns = self._weighted(rows, columns, i, j)
        return self.tiles.masked_both_ways(rows, columns, i, j) if is_masked else (rows, columns)

    def _weighted(
        self, rows: Tensor, columns: Tensor, i: Tensor | int, j: Tensor | int
    ) -> tuple[Any, Any]:
        of_rows, of_columns = self.tiles.kept("weights", lambda: self.weights.both_ways(i, j))
        if rows is columns and of_rows is of_columns:
            rows = columns = rows * of_rows
            return rows, columns
        return rows * of_rows, columns * of_columns

    def forward(self) -> Any:
        blocks = self.blocks
        if blocks.is_single:
            rows, _ = self._both_ways(self.value, 0, 0, True)
            return ops.matmul(rows, blocks.valid(0))[: blocks.num_rows, 0]

        def anchor_block(i: Tensor | int, sums: Tensor) -> Any:
            valid = ops.transpose(blocks.valid(i))

            def tile(j: Tensor | int, state: Any, is_masked: bool) -> Any:
                sums, row_sums = state
                rows, columns = self._both_ways(self.value, i, j, is_masked)
                sums = add_to_block(sums, j, ops.transpose(ops.matmul(valid, columns)))
                return sums, row_sums + ops.matmul(rows, blocks.valid(j))

            rows, _ = self._both_ways(self.value, i, i, True)
            state = sums, ops.matmul(rows, blocks.valid(i))
            sums, row_sums = self.tiles.for_each_contrast_block(i, tile, state, start=i + 1)
            return add_to_block(sums, i, row_sums)

        return blocks.join(for_each(0, blocks.count, anchor_block, blocks.zeros(1)))[:, 0]

    def backward(self, upstream: Tensor) -> Any:
        blocks = self.blocks
        upstream = blocks.split(upstream[:, None])

        def weights(i: Tensor | int, j: Tensor | int, is_masked: bool) -> Any:
            rows, columns = self._both_ways(self.slope, i, j, is_masked)
            if rows is columns:
                return rows * (upstream[i] + ops.transpose(upstream[j]))
            return rows * upstream[i] + columns * ops.transpose(upstream[j])

        if blocks.is_single:
            return ops.matmul(weights(0, 0, True), blocks.features(0))[: blocks.num_rows]

        def anchor_block(i: Tensor | int, gradient: Tensor) -> Any:
            features = blocks.features(i)

            def tile(j: Tensor | int, state: Any, is_masked: bool) -> Any:
                gradient, row_gradient = state
                weight = weights(i, j, is_masked)
                gradient = add_to_block(gradient, j, ops.matmul(ops.transpose(weight), features))
                return gradient, row_gradient + ops.matmul(weight, blocks.features(j))

            state = gradient, ops.matmul(weights(i, i, True), features)
            gradient, row_gradient = self.tiles.for_each_contrast_block(i, tile, state, start=i + 1)
            return add_to_block(gradient, i, row_gradient)

        return blocks.join(for_each(0, blocks.count, anchor_block, blocks.zeros(blocks.dim)))


class _RectangularSum:
    """Computes `pair_sum` over all tiles of anchors by other contrast rows."""

    def __init__(
        self,
        anchors: Tensor,
        anchor_rows: Rows,
        contrasts: Tensor,
        contrast_rows: Rows,
        pairs: PairSet,
        value: Tensor,
        slope: Tensor,
        parameter: Tensor,
        block_size: Any,
        contrasts_are_constant: bool,
        weighting: Weighting | None,
    ):
        self.anchors = Blocks(anchors, anchor_rows, block_size, pairs.needed)
        self.contrasts = Blocks(contrasts, contrast_rows, block_size, pairs.needed)
        self.tiles = Tiles(self.anchors, anchor_rows, self.contrasts, contrast_rows, pairs)
        self.value, self.slope = value, slope
        self.parameter = None if parameter is None else self.anchors.split(parameter)
        self.contrasts_are_constant = contrasts_are_constant
        self.weights = (
            None if weighting is None else tile_weights(weighting, self.anchors, self.contrasts)
        )

    def _tile(self, function: Any, i: Tensor | int, j: Tensor | int, is_masked: bool) -> Any:
        return self.tiles.kept(function, lambda: self._masked_tile(function, i, j, is_masked))

    def _masked_tile(self, function: Any, i: Tensor | int, j: Tensor | int, is_masked: bool) -> Any:
        tile = function(
            self.tiles.similarity(i, j), None if self.parameter is None else self.parameter[i]
        )
        if self.weights is not None:
            tile = tile * self.tiles.kept("weights", lambda: self.weights.of_tile(i, j))
        return self.tiles.masked(tile, i, j) if is_masked else tile

    def forward(self) -> Any:
        def anchor_block(i: Tensor | int, sums: Tensor) -> Any:
            def tile(j: Tensor | int, row_sums: Tensor, is_masked: bool) -> Any:
                return row_sums + ops.matmul(
                    self._tile(self.value, i, j, is_masked), self.contrasts.valid(j)
                )

            return add_to_block(
                sums,
                i,
                self.tiles.for_each_contrast_block(i, tile, ops.zeros_like(self.anchors.valid(i))),
            )

        sums = for_each(0, self.anchors.count, anchor_block, self.anchors.zeros(1))
        return self.anchors.join(sums)[:, 0]

    def backward(self, upstream: Tensor) -> tuple[Any, Any]:
        upstream = self.anchors.split(upstream[:, None])

        def weights(i: Tensor | int, j: Tensor | int, is_masked: bool) -> Any:
            return self._tile(self.slope, i, j, is_masked) * upstream[i]

        if self.contrasts_are_constant:
            # A sum that no tile adds to must not go through the loops: XLA takes it for a constant
            # and loses the inner loop.
            return self._anchor_gradient(weights), self.contrasts.join(
                self.contrasts.zeros(self.contrasts.dim)
            )

        def anchor_block(i: Tensor | int, state: Any) -> Any:
            features = self.anchors.features(i)

            def tile(j: Tensor | int, state: Any, is_masked: bool) -> Any:
                contrast_gradient, row_gradient = state
                weight = weights(i, j, is_masked)
                contrast_gradient = add_to_block(
                    contrast_gradient, j, ops.matmul(ops.transpose(weight), features)
                )
                return contrast_gradient, row_gradient + ops.matmul(
                    weight, self.contrasts.features(j)
                )

            gradient, contrast_gradient = state
            state = contrast_gradient, ops.zeros_like(features)
            contrast_gradient, row_gradient = self.tiles.for_each_contrast_block(i, tile, state)
            return add_to_block(gradient, i, row_gradient), contrast_gradient

        state = self.anchors.zeros(self.anchors.dim), self.contrasts.zeros(self.contrasts.dim)
        gradient, contrast_gradient = for_each(0, self.anchors.count, anchor_block, state)
        return self.anchors.join(gradient), self.contrasts.join(contrast_gradient)

    def _anchor_gradient(self, weights: Callable[[Any, Any, bool], Any]) -> Any:
        def anchor_block(i: Tensor | int, gradient: Tensor) -> Any:
            def tile(j: Tensor | int, row_gradient: Tensor, is_masked: bool) -> Any:
                return row_gradient + ops.matmul(
                    weights(i, j, is_masked), self.contrasts.features(j)
                )

            start = ops.zeros_like(self.anchors.features(i))
            return add_to_block(gradient, i, self.tiles.for_each_contrast_block(i, tile, start))

        return self.anchors.join(
            for_each(0, self.anchors.count, anchor_block, self.anchors.zeros(self.anchors.dim))
        )


def pair_max(
    anchors: Tensor,
    anchor_rows: Rows | None,
    contrasts: Tensor,
    contrast_rows: Rows | None = None,
    pairs: PairSet | None = None,
    block_size: int | None = None,
    weighting: Weighting | None = None,
) -> Tensor:
    """Finds for every anchor its largest dot product with the contrast rows of a set of pairs.

    Takes no gradient. Pairs are visited tile by tile, so that memory grows with the number of rows.

    Args:
        anchors: Float tensor `(anchors, dim)`.
        anchor_rows: Their `Rows`, in ascending order of `pairs.key`, or in any order if they fit
            one block; None without `pairs`.
        contrasts: Float tensor `(contrasts, dim)`.
        contrast_rows: Their `Rows`, in ascending order likewise. Without `pairs` only `present` is
            read: `Rows(present=mask)` leaves out rows whose float mask is 0.
        pairs: The pairs that count; None for all.
        block_size: As for `pair_sum`.
        weighting: Weights of the pairs, of which those without weight do not count; None for none.

    Returns:
        Float tensor `(anchors,)`, minus infinity for an anchor without pairs.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.ops import pair_max
    >>> queue = ops.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    >>> ops.convert_to_numpy(pair_max(ops.array([[0.0, 2.0], [1.0, 0.0]]), None, queue)).tolist()
    [2.0, 1.0]
    """
    return _largest(
        anchors, anchor_rows, contrasts, contrast_rows, pairs, block_size, weighting=weighting
    )[0]


def pair_argmax(
    anchors: Tensor,
    anchor_rows: Rows | None,
    contrasts: Tensor,
    contrast_rows: Rows | None = None,
    pairs: PairSet | None = None,
    block_size: int | None = None,
) -> Tensor:
    """Finds for every anchor the contrast row with the largest dot product, its nearest neighbor
    where rows are unit vectors.

    Takes no gradient. Pairs are visited tile by tile, so that memory grows with the number of rows.

    Args:
        anchors: As for `pair_max`.
        anchor_rows: As for `pair_max`.
        contrasts: As for `pair_max`.
        contrast_rows: As for `pair_max`.
        pairs: As for `pair_max`.
        block_size: As for `pair_max`.

    Returns:
        int32 tensor `(anchors,)`, places among the contrast rows: the lowest of those with equal
        dot products, -1 for an anchor without pairs.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.ops import Rows, pair_argmax
    >>> queue = ops.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [0.0, 1.0]])
    >>> queries = ops.array([[0.0, 2.0], [1.0, 0.0]])
    >>> ops.convert_to_numpy(pair_argmax(queries, None, queue)).tolist()
    [2, 0]
    >>> is_filled = Rows(present=ops.array([0.0, 1.0, 1.0, 0.0]))
    >>> ops.convert_to_numpy(pair_argmax(queries, None, queue, is_filled)).tolist()
    [2, 1]
    """
    return _largest(anchors, anchor_rows, contrasts, contrast_rows, pairs, block_size, True)[1]


def _largest(
    anchors: Tensor,
    anchor_rows: Rows | None,
    contrasts: Tensor,
    contrast_rows: Rows | None,
    pairs: PairSet | None,
    block_size: int | None,
    with_places: bool = False,
    weighting: Weighting | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Returns the largest dot products and, if asked, their places."""
    anchors = ops.stop_gradient(ops.convert_to_tensor(anchors))
    contrasts = ops.stop_gradient(ops.convert_to_tensor(contrasts))
    if pairs is None:
        pairs, anchor_rows, contrast_rows = _all_pairs(anchors, contrasts, contrast_rows)
    anchors = Blocks(anchors, anchor_rows, block_size, pairs.needed)
    contrasts = Blocks(contrasts, contrast_rows, block_size, pairs.needed)
    tiles = Tiles(anchors, anchor_rows, contrasts, contrast_rows, pairs)
    weights = None
    if weighting is not None:
        weights = tile_weights(weighting.without_gradient(), anchors, contrasts)
    lowest = ops.cast(float("-inf"), anchors.dtype)
    columns = ops.arange(contrasts.size, dtype="int32")[None]

    def anchor_block(i: Tensor | int, results: Tensor) -> Any:
        def tile(j: Tensor | int, state: Any, is_masked: bool) -> Any:
            mask = ops.transpose(contrasts.valid(j)) > 0
            if is_masked:
                mask = ops.logical_and(tiles.mask(i, j), mask)
            if weights is not None:
                mask = ops.logical_and(weights.of_tile(i, j) > 0, mask)
            similarity = ops.where(mask, tiles.similarity(i, j), lowest)
            maxima = ops.max(similarity, axis=1, keepdims=True, initial=float("-inf"))
            if not with_places:
                return ops.maximum(state, maxima)
            # Not `ops.argmax`, to which -0.0 is less than 0.0.
            is_largest = ops.logical_and(similarity == maxima, mask)
            places = ops.min(
                ops.where(is_largest, columns, PADDING), axis=1, keepdims=True, initial=PADDING
            )
            row_maxima, row_places = state
            # Blocks come in ascending order: an equal one of a later block is no nearer.
            is_nearer = ops.logical_and(
                places < PADDING, ops.logical_or(row_places < 0, maxima > row_maxima)
            )
            places = ops.cast(j * contrasts.size, "int32") + places
            return ops.where(is_nearer, maxima, row_maxima), ops.where(
                is_nearer, places, row_places
            )

        start = ops.zeros_like(anchors.valid(i)) + lowest
        if not with_places:
            # The block of `results` is 0 until it gets its one update.
            return add_to_block(results, i, tiles.for_each_contrast_block(i, tile, start))
        start = start, ops.cast(ops.zeros_like(anchors.valid(i)), "int32") - 1
        updates = tiles.for_each_contrast_block(i, tile, start)
        return tuple(
            add_to_block(of_all, i, own) for of_all, own in zip(results, updates, strict=True)
        )

    zeros = anchors.zeros(1)
    results = (zeros, ops.cast(zeros, "int32")) if with_places else zeros
    results = for_each(0, anchors.count, anchor_block, results)
    maxima, places = results if with_places else (results, None)
    return anchors.join(maxima)[:, 0], None if places is None else anchors.join(places)[:, 0]


def _all_pairs(
    anchors: Tensor, contrasts: Tensor, contrast_rows: Rows | None
) -> tuple[PairSet, Rows, Rows]:
    """Returns a set with all pairs, and rows of which none is the same as an anchor."""
    nowhere = ops.full((ops.shape(anchors)[0],), -1, dtype="int32")
    places = ops.arange(ops.shape(contrasts)[0], dtype="int32")
    present = None if contrast_rows is None else contrast_rows.present
    if present is not None:
        present = ops.cast(present, contrasts.dtype)
    return OTHERS, Rows(index=nowhere), Rows(index=places, present=present)

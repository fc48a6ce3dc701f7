"""Tiles of pairs of a block of anchors and a block of contrast rows."""

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_supcon.ops.blocks import BLOCK_SIZE, Blocks
from keras_supcon.ops.loops import for_each, loop_bounds
from keras_supcon.ops.pairs import PairSet, Rows
from keras_supcon.typing import Tensor


def _transposed(rows: Rows) -> Rows:
    return Rows(*(None if vector is None else ops.transpose(vector) for vector in rows))


class Tiles:
    """Computes tiles of anchor blocks by contrast blocks, with masks where they are needed."""

    def __init__(
        self,
        anchors: Blocks,
        anchor_rows: Rows,
        contrasts: Blocks,
        contrast_rows: Rows,
        pairs: PairSet,
    ):
        self.anchors, self.contrasts, self.pairs = anchors, contrasts, pairs
        self._kept = {}
        if contrasts.is_single:
            self._first = self._after = None
        else:
            first_key, last_key = anchors.ends(pairs.key(anchor_rows))
            keys = pairs.key(contrast_rows)
            first = ops.searchsorted(keys, first_key, side="left")
            after = ops.searchsorted(keys, last_key, side="right")
            self._first = loop_bounds(ops.cast(first, "int32") // contrasts.size)
            self._after = loop_bounds(
                (ops.cast(after, "int32") + contrasts.size - 1) // contrasts.size
            )

    def masked_range(self, index: Tensor | int) -> tuple[Any, Any]:
        return (0, 1) if self._first is None else (self._first[index], self._after[index])

    def similarity(self, i: Tensor | int, j: Tensor | int) -> Any:
        return self.kept(
            "similarity",
            lambda: ops.matmul(self.anchors.features(i), ops.transpose(self.contrasts.features(j))),
        )

    def kept(self, what: Any, tile: Callable[[], Any]) -> Any:
        """Returns `tile()`, computed once if there is a single tile, which stays in memory for the
        backward pass.
        """
        if not (
            self.anchors.is_single and self.contrasts.is_single and self.anchors.size <= BLOCK_SIZE
        ):
            return tile()
        if what not in self._kept:
            self._kept[what] = tile()
        return self._kept[what]

    def mask(self, i: Tensor | int, j: Tensor | int) -> Any:
        return self.pairs.contains(self.anchors.rows(i), _transposed(self.contrasts.rows(j)))

    def masked(self, tile: Tensor, i: Tensor | int, j: Tensor | int) -> Any:
        """Returns a tile with 0 for the pairs that are not in the set."""
        return ops.where(self.mask(i, j), tile, ops.zeros((), dtype=tile.dtype))

    def masked_both_ways(
        self, rows: Tensor, columns: Tensor, i: Tensor | int, j: Tensor | int
    ) -> tuple[Any, Any]:
        """Returns `masked` tiles with the rows of block i as anchors, and with those of block j,
        both laid out as rows of block i by rows of block j. It is one tensor if they are equal.
        """
        mask, zero = self.mask(i, j), ops.zeros((), dtype=rows.dtype)
        masked = ops.where(mask, rows, zero)
        if self.pairs.is_symmetric:
            return masked, masked if columns is rows else ops.where(mask, columns, zero)
        mirrored = self.pairs.contains(_transposed(self.contrasts.rows(j)), self.anchors.rows(i))
        return masked, ops.where(mirrored, columns, zero)

    def for_each_contrast_block(
        self,
        i: Tensor | int,
        body: Callable[[Any, Any, bool], Any],
        state: Any,
        start: Tensor | int = 0,
    ) -> Any:
        """Runs `body(j, state, is_masked)` for contrast blocks from `start` on that have pairs."""
        first, after = self.masked_range(i)
        if not (isinstance(first, int) and isinstance(start, int)):
            first, after = ops.maximum(first, start), ops.maximum(after, start)
        else:
            first, after = max(first, start), max(after, start)
        if self.pairs.other_classes and not self.contrasts.is_single:
            state = for_each(start, first, lambda j, state: body(j, state, False), state)
        state = for_each(first, after, lambda j, state: body(j, state, True), state)
        if self.pairs.other_classes and not self.contrasts.is_single:
            state = for_each(
                after, self.contrasts.count, lambda j, state: body(j, state, False), state
            )
        return state

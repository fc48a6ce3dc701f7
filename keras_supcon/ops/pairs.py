"""Sets of pairs of an anchor row and a contrast row.

A set is a rule on a few integers of each row, which is applied inside a tile of pairs, so that no
tensor has the size of all pairs.
"""

from typing import Any, NamedTuple

from keras import ops

from keras_supcon.typing import Tensor

# Index, group and rank of the rows that pad a block.
PADDING = 2**31 - 1


class Rows(NamedTuple):
    """Describes rows for the rules of a `PairSet`, by vectors of one length."""

    index: Tensor | int = None
    """Position among the contrast rows; equal indices are the same row."""
    group: Any = None
    """Number of the class; each unlabeled sample is a class."""
    rank: Any = None
    """Place of the sample within its class, in batch order, from 0."""
    present: Tensor = None
    """Float vector of contrast rows: 0 for a row that is in no pair, else 1; None for all 1."""


class PairSet(NamedTuple):
    """Describes a set of pairs (anchor, contrast) without those of a row with itself."""

    same_class: bool
    """Holds the pairs of one class."""
    other_classes: bool
    """Holds the pairs of different classes."""
    max_samples: int | None = None
    """Limits the samples of an anchor's class to its own and the first `max_samples` others."""

    @property
    def is_symmetric(self) -> bool:
        return self.max_samples is None

    @property
    def is_all_others(self) -> bool:
        return self.same_class and self.other_classes and self.max_samples is None

    @property
    def needed(self) -> tuple[str, ...]:
        """Names of the vectors that `contains` reads."""
        if self.is_all_others:
            return ("index",)
        if not self.same_class:
            return ("group",)
        return ("index", "group") if self.max_samples is None else ("index", "group", "rank")

    def key(self, rows: Rows) -> Any:
        """Returns an ascending integer vector.

        Only pairs of equal keys need `contains`: the others are all in the set, or none.
        """
        return rows.index if self.is_all_others else rows.group

    def contains(self, anchors: Rows, contrasts: Rows) -> Any:
        """Returns a boolean tensor; vectors of `anchors` and `contrasts` broadcast."""
        if self.is_all_others:
            return ops.not_equal(anchors.index, contrasts.index)
        other_class = ops.not_equal(anchors.group, contrasts.group)
        if not self.same_class:
            return other_class
        kept = ops.not_equal(anchors.index, contrasts.index)
        if self.max_samples is not None:
            is_own = ops.equal(anchors.rank, contrasts.rank)
            # Rank among the other samples of the class: one less after the anchor's own.
            rank = contrasts.rank - ops.cast(anchors.rank < contrasts.rank, "int32")
            kept = ops.logical_and(kept, ops.logical_or(is_own, rank < self.max_samples))
        if self.other_classes:
            return ops.logical_or(other_class, kept)
        return ops.logical_and(ops.logical_not(other_class), kept)


OTHERS = PairSet(same_class=True, other_classes=True)
POSITIVES = PairSet(same_class=True, other_classes=False)
NEGATIVES = PairSet(same_class=False, other_classes=True)

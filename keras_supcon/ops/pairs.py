"""Which pairs of an anchor row and a contrast row take part in a sum.

Nothing here has the size of all pairs: a set of pairs is a rule on a few integers of each row, and
the rule is applied inside a tile of pairs.
"""

from typing import Any, NamedTuple

from keras import ops

# The index, group and rank of rows that only fill up a block.
PADDING = 2**31 - 1


class Rows(NamedTuple):
    """What a row is, for the rules of a `PairSet`: integer vectors of one length."""

    index: Any = None
    """The place of the row among the contrast rows: a pair of the same index is a row with itself."""
    group: Any = None
    """The class of the row among those present; an unlabelled sample is a class of its own."""
    rank: Any = None
    """The place of the row's sample within its class, in the order of the batch, from 0."""
    present: Any = None
    """Of contrast rows a float vector, 1 for a row that pairs may hold and 0 for one that none does; None for all 1."""


class PairSet(NamedTuple):
    """A set of pairs (anchor, contrast), never of a row with itself."""

    same_class: bool
    """Holds the pairs of one class."""
    other_classes: bool
    """Holds the pairs of different classes."""
    max_samples: int | None = None
    """Of the samples of its class an anchor pairs with its own views and those of the first `max_samples` others."""

    @property
    def is_symmetric(self) -> bool:
        return self.max_samples is None

    @property
    def is_all_others(self) -> bool:
        return self.same_class and self.other_classes and self.max_samples is None

    @property
    def needed(self) -> tuple[str, ...]:
        """The vectors that `contains` reads."""
        if self.is_all_others:
            return ("index",)
        if not self.same_class:
            return ("group",)
        return ("index", "group") if self.max_samples is None else ("index", "group", "rank")

    def key(self, rows: Rows) -> Any:
        """An ascending integer vector. Only pairs of equal keys need `contains`; the others are all
        in the set, or none.
        """
        return rows.index if self.is_all_others else rows.group

    def contains(self, anchors: Rows, contrasts: Rows) -> Any:
        """Boolean tensor; the vectors of `anchors` and `contrasts` come in shapes that broadcast
        against each other.
        """
        if self.is_all_others:
            return ops.not_equal(anchors.index, contrasts.index)
        other_class = ops.not_equal(anchors.group, contrasts.group)
        if not self.same_class:
            return other_class
        kept = ops.not_equal(anchors.index, contrasts.index)
        if self.max_samples is not None:
            is_own = ops.equal(anchors.rank, contrasts.rank)
            # The rank among the other samples of the class: one less for those after the anchor's
            # own.
            rank = contrasts.rank - ops.cast(anchors.rank < contrasts.rank, "int32")
            kept = ops.logical_and(kept, ops.logical_or(is_own, rank < self.max_samples))
        if self.other_classes:
            return ops.logical_or(other_class, kept)
        return ops.logical_and(ops.logical_not(other_class), kept)


OTHERS = PairSet(same_class=True, other_classes=True)
POSITIVES = PairSet(same_class=True, other_classes=False)
NEGATIVES = PairSet(same_class=False, other_classes=True)

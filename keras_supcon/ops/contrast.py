"""A batch of views laid out for pairwise sums: the anchors, the rows they are contrasted with, and who is whose positive."""

from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops

from keras_supcon.ops.classes import class_members, members_per_group
from keras_supcon.ops.pair_sum import pair_max, pair_sum
from keras_supcon.ops.pairs import NEGATIVES, OTHERS, POSITIVES, PairSet, Rows
from keras_supcon.ops.permutation import permute_rows
from keras_supcon.ops.row_loss import row_loss

# Within exp(+-40) sums of exponentials of float32 neither overflow nor vanish, so they need no shift by the largest logit.
_LARGEST_SAFE_LOGIT = 40.0

Features = Callable[[Any], Any]


class _ContrastRows(NamedTuple):
    features: Any
    rows: Rows
    is_constant: bool
    are_anchors: bool


class Contrast:
    """Anchor rows against contrast rows.

    A row is one view of one sample. The contrast rows are all views of all samples of the global batch, and of an optional
    queue; the anchors are all views, or the first views, of this replica's samples. Rows are kept in ascending order of their
    class, so that the positives of a block of anchors are neighbours.

    Args:
        class_ids: Integer tensor `(samples,)`, classes of the global batch; negative is unlabelled.
        projections: Float tensor `(samples, views, dim)` of the global batch.
        own_projections: Float tensor `(own samples, views, dim)` of this replica, a slice of `projections`; None for all.
        offset: How many samples of the global batch come before this replica's.
        first_view_only: Only the first view of a sample is an anchor.
        max_samples: Pairs an anchor, beside its own views, with no more than this number of samples of its class, the first
            ones in the order of the batch and then of the queue. None for all.
        queue: Float tensor `(queue, dim)` of further contrast rows, one view each, that take no gradient.
        queue_class_ids: Integer tensor `(queue,)`.
        largest_dot_product: A bound on the absolute dot products that is known beforehand, or None.
        block_size: Rows in a block of the pairwise sums; None picks it.
    """

    def __init__(
        self,
        class_ids: Any,
        projections: Any,
        *,
        own_projections: Any = None,
        offset: Any = 0,
        first_view_only: bool = False,
        max_samples: int | None = None,
        queue: Any = None,
        queue_class_ids: Any = None,
        largest_dot_product: float | None = None,
        block_size: int | None = None,
    ) -> None:
        self.block_size = block_size
        self.max_samples = max_samples
        self._needs_shift = largest_dot_product is None or largest_dot_product > _LARGEST_SAFE_LOGIT
        num_views = projections.shape[1]
        self._anchor_views = 1 if first_view_only else num_views
        batch_size = ops.shape(projections)[0]

        all_ids = class_ids if queue is None else ops.concatenate([class_ids, queue_class_ids], axis=0)
        group, rank = class_members(all_ids)
        order = ops.argsort(group[:batch_size])
        back = ops.argsort(order)
        batch_group, batch_rank = ops.take(group, order), ops.take(rank, order)
        batch = permute_rows(projections, order, back)
        rows = _rows(ops.arange(batch_size, dtype="int32"), batch_group, batch_rank, num_views, num_views)

        if own_projections is None:
            own, place, self._back = batch, ops.arange(batch_size, dtype="int32"), back
        else:
            place = back[offset : offset + ops.shape(own_projections)[0]]
            own_order = ops.argsort(place)
            self._back = ops.argsort(own_order)
            own, place = permute_rows(own_projections, own_order, self._back), ops.take(place, own_order)
        self._group = ops.take(batch_group, place)
        are_all_anchors = own is batch and not first_view_only
        if are_all_anchors:
            self._anchor_rows = rows
        else:
            self._anchor_rows = _rows(place, self._group, ops.take(batch_rank, place), num_views, self._anchor_views)
        self._anchors = _flatten(own[:, : self._anchor_views])
        self._parts = [_ContrastRows(_flatten(batch), rows, is_constant=False, are_anchors=are_all_anchors)]
        in_batch = members_per_group(self._group, batch_group)
        in_queue = ops.zeros_like(in_batch)
        if queue is not None:
            queue_order = ops.argsort(group[batch_size:])
            queue_group = ops.take(group[batch_size:], queue_order)
            queue_place = batch_size + ops.arange(ops.shape(queue_group)[0], dtype="int32")
            queue_rank = ops.take(rank[batch_size:], queue_order)
            # Places after all of the batch: no row of the queue is ever an anchor.
            queue_rows = _rows(queue_place, queue_group, queue_rank, num_views, 1)
            queue = ops.take(ops.stop_gradient(queue), queue_order, axis=0)
            self._parts.append(_ContrastRows(queue, queue_rows, is_constant=True, are_anchors=False))
            in_queue = members_per_group(self._group, queue_group)
        self._num_samples = ops.shape(all_ids)[0]
        self._count(in_batch, in_queue, num_views)

    def _count(self, in_batch: Any, in_queue: Any, num_views: int) -> None:
        num_contrasts = sum(ops.shape(part.features)[0] for part in self._parts)
        negatives = num_contrasts - in_batch * num_views - in_queue
        others = in_batch - 1
        if self.max_samples is not None:
            others = ops.minimum(others, self.max_samples)
            in_queue = ops.minimum(in_queue, self.max_samples - others)
        positives = others * num_views + num_views - 1 + in_queue
        self.num_contrasts = num_contrasts
        dtype = self._anchors.dtype
        self.num_positives = ops.cast(ops.repeat(positives, self._anchor_views), dtype)
        """Float tensor `(anchors,)`."""
        self.num_negatives = ops.cast(ops.repeat(negatives, self._anchor_views), dtype)
        """Float tensor `(anchors,)`."""

    @property
    def positives(self) -> PairSet:
        """Pairs of one class, up to the limit."""
        return POSITIVES._replace(max_samples=self.max_samples)

    @property
    def negatives(self) -> PairSet:
        """Pairs of different classes. Positives beyond the limit are no negatives."""
        return NEGATIVES

    @property
    def candidates(self) -> PairSet:
        """Positives and negatives."""
        return OTHERS._replace(max_samples=self.max_samples)

    def pair_sum(
        self,
        pairs: PairSet,
        value: Callable[[Any, Any], Any],
        slope: Callable[[Any, Any], Any],
        parameter: Any = None,
        anchor_features: Features | None = None,
        contrast_features: Features | None = None,
    ) -> Any:
        """`ops.pair_sum` over all contrast rows.

        Args:
            pairs: The pairs that count.
            value: As for `ops.pair_sum`.
            slope: As for `ops.pair_sum`.
            parameter: Float tensor `(anchors,)` in the order of the anchors here, or None.
            anchor_features: Maps anchor rows to the vectors whose dot product is taken; None for the rows themselves.
            contrast_features: The same for contrast rows.

        Returns:
            Float tensor `(anchors,)`.
        """
        anchors = self._anchors if anchor_features is None else anchor_features(self._anchors)
        total = None
        for part in self._parts:
            are_same = part.are_anchors and anchor_features is None and contrast_features is None
            contrasts = part.features if contrast_features is None else contrast_features(part.features)
            part_sum = pair_sum(
                anchors,
                self._anchor_rows,
                None if are_same else contrasts,
                part.rows,
                pairs,
                value,
                slope,
                parameter,
                self.block_size,
                part.is_constant,
            )
            total = part_sum if total is None else total + part_sum
        return total

    def pair_max(self, pairs: PairSet) -> Any:
        """For every anchor, the largest dot product over `pairs`: `(anchors,)`, minus infinity without pairs, no gradient."""
        largest = None
        for part in self._parts:
            of_part = pair_max(self._anchors, self._anchor_rows, part.features, part.rows, pairs, self.block_size)
            largest = of_part if largest is None else ops.maximum(largest, of_part)
        return largest

    def row_loss(
        self, rule: Callable[[Any, Any, Any], tuple[Any, Any]], anchor_features: Features, contrast_features: Features
    ) -> Any:
        """`ops.row_loss` over the contrast rows of the batch: `(anchors,)`."""
        (batch,) = self._parts
        return row_loss(
            anchor_features(self._anchors),
            self._anchor_rows,
            contrast_features(batch.features),
            batch.rows,
            rule,
            self.block_size,
        )

    def log_sum_exp(self, pairs: PairSet) -> Any:
        """For every anchor, `log sum exp` of its dot products over `pairs`: `(anchors,)`, 0 without pairs."""
        if not self._needs_shift:
            total = self.pair_sum(pairs, _exp, _exp)
            return ops.log(ops.where(total > 0, total, ops.ones_like(total)))
        largest = self.pair_max(pairs)
        largest = ops.where(ops.isfinite(largest), largest, ops.zeros_like(largest))
        total = self.pair_sum(pairs, _exp, _exp, parameter=largest)
        return ops.log(ops.where(total > 0, total, ops.ones_like(total))) + largest

    def positive_mean(self) -> Any:
        """For every anchor, the mean dot product with its positives: `(anchors,)`, 0 without a positive."""
        if self.max_samples is not None:
            total = self.pair_sum(
                self.positives, lambda similarity, _: similarity, lambda similarity, _: ops.ones_like(similarity)
            )
        else:
            total = self._class_sum_products()
        return total / ops.maximum(self.num_positives, 1.0)

    def _class_sum_products(self) -> Any:
        """The dot product with the sum of the positives: products of all rows with class sums, not with one another."""
        sums = sum(ops.segment_sum(part.features, part.rows.group, self._num_samples) for part in self._parts)
        of_class = ops.repeat(ops.take(sums, self._group, axis=0), self._anchor_views, axis=0)
        return ops.sum(self._anchors * (of_class - self._anchors), axis=1)

    def per_sample(self, values: Any) -> Any:
        """Means over the anchor views of each sample: `(anchors,)` to `(samples,)`, in the order of the batch."""
        means = ops.mean(ops.reshape(values, (-1, self._anchor_views)), axis=1)
        return ops.take(means, self._back)


def _rows(place: Any, group: Any, rank: Any, num_views: int, kept_views: int) -> Rows:
    """Rows of the first `kept_views` of `num_views` views of samples at the given places."""
    index = ops.repeat(place * num_views, kept_views)
    if kept_views > 1:
        index = index + ops.arange(ops.shape(index)[0], dtype="int32") % kept_views
    return Rows(index, ops.repeat(group, kept_views), ops.repeat(rank, kept_views))


def _flatten(views: Any) -> Any:
    return ops.reshape(views, (-1, views.shape[-1]))


def _exp(similarity: Any, largest: Any) -> Any:
    return ops.exp(similarity if largest is None else similarity - largest)

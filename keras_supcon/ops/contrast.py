"""Anchors, contrast rows and pairs of a batch, laid out for pairwise sums."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from keras import ops

from keras_supcon.ops.bias import shifted, with_bias, with_bias_of_pairs
from keras_supcon.ops.blocks import fits_one_block
from keras_supcon.ops.classes import at_least_one, class_groups, ranks_in_group
from keras_supcon.ops.pair_sum import pair_max, pair_sum
from keras_supcon.ops.pair_weighting import BlockWeighting, PairWeighting, Weight, Weighting
from keras_supcon.ops.pairs import NEGATIVES, OTHERS, POSITIVES, PairSet, Rows
from keras_supcon.ops.permutation import RowOrder
from keras_supcon.ops.weighted_row_sum import weighted_row_sum
from keras_supcon.ops.whole_rows import RowPairs, row_loss
from keras_supcon.typing import Tensor

# Within exp(+-40) sums of exponentials of float32 neither overflow nor vanish, so that no shift by
# the largest logit is needed.
_LARGEST_SAFE_LOGIT = 40.0

_OWN_VIEWS = POSITIVES._replace(max_samples=0)

Features = Callable[[Tensor], Tensor]


class ContrastRows(NamedTuple):
    """Holds some of the contrast rows: those of the batch, of the queue or the centers."""

    features: Tensor
    rows: Rows
    is_constant: bool
    are_anchors: bool
    scale: Tensor | None = None
    own_only: bool = False
    """An anchor pairs with the rows of its own sample alone."""

    @property
    def presence(self) -> Tensor:
        """Float tensor `(rows, 1)`, 0 for a row that is in no pair, else 1."""
        if self.rows.present is None:
            return ops.ones_like(self.features[:, :1])
        return self.rows.present[:, None]

    def pairs(self, pairs: PairSet) -> PairSet | None:
        """Returns the pairs of a set that count among these rows; None for no pairs."""
        if not self.own_only:
            return pairs
        return _OWN_VIEWS if pairs.same_class else None


class Contrast:
    """Contrasts anchor rows with contrast rows.

    A row is one view of one sample. The contrast rows are all views of all samples of the global
    batch, and of an optional queue; the anchors are all views, or the first views, of this
    replica's samples. Rows are kept in ascending order of their class, so that the positives of a
    block of anchors are neighbors.

    With `are_keys` anchors and contrast rows of the batch are different rows: `own_projections` are
    anchors only, `projections` are their keys. Then no pair is that of a row with itself, and the
    key in an anchor's own place is one of its positives.

    Args:
        class_ids: Integer tensor `(samples,)`, classes of the global batch; negative is unlabeled.
        projections: Float tensor `(samples, views, dim)` of the global batch.
        own_projections: Float tensor `(own samples, views, dim)` of this replica, a slice of
            `projections` or, with `are_keys`, the rows whose keys are such a slice; None for all.
        offset: Number of samples of the global batch before this replica's.
        are_keys: Whether `projections` are keys. Needs `own_projections`.
        trainable_keys: Whether keys take a gradient.
        own_keys_only: Leaves out the pairs of anchors and keys of different samples. Needs keys, a
            queue and no `max_samples`.
        first_view_only: Only the first view of a sample is an anchor.
        max_samples: Largest number of samples of its class that an anchor is paired with in
            addition to its own views, the first ones of the batch and then of the queue. None for
            no limit.
        queue: Float tensor `(queue, dim)` of further contrast rows, one view each, without
            gradient.
        queue_class_ids: Integer tensor `(queue,)`.
        queue_scale: Scalar tensor by which dot products with the queue and with constant keys are
            multiplied, with gradient; None for 1.
        is_ignored: Bool tensor `(samples,)` of the global batch, of samples that are in no pair and
            whose rows take no gradient. None for none. Their rows should be finite as well.
        queue_is_ignored: The same for the queue, `(queue,)`.
        centers: Float tensor `(classes, dim)` of further contrast rows with gradient, one view
            each: row c is of class c. None for none.
        center_is_ignored: The same as `is_ignored` for the centers, `(classes,)`.
        largest_dot_product: A bound on the absolute dot products of unit vectors times one factor:
            a number, a scalar tensor if the factor is one, or None for other rows.
        block_size: Rows in a block of the pairwise sums; None picks it.
        labels: Tensor `(samples, k)` of the global batch, for `label_weightings`; None for none.
        queue_labels: The same for the queue, `(queue, k)`.
        inputs: Tensors of which the rows of this replica were computed. They should be finite as
            well: a compiler may lose NaN in between.
    """

    def __init__(
        self,
        class_ids: Tensor,
        projections: Tensor,
        *,
        own_projections: Tensor | None = None,
        offset: int | Tensor = 0,
        are_keys: bool = False,
        trainable_keys: bool = False,
        own_keys_only: bool = False,
        first_view_only: bool = False,
        max_samples: int | None = None,
        queue: Tensor | None = None,
        queue_class_ids: Tensor | None = None,
        queue_scale: Tensor | None = None,
        is_ignored: Tensor | None = None,
        queue_is_ignored: Tensor | None = None,
        centers: Tensor | None = None,
        center_is_ignored: Tensor | None = None,
        largest_dot_product: float | Tensor | None = None,
        block_size: int | None = None,
        labels: Tensor | None = None,
        queue_labels: Tensor | None = None,
        inputs: Sequence[Tensor] = (),
    ) -> None:
        self.block_size = block_size
        self.max_samples = max_samples
        self._largest_dot_product = largest_dot_product
        self._are_keys, self._own_keys_only = are_keys, own_keys_only
        self._num_views = projections.shape[1]
        self._anchor_views = 1 if first_view_only else self._num_views

        are_constant = are_keys and not trainable_keys
        projections = ops.stop_gradient(projections) if are_constant else projections
        batch_size = ops.shape(projections)[0]
        further = [rows for rows in (queue, centers) if rows is not None]
        self._all_contrasts = [*inputs, projections, *further]
        present = queue_present = center_present = center_ids = None
        if is_ignored is not None:
            class_ids, projections, present = _without_ignored(class_ids, projections, is_ignored)
            if own_projections is not None:
                of_own = is_ignored[offset : offset + ops.shape(own_projections)[0]]
                own_projections = _zero_where(of_own, own_projections)
        if queue_is_ignored is not None:
            queue_class_ids, queue, queue_present = _without_ignored(
                queue_class_ids, queue, queue_is_ignored
            )
        if centers is not None:
            center_ids = ops.arange(ops.shape(centers)[0], dtype="int32")
            if center_is_ignored is not None:
                center_ids, centers, center_present = _without_ignored(
                    center_ids, centers, center_is_ignored
                )
        # Rows without views, with their ids, presence and labels, and whether they are constant.
        further_parts = [
            part
            for part in (
                (queue, queue_class_ids, queue_present, queue_labels, True),
                (centers, center_ids, center_present, None, False),
            )
            if part[0] is not None
        ]
        all_ids = class_ids
        if further_parts:
            all_ids = ops.concatenate([class_ids, *(ids for _, ids, *_ in further_parts)], axis=0)
        groups = class_groups(all_ids)
        self._num_groups = at_least_one(ops.shape(all_ids)[0])
        # Ranks matter where some samples of a class are no positives.
        need_ranks = max_samples is not None or own_keys_only
        ranks = ranks_in_group(groups) if need_ranks else ops.zeros_like(groups)

        # Sorted by class, blocks have their positives in few tiles. A single tile needs no order.
        def order_of(keys: Tensor, num_rows: Tensor | int) -> RowOrder:
            return RowOrder(None if fits_one_block(num_rows, block_size) else keys)

        order = order_of(groups[:batch_size], batch_size * self._num_views)
        self._batch_groups, batch_ranks = (
            order.take(groups[:batch_size]),
            order.take(ranks[:batch_size]),
        )
        batch, self._batch_present = (
            order.permute(projections),
            None if present is None else order.take(present),
        )
        batch_labels = None if labels is None else order.take(labels)
        places = ops.arange(batch_size, dtype="int32")
        rows = self._rows(
            places, self._batch_groups, batch_ranks, self._num_views, self._batch_present
        )
        if own_projections is None:
            own, self._own_order = batch, order
            self._groups, own_ranks, self._present = (
                self._batch_groups,
                batch_ranks,
                self._batch_present,
            )
            self._labels = batch_labels
        else:
            own_size = ops.shape(own_projections)[0]
            places = order.places(batch_size)[offset : offset + own_size]
            self._own_order = order_of(places, own_size * self._num_views)
            own, places = self._own_order.permute(own_projections), self._own_order.take(places)
            self._groups, own_ranks = (
                ops.take(self._batch_groups, places),
                ops.take(batch_ranks, places),
            )
            self._present = None if present is None else ops.take(self._batch_present, places)
            self._labels = None if labels is None else ops.take(batch_labels, places, axis=0)
        are_all_anchors = own_projections is None and not first_view_only
        self._anchor_rows = (
            rows
            if are_all_anchors
            else self._rows(places, self._groups, own_ranks, self._anchor_views)
        )
        if are_keys:
            # No contrast row has this index: none is the anchor itself.
            nowhere = ops.full_like(self._anchor_rows.index, -1)
            self._anchor_rows = self._anchor_rows._replace(index=nowhere)
        self._anchors = _flatten(own[:, : self._anchor_views])
        # With keys the rows of the own samples are among those of all replicas.
        self._own_contrasts, self._own_places = (batch, places) if are_keys else (own, None)
        self._parts = [
            ContrastRows(
                _flatten(batch),
                rows,
                is_constant=are_constant,
                are_anchors=are_all_anchors,
                scale=queue_scale if are_constant else None,
                own_only=own_keys_only,
            )
        ]

        # Of samples: the labels of their views are the same.
        self._part_labels = [batch_labels]

        # The groups of the rows of each part without views, and which of them count.
        self._further_groups: list[tuple[Tensor, Tensor | None]] = []
        first = batch_size
        for part, _, part_present, part_labels, is_constant in further_parts:
            size = ops.shape(part)[0]
            part_order = order_of(groups[first : first + size], size)
            part_groups = part_order.take(groups[first : first + size])
            # Places after those of the batch: none of these rows is an anchor.
            part_rows = self._rows(
                first + ops.arange(size, dtype="int32"),
                part_groups,
                part_order.take(ranks[first : first + size]),
                1,
                None if part_present is None else part_order.take(part_present),
            )
            self._further_groups.append((part_groups, part_rows.present))
            self._part_labels.append(None if part_labels is None else part_order.take(part_labels))
            features = part_order.take(ops.stop_gradient(part) if is_constant else part)
            self._parts.append(
                ContrastRows(
                    features,
                    part_rows,
                    is_constant=is_constant,
                    are_anchors=False,
                    scale=queue_scale if is_constant else None,
                )
            )
            first = first + size

    def _rows(
        self,
        places: Tensor,
        groups: Tensor,
        ranks: Tensor,
        kept_views: int,
        present: Tensor | None = None,
    ) -> Rows:
        """Returns the `Rows` of the first `kept_views` views of samples at the given places."""
        views = ops.arange(kept_views, dtype="int32")
        index = ops.reshape((places * self._num_views)[:, None] + views[None], (-1,))
        present = None if present is None else _repeat(present, kept_views)
        return Rows(index, _repeat(groups, kept_views), _repeat(ranks, kept_views), present)

    def _samples_of_class(self, groups: Tensor) -> Tensor:
        """Counts for every own sample the samples of its class in `groups`."""
        counts = ops.segment_sum(ops.ones_like(groups), groups, self._num_groups)
        return ops.take(counts, self._groups)

    def _of_anchors(self, counts: Tensor) -> Tensor:
        counts = ops.cast(counts, self._anchors.dtype)
        return _repeat(
            counts if self._present is None else counts * self._present, self._anchor_views
        )

    @functools.cached_property
    def present(self) -> Tensor | None:
        """Float tensor `(own samples,)` in batch order, 0 for ignored samples; None for all 1."""
        return None if self._present is None else self._own_order.restore(self._present)

    @property
    def num_own_views(self) -> int:
        """Number of contrast rows of an anchor's own sample, without the anchor itself."""
        return self._num_views if self._are_keys else self._num_views - 1

    @functools.cached_property
    def num_positives(self) -> Tensor:
        """Float tensor `(anchors,)`, the number of positives of each anchor."""
        others = self._samples_of_class(self._batch_groups) - 1
        if self._own_keys_only:
            others = ops.zeros_like(others)
        if self.max_samples is not None:
            others = ops.minimum(others, self.max_samples)
        positives = others * self._num_views + self.num_own_views
        for groups, _ in self._further_groups:
            further = self._samples_of_class(groups)
            if self.max_samples is not None:
                further = ops.minimum(further, self.max_samples - others)
                others = others + further
            positives = positives + further
        return self._of_anchors(positives)

    @functools.cached_property
    def num_negatives(self) -> Tensor:
        """Float tensor `(anchors,)`, the number of negatives of each anchor."""
        in_batch = _count(self._batch_groups, self._batch_present)
        negatives = (in_batch - self._samples_of_class(self._batch_groups)) * self._num_views
        if self._own_keys_only:
            negatives = ops.zeros_like(negatives)
        for groups, present in self._further_groups:
            negatives = negatives + _count(groups, present) - self._samples_of_class(groups)
        return self._of_anchors(negatives)

    @property
    def positives(self) -> PairSet:
        """Pairs of one class, up to the limit."""
        return POSITIVES._replace(max_samples=self.max_samples)

    @property
    def negatives(self) -> PairSet:
        """Pairs of different classes, without the positives beyond the limit."""
        return NEGATIVES

    @property
    def candidates(self) -> PairSet:
        """Positives and negatives."""
        return OTHERS._replace(max_samples=self.max_samples)

    def pair_sum(
        self,
        pairs: PairSet,
        value: Callable[[Tensor, Tensor], Tensor],
        slope: Callable[[Tensor, Tensor], Tensor],
        parameter: Tensor | None = None,
        anchor_features: Features | None = None,
        contrast_features: Features | None = None,
        weightings: Sequence[Weighting] | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Computes `ops.pair_sum` over all contrast rows.

        Args:
            pairs: The pairs that count.
            value: As for `ops.pair_sum`.
            slope: As for `ops.pair_sum`.
            parameter: Float tensor `(anchors,)` in the order of the anchors here, or None.
            anchor_features: Maps anchor rows to the vectors of the dot products; None for the rows
                themselves.
            contrast_features: The same for contrast rows.
            weightings: Weights of the pairs, from `label_weightings`, or from `weightings` of a
                contrast of the same samples; None for 1.
            bias: Scalar tensor with gradient that is added to every dot product; None for 0.

        Returns:
            Float tensor `(anchors,)`.
        """
        total = None
        of_parts = [None] * len(self._parts) if weightings is None else weightings
        for part, weighting in zip(self._parts, of_parts, strict=True):
            part_pairs = part.pairs(pairs)
            if part_pairs is None:
                continue
            anchors = scaled(self._anchors, part.scale)
            anchors = anchors if anchor_features is None else anchor_features(anchors)
            are_same = part.are_anchors and anchor_features is None and contrast_features is None
            contrasts = part.features
            if contrast_features is not None:
                contrasts = contrast_features(contrasts)
            value_of_part, slope_of_part = value, slope
            if bias is not None and are_same:
                anchors, shift = with_bias_of_pairs(anchors, bias)
                anchors = _zero_where_absent(part.rows, anchors)
                value_of_part, slope_of_part = shifted(value, slope, shift)
            elif bias is not None:
                anchors, contrasts = with_bias(anchors, contrasts, bias)
            if bias is not None or contrast_features is not None:
                contrasts = _zero_where_absent(part.rows, contrasts)
            part_sum = pair_sum(
                anchors,
                self._anchor_rows,
                None if are_same else contrasts,
                part.rows,
                part_pairs,
                value_of_part,
                slope_of_part,
                parameter,
                self.block_size,
                part.is_constant,
                weighting,
            )
            total = part_sum if total is None else total + part_sum
        return total

    def weightings(self, weight: Weight, parameter: Tensor | None = None) -> list[PairWeighting]:
        """Returns weights of pairs, functions of the dot products here, for the `pair_sum` of
        another contrast.

        The other one should have been made of the same class ids and queue, with as many views and
        the same options. So its rows have the same order.

        Args:
            weight: As for `ops.PairWeighting`.
            parameter: Float tensor `(anchors,)` in the order of the anchors here, or None.
        """
        return [
            PairWeighting(
                weight,
                scaled(self._anchors, part.scale),
                None if part.are_anchors else part.features,
                parameter,
            )
            for part in self._parts
        ]

    def label_weightings(
        self,
        weight: Callable[[Tensor, Tensor], Tensor],
        is_symmetric: bool,
        of_samples: bool = False,
    ) -> list[BlockWeighting]:
        """Returns weights of pairs, functions of the `labels` of both rows.

        Args:
            weight: As for `ops.BlockWeighting`.
            is_symmetric: As there.
            of_samples: Whether pairs are those of samples, for all of their views.
        """
        views = [1 if of_samples else self._num_views] + [1] * len(self._further_groups)
        return [
            BlockWeighting(
                weight,
                _repeat_rows(self._labels, 1 if of_samples else self._anchor_views),
                None if part.are_anchors else _repeat_rows(labels, times),
                is_symmetric,
            )
            for part, labels, times in zip(self._parts, self._part_labels, views, strict=True)
        ]

    def weighted_sums(
        self,
        weightings: Sequence[BlockWeighting],
        features: Callable[[ContrastRows], Tensor],
    ) -> list[tuple[ContrastRows, Tensor]]:
        """Sums vectors of the contrast rows of all other classes, each with a weight.

        Args:
            weightings: Weights from `label_weightings` with `of_samples=True`.
            features: Makes the vectors of a part of the contrast rows, `(rows, k)`.

        Returns:
            The parts that have such pairs, and their sums for each anchor, `(anchors, k)`, with
            gradient by the vectors.
        """
        sums = []
        for number, (part, weighting) in enumerate(zip(self._parts, weightings, strict=True)):
            pairs = part.pairs(NEGATIVES)
            if pairs is None:
                continue
            vectors, rows = features(part), part.rows
            if number == 0:  # only rows of the batch have views, and these the weight of a sample
                views = self._num_views
                vectors = ops.sum(ops.reshape(vectors, (-1, views, vectors.shape[1])), axis=1)
                rows = Rows(group=self._batch_groups, present=self._batch_present)
            of_part = weighted_row_sum(
                Rows(group=self._groups),
                vectors,
                None if part.are_anchors else rows,
                pairs,
                weighting,
                self.block_size,
            )
            sums.append((part, _repeat_rows(of_part, self._anchor_views)))
        return sums

    def class_mean_weightings(self) -> list[BlockWeighting]:
        """Returns the weight `1 / rows of its class` of each contrast row, which turn a sum over
        negatives into a sum of means over classes.
        """
        sizes = ops.zeros((self._num_groups,), dtype=self._anchors.dtype)
        for part in self._parts:
            if part.pairs(self.negatives) is None:
                continue
            sizes = sizes + ops.segment_sum(part.presence[:, 0], part.rows.group, self._num_groups)
        shares = 1.0 / ops.maximum(sizes, 1.0)
        anchors = ops.zeros_like(self._anchors[:, :1])
        return [
            BlockWeighting(
                lambda _, of_contrasts: ops.transpose(of_contrasts),
                anchors,
                ops.take(shares, part.rows.group)[:, None],
            )
            for part in self._parts
        ]

    def of_samples(self, values: Tensor) -> Tensor:
        """Returns values `(own samples,)` of this replica for each anchor: `(anchors,)`."""
        return _repeat(self._own_order.take(values), self._anchor_views)

    @functools.cached_property
    def positive_divisor(self) -> Tensor:
        """Float tensor `(anchors,)`, `num_positives`, and 1 for anchors that have none."""
        return ops.where(
            self.num_positives > 0, self.num_positives, ops.ones_like(self.num_positives)
        )

    def pair_max(self, pairs: PairSet, weightings: Sequence[Weighting] | None = None) -> Tensor:
        """Returns the largest dot product of every anchor over `pairs`, without gradient:
        `(anchors,)`, minus infinity without pairs.

        Args:
            pairs: The pairs that count.
            weightings: Weights of the pairs, of which those without weight do not count; None for
                none.
        """
        largest = None
        of_parts = [None] * len(self._parts) if weightings is None else weightings
        for part, weighting in zip(self._parts, of_parts, strict=True):
            part_pairs = part.pairs(pairs)
            if part_pairs is None:
                continue
            anchors = scaled(self._anchors, part.scale)
            of_part = pair_max(
                anchors,
                self._anchor_rows,
                part.features,
                part.rows,
                part_pairs,
                self.block_size,
                weighting,
            )
            largest = of_part if largest is None else ops.maximum(largest, of_part)
        return largest

    def row_loss(
        self,
        rule: Callable[[Tensor, RowPairs], tuple[Tensor, Tensor]],
        anchor_features: Features,
        contrast_features: Features,
        has_many_steps: bool = False,
    ) -> Tensor:
        """Returns `ops.row_loss` over all contrast rows, whose dot products have no scale:
        `(anchors,)`.
        """
        features = [part.features for part in self._parts]
        rows = [part.rows for part in self._parts]
        return row_loss(
            anchor_features(self._anchors),
            self._anchor_rows,
            contrast_features(_joined(features)),
            Rows(*map(_joined, zip(*_with_presence(rows, features), strict=True))),
            self.num_positives,
            self.num_negatives,
            rule,
            self.block_size,
            has_many_steps,
        )

    def log_class_mean_exp(self) -> Tensor:
        """Returns `log sum_c mean exp` of the dot products of every anchor with the contrast rows
        of each class, its own one without itself: `(anchors,)`, 0 without pairs.
        """
        shift = self._shift(self.candidates)
        of_others = self.pair_sum(
            self.negatives,
            exp_shifted,
            exp_shifted,
            parameter=shift,
            weightings=self.class_mean_weightings(),
        )
        of_own = self.pair_sum(self.positives, exp_shifted, exp_shifted, parameter=shift)
        return _log_of_sum(of_others + of_own / self.positive_divisor, shift)

    def log_sum_exp(self, pairs: PairSet) -> Tensor:
        """Returns `log sum exp` of the dot products of every anchor over `pairs`: `(anchors,)`, 0
        without pairs.
        """
        return _log_of_sum(*self.exp_sum(pairs))

    def exp_sum(self, pairs: PairSet) -> tuple[Tensor, Tensor | None]:
        """Returns sums of exponentials of the shifted dot products of every anchor over `pairs`.

        Returns:
            `(total, shift)`: `(anchors,)`, 0 without pairs; and what was subtracted from the dot
            products, `(anchors,)`, or None for 0. `exp_shifted` computes the terms.
        """
        shift = self._shift(pairs)
        return self.pair_sum(pairs, exp_shifted, exp_shifted, parameter=shift), shift

    def _shift(self, pairs: PairSet) -> Tensor | None:
        """Returns an upper bound of the dot products, which exponentials are shifted by:
        `(anchors,)`, or None if they need no shift.
        """

        def largest() -> Tensor:
            of_anchors = self.pair_max(pairs)
            return ops.where(ops.isfinite(of_anchors), of_anchors, ops.zeros_like(of_anchors))

        bound = self._largest_dot_product
        if bound is None:
            return largest()
        if isinstance(bound, float):
            return None if bound <= _LARGEST_SAFE_LOGIT else largest()
        bound = ops.stop_gradient(bound)
        anywhere = ops.zeros_like(self._anchors[:, 0]) + bound
        # Maxima take as long as the sums, and are seldom needed.
        return ops.stop_gradient(ops.cond(bound <= _LARGEST_SAFE_LOGIT, lambda: anywhere, largest))

    def positive_mean(self) -> Tensor:
        """Returns the mean dot product of every anchor with its positives: `(anchors,)`, 0 without
        a positive.
        """
        of_whole_classes = self.max_samples is None and not self._own_keys_only
        if not of_whole_classes or self._largest_dot_product is None:
            # Without normalization a long row would swallow the others in the sum of a class.
            total = self.pair_sum(
                self.positives,
                lambda similarity, _: similarity,
                lambda similarity, _: ops.ones_like(similarity),
            )
        else:
            total = self._class_sum_products()
        return total / self.positive_divisor

    def own_view_mean(self) -> Tensor:
        """Returns the mean dot product of every anchor with the other views of its own sample, or
        with the keys of its sample: `(anchors,)`. There should be one, see `num_own_views`.
        """
        return self.own_view_sum() / self.num_own_views

    def own_view_sum(self) -> Tensor:
        """Returns the sum of the dot products of every anchor that `own_view_mean` averages:
        `(anchors,)`, 0 without any.
        """
        anchors = ops.reshape(self._anchors, (-1, self._anchor_views, self._anchors.shape[1]))
        anchors = scaled(anchors, self._parts[0].scale)
        contrasts = self._own_contrasts
        if self._own_places is not None:
            contrasts = ops.take(contrasts, self._own_places, axis=0)
        products = ops.matmul(anchors, ops.swapaxes(contrasts, 1, 2))
        if not self._are_keys:
            views = ops.arange(self._num_views)
            is_self = ops.equal(views[: self._anchor_views, None], views[None])
            zero = ops.zeros((), dtype=products.dtype)
            products = ops.where(is_self, zero, products)
        return ops.reshape(ops.sum(products, axis=2), (-1,))

    def _class_sum_products(self) -> Tensor:
        """Returns dot products with the sum of the positives, from class sums instead of pairs."""
        sums = sum(
            scaled(ops.segment_sum(part.features, part.rows.group, self._num_groups), part.scale)
            for part in self._parts
        )
        of_class = ops.take(sums, self._groups, axis=0)[:, None]
        anchors = ops.reshape(self._anchors, (-1, self._anchor_views, self._anchors.shape[1]))
        others = of_class if self._are_keys else of_class - anchors
        return ops.reshape(ops.sum(anchors * others, axis=2), (-1,))

    @functools.cached_property
    def nan_unless_finite(self) -> Tensor:
        """Scalar: 1, or NaN if a contrast row holds NaN or infinity."""
        are_finite = functools.reduce(
            ops.logical_and, [ops.all(ops.isfinite(rows)) for rows in self._all_contrasts]
        )
        one = ops.ones((), dtype=self._anchors.dtype)
        return ops.where(are_finite, one, one * float("nan"))

    def sample_losses(self, values: Tensor, is_defined: Tensor) -> Tensor:
        """Turns losses of anchors into losses of samples.

        Comparisons with NaN are False, so that a maximum, a mask or a sort can lose it. Here one
        row that is not finite makes the losses of the whole batch NaN, and so their gradients.

        Args:
            values: Float tensor `(anchors,)`.
            is_defined: Bool tensor `(anchors,)`, False for anchors whose loss is 0.

        Returns:
            Float tensor `(samples,)`, the means over the anchor views of each sample, in the order
            of the batch.
        """
        return (
            self.per_sample(ops.where(is_defined, values, ops.zeros_like(values)))
            * self.nan_unless_finite
        )

    def per_sample(self, values: Tensor) -> Tensor:
        """Averages over the anchor views of each sample: `(anchors,)` to `(samples,)`, in batch
        order.
        """
        means = ops.mean(ops.reshape(values, (-1, self._anchor_views)), axis=1)
        return self._own_order.restore(means)


def _repeat(vector: Tensor, times: int) -> Tensor:
    """Does `ops.repeat` in two operations; on TensorFlow it takes ten."""
    return (
        ops.reshape(vector[:, None] + ops.zeros((1, times), dtype=vector.dtype), (-1,))
        if times > 1
        else vector
    )


def _repeat_rows(rows: Tensor | None, times: int) -> Tensor | None:
    return rows if rows is None or times == 1 else ops.repeat(rows, times, axis=0)


def _without_ignored(class_ids: Tensor, rows: Tensor, is_ignored: Tensor) -> tuple[Any, Any, Any]:
    """Turns ignored samples into unlabeled zero rows, and returns the mask of the others."""
    return (
        ops.where(is_ignored, -1, class_ids),
        _zero_where(is_ignored, rows),
        ops.cast(ops.logical_not(is_ignored), rows.dtype),
    )


def _zero_where(is_ignored: Tensor, rows: Tensor) -> Tensor:
    """Sets ignored rows to 0; a product would keep NaN, and pass gradient to the rows."""
    return ops.where(
        ops.reshape(is_ignored, (-1, *[1] * (len(rows.shape) - 1))),
        ops.zeros((), dtype=rows.dtype),
        rows,
    )


def _zero_where_absent(rows: Rows, features: Tensor) -> Tensor:
    """Sets the features of rows that are in no pair to 0, as `pair_sum` wants them."""
    return features if rows.present is None else _zero_where(rows.present == 0, features)


def _with_presence(rows: Sequence[Rows], features: Sequence[Tensor]) -> Sequence[Rows]:
    """Fills in `present` where only some of the rows have it."""
    if all(part.present is None for part in rows):
        return rows
    return [
        part if part.present is not None else part._replace(present=ops.ones_like(vectors[:, 0]))
        for part, vectors in zip(rows, features, strict=True)
    ]


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    if parts[0] is None or len(parts) == 1:
        return parts[0]
    return ops.concatenate(parts, axis=0)


def _count(groups: Tensor, present: Tensor) -> Tensor:
    return ops.shape(groups)[0] if present is None else ops.sum(ops.cast(present, "int32"))


def scaled(rows: Tensor, scale: Tensor) -> Tensor:
    return rows if scale is None else rows * scale


def _flatten(views: Tensor) -> Tensor:
    return ops.reshape(views, (-1, views.shape[-1]))


def _log_of_sum(total: Tensor, shift: Tensor | None) -> Tensor:
    """Returns the logarithm of a sum of shifted exponentials, without its shift; 0 of none."""
    log_total = ops.log(ops.where(total > 0, total, ops.ones_like(total)))
    return log_total if shift is None else log_total + shift


def exp_shifted(similarity: Tensor, largest: Tensor | None, *_: Any) -> Tensor:
    """Returns `exp(similarity - largest)`, of which no argument is above `largest`."""
    # Not above 0, except for rounding and for the zero rows that pad a block.
    return ops.exp(similarity if largest is None else ops.minimum(similarity - largest, 0.0))

"""A `Contrast` whose positives have weights that come from labels."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from keras import ops

from keras_supcon.ops.contrast import Contrast, ContrastRows, scaled
from keras_supcon.ops.pair_weighting import Weighting
from keras_supcon.ops.pairs import NEGATIVES, OTHERS, POSITIVES, PairSet
from keras_supcon.ops.weighted_row_sum import weighted_row_sum
from keras_supcon.typing import Tensor

Weight = Callable[[Tensor, Tensor], Tensor]


class LabelPairs(NamedTuple):
    """Describes the weights of the pairs of a batch, by labels of its samples."""

    weight: Weight
    """`weight(labels, other_labels)` of `(a, k)` and `(c, k)` returns `(a, c)`."""
    labels: Tensor
    """`(batch, k)`, what `weight` compares."""
    is_symmetric: bool = False
    """Whether the weight of two samples does not depend on which of them is the anchor."""
    own: Tensor | None = None
    """`(batch,)`, the weight of pairs of views of one sample; None for that by `weight`."""
    queue_labels: Tensor | None = None
    """`(queue, k)`, None without a queue."""
    queue_is_empty: Tensor | None = None
    """Bool `(queue,)`, slots that count for nothing; None for none."""


# Names of sets that weights decide; the numbers of samples tell them from any other set.
_WEIGHTED_POSITIVES = POSITIVES._replace(max_samples=-1)
_WEIGHTLESS = NEGATIVES._replace(max_samples=-1)


class WeightedContrast(Contrast):
    """Contrasts rows of which each pair has a weight, at least 0.

    The views of a sample are a class of their own for `Contrast`. Pairs of different samples are
    positives as far as they have weight, and negatives if they have none. `num_positives` is the
    sum of the weights.

    Args:
        projections: As for `Contrast`.
        pairs: The weights of its pairs, with the labels of the global batch, and of this replica
            alone for `own`.
        **options: Further arguments of `Contrast`, without `max_samples`.
    """

    def __init__(
        self,
        projections: Tensor,
        pairs: LabelPairs,
        **options: Any,
    ) -> None:
        class_ids = ops.full((ops.shape(projections)[0],), -1, dtype="int32")
        if options.get("queue") is not None:
            queue_size = ops.shape(options["queue"])[0]
            options["queue_class_ids"] = ops.full((queue_size,), -1, dtype="int32")
        super().__init__(
            class_ids,
            projections,
            labels=pairs.labels,
            queue_labels=pairs.queue_labels,
            queue_is_ignored=pairs.queue_is_empty,
            **options,
        )
        self._weight, self._is_symmetric = pairs.weight, pairs.is_symmetric
        # Made here: what is first made in a branch of a program cannot be used outside of it.
        self._weightings, self._weightless = (
            self.label_weightings(weight, self._is_symmetric)
            for weight in (self._weight, self._has_no_weight)
        )
        self._own_weights = None
        if pairs.own is not None:
            self._own_weights = self.of_samples(ops.cast(pairs.own, self._anchors.dtype))

    @property
    def positives(self) -> PairSet:
        """Pairs by their weight."""
        return _WEIGHTED_POSITIVES

    @property
    def negatives(self) -> PairSet:
        """Pairs of different samples without weight."""
        return _WEIGHTLESS

    def _has_no_weight(self, labels: Tensor, others: Tensor) -> Tensor:
        return ops.where(self._weight(labels, others) > 0, 0.0, 1.0)

    @functools.cached_property
    def num_positives(self) -> Tensor:
        """Float tensor `(anchors,)`, the sum of the weights of each anchor."""
        weights = sum(sums[:, -1] for _, sums in self._positive_sums)
        if self._own_weights is not None:
            weights = weights + self._own_weights * super().num_positives
        return ops.stop_gradient(weights)

    @functools.cached_property
    def _positive_sums(self) -> list[tuple[ContrastRows, Tensor]]:
        """The parts of the contrast rows, and for each anchor the weighted sum of its positives
        among them and the sum of their weights, `(anchors, dim + 1)`. One visit makes both.

        Without normalization, where a long row would swallow the others, the sum of the weights
        alone, `(anchors, 1)`. Pairs of views of one sample whose weight is known are left out.
        """
        sums = []
        if self._own_weights is None:
            part = self._parts[0]  # the views of a sample are all in the batch
            of_views = weighted_row_sum(
                self._anchor_rows,
                self._counted_rows(part),
                None if part.are_anchors else part.rows,
                part.pairs(POSITIVES),
                self._weightings[0],
                self.block_size,
            )
            sums.append((part, of_views))
        weightings = self.label_weightings(self._weight, self._is_symmetric, of_samples=True)
        return sums + self.weighted_sums(weightings, self._counted_rows)

    def _counted_rows(self, part: ContrastRows) -> Tensor:
        if self._largest_dot_product is None:
            return part.presence
        return ops.concatenate([part.features, part.presence], axis=1)

    @functools.cached_property
    def num_negatives(self) -> Tensor:
        """Float tensor `(anchors,)`, the number of negatives of each anchor."""
        weightings = self.label_weightings(self._has_no_weight, self._is_symmetric, of_samples=True)
        of_parts = self.weighted_sums(weightings, lambda part: part.presence)
        return ops.stop_gradient(sum(sums[:, 0] for _, sums in of_parts))

    def pair_sum(
        self,
        pairs: PairSet,
        value: Callable[[Tensor, Tensor], Tensor],
        slope: Callable[[Tensor, Tensor], Tensor],
        parameter: Tensor | None = None,
        weightings: Sequence[Weighting] | None = None,
        **features: Any,
    ) -> Tensor:
        """Does `Contrast.pair_sum`; terms of positives have their weight."""

        def of(pairs: PairSet, weightings: Sequence[Weighting] | None) -> Tensor:
            return super(WeightedContrast, self).pair_sum(
                pairs, value, slope, parameter, weightings=weightings, **features
            )

        if pairs is _WEIGHTLESS:
            return of(NEGATIVES, self._weightless)
        if pairs is not _WEIGHTED_POSITIVES:
            return of(pairs, weightings)
        others = of(NEGATIVES, self._weightings)
        if self._own_weights is None:
            return others + of(POSITIVES, self._weightings)
        return others + self._own_weights * of(POSITIVES, None)

    def pair_max(self, pairs: PairSet, weightings: Sequence[Weighting] | None = None) -> Tensor:
        """Does `Contrast.pair_max`, over pairs with weight for positives."""
        if pairs is _WEIGHTLESS:
            return super().pair_max(NEGATIVES, self._weightless)
        if pairs is not _WEIGHTED_POSITIVES:
            return super().pair_max(pairs, weightings)
        others = super().pair_max(NEGATIVES, self._weightings)
        if self._own_weights is None:
            return ops.maximum(others, super().pair_max(POSITIVES, self._weightings))
        own = super().pair_max(POSITIVES)
        lowest = ops.full_like(own, float("-inf"))
        return ops.maximum(others, ops.where(self._own_weights > 0, own, lowest))

    def positive_mean(self) -> Tensor:
        """Returns the weighted mean dot product of every anchor with its positives."""
        if self._largest_dot_product is None:
            total = self.pair_sum(
                self.positives,
                lambda similarity, _: similarity,
                lambda similarity, _: ops.ones_like(similarity),
            )
        else:
            total = sum(
                ops.sum(scaled(self._anchors, part.scale) * sums[:, :-1], axis=1)
                for part, sums in self._positive_sums
            )
            if self._own_weights is not None:
                total = total + self._own_weights * self.own_view_sum()
        return total / self.positive_divisor

    def sample_losses(self, values: Tensor, is_defined: Tensor) -> Tensor:
        """Does `Contrast.sample_losses`; weights of an anchor that are not finite make its loss
        NaN, also where a comparison with them is False.
        """
        are_finite = ops.isfinite(self.num_positives)
        values = ops.where(are_finite, values, ops.full_like(values, float("nan")))
        is_defined = ops.logical_or(is_defined, ops.logical_not(are_finite))
        return super().sample_losses(values, is_defined)

    @property
    def candidates(self) -> PairSet:
        """All pairs but those of a row with itself."""
        return OTHERS

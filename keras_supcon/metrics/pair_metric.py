"""Base class of metrics of the distances of pairs of rows."""

import abc
from typing import Any

from keras import ops

from keras_supcon.metrics.batch_metric import BatchMetric
from keras_supcon.ops import Contrast, PairSet, distance_anchors, distance_contrasts
from keras_supcon.ops.standardize import standardize_projections
from keras_supcon.typing import Tensor


class PairMetric(BatchMetric, abc.ABC):
    """Takes the mean of a function of squared distances over pairs of rows of unit length.

    Every pair of an anchor and another row has the same weight, in whatever batch it is, or that of
    its anchor's sample. A tile of pairs is computed at a time, so that memory grows with the rows.
    """

    @abc.abstractmethod
    def pairs(self, batch: Contrast) -> tuple[PairSet, Tensor]:
        """Returns the pairs that count, and their number for each anchor, `(anchors,)`."""

    @abc.abstractmethod
    def of_squares(self, squares: Tensor) -> Tensor:
        """Maps squared distances, elementwise."""

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        y_pred = ops.stop_gradient(standardize_projections(y_pred))
        batch = self.contrast(y_true, y_pred)
        pairs, number = self.pairs(batch)
        total = batch.pair_sum(
            pairs,
            # Rounding may make small squares negative.
            lambda negative_squares, _: self.of_squares(ops.maximum(-negative_squares, 0.0)),
            _no_slope,
            anchor_features=distance_anchors,
            contrast_features=distance_contrasts,
        )
        mean = batch.per_sample(total / ops.maximum(number, 1.0)) * batch.nan_unless_finite
        weight = batch.per_sample(number) * y_pred.shape[1]
        if sample_weight is not None:
            weight = weight * ops.cast(ops.reshape(sample_weight, (-1,)), weight.dtype)
        super().update_state(mean, sample_weight=weight)


def _no_slope(similarity: Tensor, _: Any) -> Tensor:
    return ops.zeros_like(similarity)

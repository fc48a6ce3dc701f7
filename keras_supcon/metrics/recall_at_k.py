"""Retrieval within the batches."""

from typing import Any

import keras
from keras import ops

from keras_supcon.arguments import check_whole_number
from keras_supcon.metrics.batch_metric import BatchMetric
from keras_supcon.ops.standardize import standardize_projections
from keras_supcon.typing import Tensor

# Cosines of equal rows differ by a part of it, from rounding.
_EQUAL = 1e-6


@keras.saving.register_keras_serializable(package="keras_supcon")
class RecallAtK(BatchMetric):
    """Computes the share of anchors with a positive among their k nearest other rows, by cosine.

    The other rows are those of the global batch, so that the figure falls as the batch grows;
    `evaluation.recall_at_k` is that of a whole set. Anchors without a positive do not count. A
    negative as near as the nearest positive, to 1e-6 of the cosine, counts as nearer, so that equal
    rows are no success. Among at most k other rows every anchor with a positive succeeds.

    `RecallAtK(1)` is `ContrastiveAccuracy` but for ties, and takes about as much time. With several
    views the other views of a sample are positives too, and near from the beginning.

    Args:
        k: Number of neighbors, at least 1.
        name: Name of the metric. Of several k each needs its own.
        dtype: Dtype of the result.
        gather: Searches the rows of all replicas under `tf.distribute`.
        ignore_class: A class id whose samples are left out, as in the losses; None for no such id.

    Raises:
        ValueError: If `k` is not a whole number of at least 1.

    Reference:
        Jégou et al., Product Quantization for Nearest Neighbor Search, TPAMI 2011.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.metrics import RecallAtK
    >>> rows = np.array([[1, 0.1], [1, 0], [0, 1], [1, 0.3]], "float32")
    >>> for k in (1, 3):
    ...     metric = RecallAtK(k, name=f"recall_at_{k}")
    ...     metric.update_state([0, 0, 1, 1], rows)
    ...     print(float(metric.result()))  # the last row is third nearest to the one before it
    0.75
    1.0
    """

    def __init__(
        self,
        k: int = 1,
        *,
        name: str = "recall_at_k",
        dtype: Any = None,
        gather: bool = True,
        ignore_class: int | None = None,
    ) -> None:
        super().__init__(name, dtype=dtype, gather=gather, ignore_class=ignore_class)
        self.k = check_whole_number("k", k, at_least=1)

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        batch = self.contrast(y_true, ops.stop_gradient(standardize_projections(y_pred)))
        num_nearer = batch.pair_sum(
            batch.negatives,
            lambda similarity, nearest: ops.cast(similarity >= nearest, similarity.dtype),
            lambda similarity, _: ops.zeros_like(similarity),
            parameter=batch.pair_max(batch.positives) - _EQUAL,
        )
        has_positive = batch.num_positives > 0
        found, weight = (
            batch.per_sample(ops.cast(one, "float32"))
            for one in (num_nearer < self.k, has_positive)
        )
        found = found * ops.cast(batch.nan_unless_finite, "float32")
        if sample_weight is not None:
            weight = weight * ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
        # Either all views of a sample have positives or none has.
        super().update_state(found, sample_weight=weight)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "k": self.k}

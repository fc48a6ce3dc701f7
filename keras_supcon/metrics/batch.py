"""From what a metric is called with to anchors, contrasts and positives."""

from typing import Any

import keras

from keras_supcon.distribution import gather_across_replicas
from keras_supcon.ops import Contrast, l2_normalize, standardize_batch


def metric_batch(y_true: Any, y_pred: Any, gather: bool, counts_only: bool = False) -> Contrast:
    """The `Contrast` of a batch whose dot products are cosines, or have no meaning where only counts of rows are wanted."""
    class_ids, projections = standardize_batch(y_true, y_pred)
    # One number a row is enough to count, and quick to gather.
    projections = projections[:, :, :1] if counts_only else l2_normalize(projections)
    if not gather:
        return Contrast(class_ids, projections)
    (all_projections, all_ids), offset = gather_across_replicas(projections, class_ids)
    own = None if all_projections is projections else projections
    return Contrast(all_ids, all_projections, own_projections=own, offset=offset)


class BatchMetric(keras.metrics.Mean):
    """A mean over the samples of contrastive batches.

    Args:
        name: Name of the metric.
        dtype: Dtype of the result.
        gather: Looks at the rows of all replicas under `tf.distribute`.
    """

    # Whether more or less is better, where `EarlyStopping` and other callbacks look for it in Keras' own metrics.
    _direction = "up"

    def __init__(self, name: str, dtype: Any, *, gather: bool) -> None:
        super().__init__(name=name, dtype=dtype)
        self.gather = gather

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gather": self.gather}

"""From what a metric is called with to anchors, contrasts and positives."""

from typing import Any

import keras
from keras import ops

from keras_supcon.arguments import check_class_id_or_none
from keras_supcon.distribution import gather_across_replicas
from keras_supcon.ops import Contrast, l2_normalize, standardize_batch


def metric_batch(
    y_true: Any,
    y_pred: Any,
    gather: bool,
    ignore_class: int | None = None,
    counts_only: bool = False,
) -> Contrast:
    """The `Contrast` of a batch whose dot products are cosines, or have no meaning where only
    counts of rows are wanted.
    """
    class_ids, projections = standardize_batch(y_true, y_pred, ignore_class)
    # One number a row is enough to count, and quick to gather.
    projections = projections[:, :, :1] if counts_only else l2_normalize(projections)
    (all_projections, all_ids), offset = (projections, class_ids), 0
    if gather:
        (all_projections, all_ids), offset = gather_across_replicas(projections, class_ids)
    own = None if all_projections is projections else projections
    is_ignored = None if ignore_class is None else ops.equal(all_ids, ignore_class)
    return Contrast(
        all_ids, all_projections, own_projections=own, offset=offset, is_ignored=is_ignored
    )


class BatchMetric(keras.metrics.Mean):
    """A mean over the samples of contrastive batches.

    Args:
        name: Name of the metric.
        dtype: Dtype of the result.
        gather: Looks at the rows of all replicas under `tf.distribute`.
        ignore_class: A class id whose samples are left out, as of the losses; None for no such id.
    """

    # Whether more or less is better, where `EarlyStopping` and other callbacks look for it in
    # Keras' own metrics.
    _direction = "up"

    def __init__(self, name: str, dtype: Any, *, gather: bool, ignore_class: int | None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.gather = gather
        self.ignore_class = check_class_id_or_none("ignore_class", ignore_class)

    def weight_of_anchors(self, batch: Contrast, sample_weight: Any) -> Any:
        """The weights of samples, those of ignored ones 0; None where all are 1."""
        if batch.present is None:
            return sample_weight
        if sample_weight is None:
            return batch.present
        return batch.present * ops.cast(ops.reshape(sample_weight, (-1,)), batch.present.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gather": self.gather, "ignore_class": self.ignore_class}

"""From what a metric is called with to anchors, contrasts and positives."""

from typing import Any

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

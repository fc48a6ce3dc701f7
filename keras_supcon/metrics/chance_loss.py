"""Chance level of a contrastive loss."""

from typing import Any

import keras
from keras import ops

from keras_supcon.deprecation import deprecate_positional
from keras_supcon.metrics.batch_metric import BatchMetric
from keras_supcon.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_supcon")
class ChanceLoss(BatchMetric):
    """Computes `log(N - 1)`, the loss of an anchor where all N rows of a batch are equal.

    It is the value of `SupConLoss`, `NTXentLoss` and `NPairsLoss` with their default options. An
    anchor without a positive has loss 0, as in these losses.

    A contrastive loss grows with its batch: 6.9 is chance with 512 samples of two views. Training
    should take the loss below this. A loss that stays there means a collapsed embedding. The best
    value is not 0 but `log |P|`, with `|P|` positives at one point and no near negative.

    Args:
        name: Name of the metric.
        dtype: Dtype of the result.
        gather: Counts the rows of all replicas under `tf.distribute`.
        ignore_class: A class id whose samples are left out of N and count as 0, as in the losses;
            None for no such id.

    Example:

    >>> import numpy as np
    >>> from keras_supcon import SupConLoss
    >>> from keras_supcon.metrics import ChanceLoss
    >>> labels, alike = np.arange(8) % 4, np.ones((8, 2, 3), "float32")
    >>> metric = ChanceLoss()
    >>> metric.update_state(labels, alike)
    >>> round(float(metric.result()), 3), round(float(SupConLoss()(labels, alike)), 3)  # log 15
    (2.708, 2.708)
    """

    _direction = "down"

    @deprecate_positional
    def __init__(
        self,
        name: str = "chance_loss",
        *,
        dtype: Any = None,
        gather: bool = True,
        ignore_class: int | None = None,
    ) -> None:
        super().__init__(name, dtype=dtype, gather=gather, ignore_class=ignore_class)

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        batch = self.contrast(y_true, y_pred, counts_only=True)
        others = ops.maximum(batch.num_positives + batch.num_negatives, 1.0)
        of_anchors = ops.where(batch.num_positives > 0, ops.log(others), ops.zeros_like(others))
        super().update_state(batch.per_sample(of_anchors), sample_weight=sample_weight)

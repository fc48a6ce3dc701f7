"""Accuracy of a contrastive batch as a classification."""

from typing import Any

import keras
from keras import ops

from keras_supcon.deprecation import deprecate_positional
from keras_supcon.metrics.batch_metric import BatchMetric
from keras_supcon.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_supcon")
class ContrastiveAccuracy(BatchMetric):
    """Computes the share of anchors whose nearest other row, by cosine, is a positive.

    It is the accuracy of a contrastive batch as a classification: 1 if the nearest row of every
    view has its class. Anchors without a positive do not count. A negative as near as the nearest
    positive is an error. It takes about as much time as the loss.

    Args:
        name: Name of the metric.
        dtype: Dtype of the result.
        gather: Searches the rows of all replicas under `tf.distribute`.
        ignore_class: A class id whose samples are left out, as in the losses; None for no such id.

    Reference:
        Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, ICML
        2020, whose code reports it in training.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.metrics import ContrastiveAccuracy
    >>> metric = ContrastiveAccuracy()
    >>> metric.update_state([0, 0, 1, 1], np.array([[1, 0.1], [1, 0], [0, 1], [1, 0.3]], "float32"))
    >>> float(metric.result())  # the last row is nearest to the second, of another class
    0.75
    """

    @deprecate_positional
    def __init__(
        self,
        name: str = "contrastive_accuracy",
        *,
        dtype: Any = None,
        gather: bool = True,
        ignore_class: int | None = None,
    ) -> None:
        super().__init__(name, dtype=dtype, gather=gather, ignore_class=ignore_class)

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        batch = self.contrast(y_true, y_pred)
        is_right = batch.pair_max(batch.positives) > batch.pair_max(batch.negatives)
        weight = batch.per_sample(ops.cast(batch.num_positives > 0, "float32"))
        right = batch.per_sample(
            ops.cast(ops.logical_and(is_right, batch.num_positives > 0), "float32")
        )
        right = right * ops.cast(batch.nan_unless_finite, "float32")
        if sample_weight is not None:
            weight = weight * ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
        # Either all views of a sample have positives or none has.
        super().update_state(right, sample_weight=weight)

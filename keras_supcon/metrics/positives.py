"""Numbers of positives in the batches."""

from typing import Any

import keras
from keras import ops

from keras_supcon.deprecation import deprecate_positional
from keras_supcon.metrics.batch_metric import BatchMetric
from keras_supcon.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_supcon")
class PositivesPerAnchor(BatchMetric):
    """Computes the mean number of positives of an anchor, |P(i)| of the paper.

    With balanced classes it is about `views x batch / classes - 1`. In the paper, accuracy grows up
    to about seven positives.

    Args:
        name: Name of the metric.
        dtype: Dtype of the result.
        gather: Counts the rows of all replicas under `tf.distribute`.
        ignore_class: A class id whose samples are left out, as in the losses; None for no such id.

    Reference:
        Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, table 6.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.metrics import PositivesPerAnchor
    >>> metric = PositivesPerAnchor()
    >>> metric.update_state([0, 0, 1, -1], np.ones((4, 2, 3), "float32"))  # 3, 3, 1 and 1
    >>> float(metric.result())
    2.0
    """

    @deprecate_positional
    def __init__(
        self,
        name: str = "positives_per_anchor",
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
        weight = self.weight_of_anchors(batch, sample_weight)
        super().update_state(batch.per_sample(batch.num_positives), sample_weight=weight)


@keras.saving.register_keras_serializable(package="keras_supcon")
class AnchorsWithPositive(BatchMetric):
    """Computes the share of anchors that have a positive.

    The others have loss 0 and only serve as negatives. The share can be below 1 with one view per
    sample; the batch is then too small for its number of classes, or samples are unlabeled.

    Args:
        name: Name of the metric.
        dtype: Dtype of the result.
        gather: Searches the rows of all replicas under `tf.distribute`.
        ignore_class: A class id whose samples are left out, as in the losses; None for no such id.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.metrics import AnchorsWithPositive
    >>> metric = AnchorsWithPositive()
    >>> metric.update_state([0, 0, 1, -1], np.ones((4, 3), "float32"))
    >>> float(metric.result())
    0.5
    """

    @deprecate_positional
    def __init__(
        self,
        name: str = "anchors_with_positive",
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
        has_positive = batch.per_sample(ops.cast(batch.num_positives > 0, "float32"))
        super().update_state(
            has_positive, sample_weight=self.weight_of_anchors(batch, sample_weight)
        )

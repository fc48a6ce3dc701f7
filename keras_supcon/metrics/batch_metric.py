"""Base class of metrics over all pairs of a batch."""

from typing import Any

import keras
from keras import ops

from keras_supcon.arguments import check_class_id_or_none
from keras_supcon.distribution.gathered_contrast import gathered_contrast
from keras_supcon.ops import Contrast, l2_normalize, standardize_batch
from keras_supcon.typing import Tensor


class BatchMetric(keras.metrics.Mean):
    """Takes the mean over the samples of contrastive batches.

    Args:
        name: Name of the metric.
        dtype: Dtype of the result.
        gather: Uses the rows of all replicas under `tf.distribute`.
        ignore_class: A class id whose samples are left out, as in the losses; None for no such id.
    """

    # `EarlyStopping` and other callbacks read here, as of Keras' own metrics, whether more or less
    # is better.
    _direction = "up"

    def __init__(self, name: str, *, dtype: Any, gather: bool, ignore_class: int | None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.gather = gather
        self.ignore_class = check_class_id_or_none("ignore_class", ignore_class)

    @property
    def reads_class_ids(self) -> bool:
        """Whether labels should be class ids: those of any other kind have no meaning here."""
        return True

    def contrast(self, y_true: Tensor, y_pred: Tensor, counts_only: bool = False) -> Contrast:
        """Builds the `Contrast` of a batch.

        Args:
            y_true: As for `ops.standardize_batch`.
            y_pred: As for `ops.standardize_batch`.
            counts_only: Whether only the numbers of pairs are needed; then dot products have no
                meaning, otherwise they are cosines.
        """
        class_ids, projections = standardize_batch(y_true, y_pred, self.ignore_class)
        # One number a row is enough to count, and quick to gather.
        projections = projections[:, :, :1] if counts_only else l2_normalize(projections)
        return gathered_contrast(
            class_ids, projections, gather=self.gather, ignore_class=self.ignore_class
        )

    def weight_of_anchors(self, batch: Contrast, sample_weight: Tensor | None) -> Tensor | None:
        """Returns the weights of samples, 0 for ignored ones; None where all are 1."""
        if batch.present is None:
            return sample_weight
        if sample_weight is None:
            return batch.present
        return batch.present * ops.cast(ops.reshape(sample_weight, (-1,)), batch.present.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gather": self.gather, "ignore_class": self.ignore_class}

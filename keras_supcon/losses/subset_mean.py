"""Means over some of the samples of the global batch."""

from keras import ops

from keras_supcon.losses.replica_scaled import ReplicaScaledLoss
from keras_supcon.typing import Tensor

_SMALL_WEIGHT = 1e-20


class SubsetMean(ReplicaScaledLoss):
    """Averages values over those samples of the global batch that count; 0 where none does.

    Replicas may hold different numbers of them.

    Args:
        name: Name of the loss.
    """

    def __init__(self, name: str = "subset_mean") -> None:
        super().__init__(reduction="mean_with_sample_weight", name=name)

    def mean(self, values: Tensor, is_counted: Tensor, sample_weight: Tensor | None) -> Tensor:
        """Returns the mean over the samples that count of weight times value.

        Args:
            values: Float tensor `(batch,)`.
            is_counted: Bool tensor `(batch,)`.
            sample_weight: Factors of the values `(batch,)`; None for 1.

        Returns:
            Scalar. NaN in any of the values makes it NaN.
        """
        is_counted = ops.cast(is_counted, values.dtype)
        values = values * is_counted
        if sample_weight is not None:
            values = values * ops.reshape(ops.cast(sample_weight, values.dtype), (-1,))
        # Where no sample counts Keras 3.14 would divide by 0; their values are 0.
        return self.reduced(values, ops.maximum(is_counted, _SMALL_WEIGHT))

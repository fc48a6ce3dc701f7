"""How evenly the rows of the batches are spread."""

from typing import Any

import keras
from keras import ops

from keras_supcon.arguments import check_positive
from keras_supcon.metrics.pair_metric import PairMetric
from keras_supcon.ops import Contrast, PairSet
from keras_supcon.typing import Tensor

# Of opposite rows, exp(-4 t) is then still a number of float32.
_LARGEST_T = 20


@keras.saving.register_keras_serializable(package="keras_supcon")
class Uniformity(PairMetric):
    """Computes `log mean exp(-t ||z_i - z_j||^2)` over all pairs of different rows of a batch.

    Rows are scaled to unit length. 0 means that all rows are equal; lower is more uniform, and rows
    in all directions of many dimensions come near `-2 t`. Views of one sample and rows of one class
    are pairs too: labels of any kind are looked at for `ignore_class` alone. Pairs are those within
    a global batch; the mean is over the pairs of all batches, and its logarithm is the result.

    Args:
        t: Positive number, at most 20. With a larger one the exponentials would be beyond float32.
        name: Name of the metric.
        dtype: Dtype of the result.
        gather: Takes pairs over the rows of all replicas under `tf.distribute`.
        ignore_class: A class id whose samples are left out, as in the losses; None for no such id.

    Raises:
        ValueError: If `t` is not positive, or above 20.

    Reference:
        Wang and Isola, Understanding Contrastive Representation Learning through Alignment and
        Uniformity on the Hypersphere, ICML 2020.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.metrics import Uniformity
    >>> metric = Uniformity()
    >>> metric.update_state([0, 1, 2], np.eye(3, dtype="float32"))  # squared distances of 2
    >>> round(float(metric.result()), 4)
    -4.0
    """

    _direction = "down"

    def __init__(
        self,
        t: float = 2,
        *,
        name: str = "uniformity",
        dtype: Any = None,
        gather: bool = True,
        ignore_class: int | None = None,
    ) -> None:
        super().__init__(name, dtype=dtype, gather=gather, ignore_class=ignore_class)
        self.t = check_positive("t", t, high=_LARGEST_T)

    @property
    def reads_class_ids(self) -> bool:
        return self.ignore_class is not None

    def contrast(self, y_true: Tensor, y_pred: Tensor, counts_only: bool = False) -> Contrast:
        if not self.reads_class_ids:  # all pairs count, whatever the labels are
            y_true = ops.full((ops.shape(y_pred)[0],), -1, dtype="int32")
        return super().contrast(y_true, y_pred, counts_only)

    def pairs(self, batch: Contrast) -> tuple[PairSet, Tensor]:
        return batch.candidates, batch.num_positives + batch.num_negatives

    def of_squares(self, squares: Tensor) -> Tensor:
        return ops.exp(-self.t * squares)

    def result(self) -> Tensor:
        mean = super().result()
        return ops.where(ops.equal(self.count, 0), ops.zeros_like(mean), ops.log(mean))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "t": self.t}

"""Distances of the positives of the batches."""

from typing import Any

import keras
from keras import ops

from keras_supcon.arguments import check_positive
from keras_supcon.metrics.pair_metric import PairMetric
from keras_supcon.ops import Contrast, PairSet
from keras_supcon.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_supcon")
class Alignment(PairMetric):
    """Computes the mean distance of anchors and their positives, `mean ||z_i - z_p||^alpha`.

    Rows are scaled to unit length. Positives are those of the losses: the other rows of the
    anchor's class in the global batch, and with class id -1 its own other views. Every pair of an
    anchor and a positive has the same weight, in whatever batch it is. 0 means that all positives
    are equal; lower is better only as long as `Uniformity` is low as well.

    Squared distances are exact to about 1e-6, so that equal rows may give up to 1e-3 with
    `alpha=1`. On GPUs that round products of float32 to TF32 it is 1e-3 instead of 1e-6.

    Args:
        alpha: Positive number, the power of distances.
        name: Name of the metric.
        dtype: Dtype of the result.
        gather: Takes positives from all replicas under `tf.distribute`.
        ignore_class: A class id whose samples are left out, as in the losses; None for no such id.

    Raises:
        ValueError: If `alpha` is not positive.

    Reference:
        Wang and Isola, Understanding Contrastive Representation Learning through Alignment and
        Uniformity on the Hypersphere, ICML 2020.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.metrics import Alignment
    >>> metric = Alignment()
    >>> rows = np.array([[1, 0], [0, 1], [1, 0], [5, 0]], "float32")
    >>> metric.update_state([0, 0, 1, 1], rows)  # squared distances 2 and 0
    >>> float(metric.result())
    1.0
    """

    _direction = "down"

    def __init__(
        self,
        alpha: float = 2,
        *,
        name: str = "alignment",
        dtype: Any = None,
        gather: bool = True,
        ignore_class: int | None = None,
    ) -> None:
        super().__init__(name, dtype=dtype, gather=gather, ignore_class=ignore_class)
        self.alpha = check_positive("alpha", alpha)

    def pairs(self, batch: Contrast) -> tuple[PairSet, Tensor]:
        return batch.positives, batch.num_positives

    def of_squares(self, squares: Tensor) -> Tensor:
        return squares if self.alpha == 2 else ops.power(squares, self.alpha / 2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha}

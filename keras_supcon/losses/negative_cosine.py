"""Distance of predictions from targets by their angle (Grill et al., 2020)."""

from typing import Any

import keras
from keras import ops

from keras_supcon.losses.function_loss import takes_options
from keras_supcon.losses.options import checks_options
from keras_supcon.losses.target_loss import TargetLoss
from keras_supcon.ops import l2_normalize
from keras_supcon.ops.standardize import standardize_keys, standardize_projections
from keras_supcon.typing import Tensor


@checks_options()
def negative_cosine_loss(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Computes BYOL's loss of each sample, the squared distance of unit vectors.

    For a prediction `p` and its target `t`

        L = ||p/|p| - t/|t| ||^2 = 2 - 2 cos(p, t)

    from 0 to 4, averaged over the views of a sample. BYOL adds up `L` of both directions. SimSiam
    averages `L/2 - 1` over them, which `keras.losses.CosineSimilarity` is too, but for zero rows:
    here one is at distance 1 from any unit vector, and takes no gradient.

    Args:
        y_true: Targets `(batch, dim)` or `(batch, views, dim)`, without gradient.
        y_pred: Predictions of the same shape.

    Returns:
        Float tensor `(batch,)`, float32 for rows of half precision; NaN for a sample of which a row
        is not finite.

    Raises:
        ValueError: If the shapes differ, or are of another rank.

    Reference:
        Grill et al., Bootstrap Your Own Latent, NeurIPS 2020, equation 2; Chen and He, Exploring
        Simple Siamese Representation Learning, CVPR 2021, equation 1.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.losses import negative_cosine_loss
    >>> targets = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]], "float32")
    >>> predictions = np.array([[3.0, 0.0], [0.0, 2.0], [-1.0, 0.0]], "float32")
    >>> print(np.asarray(negative_cosine_loss(targets, predictions)).round(4))
    [0. 2. 4.]
    """
    predictions = standardize_projections(y_pred)
    targets = ops.stop_gradient(standardize_keys(y_true, predictions, "y_true"))
    distances = ops.sum(ops.square(l2_normalize(predictions) - l2_normalize(targets)), axis=-1)
    # A compiler may lose NaN in the largest entry of a row.
    are_finite = ops.logical_and(
        ops.all(ops.isfinite(predictions), axis=-1), ops.all(ops.isfinite(targets), axis=-1)
    )
    not_a_number = ops.full_like(distances, float("nan"))
    return ops.mean(ops.where(are_finite, distances, not_a_number), axis=1)


@keras.saving.register_keras_serializable(package="keras_supcon")
class NegativeCosineLoss(TargetLoss):
    """BYOL's loss as a Keras loss, of targets and predictions; see `negative_cosine_loss`.

    Args:
        reduction: As in `keras.losses.Loss`.
        name: Name of the loss.
        dtype: Dtype of the computation; `keras.config.floatx()` if None. Half precision becomes
            float32.

    Reference:
        Grill et al., Bootstrap Your Own Latent, NeurIPS 2020, equation 2.

    Example:

    >>> import keras_supcon
    >>> loss = keras_supcon.losses.NegativeCosineLoss()
    >>> float(loss([[1.0, 0.0], [1.0, 0.0]], [[3.0, 0.0], [0.0, 2.0]]))
    1.0
    """

    function = staticmethod(negative_cosine_loss)

    @takes_options
    def __init__(
        self,
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str = "negative_cosine_loss",
        dtype: Any = None,
    ) -> None: ...

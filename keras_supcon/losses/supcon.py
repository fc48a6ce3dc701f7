"""Supervised contrastive loss (Khosla et al., 2020)."""

import math
from typing import Any

import keras
from keras import ops

from keras_supcon.distribution import gather_across_replicas
from keras_supcon.losses.batch import standardize_batch
from keras_supcon.ops import (
    l2_normalize,
    masked_logsumexp,
    masked_mean,
    positive_pairs,
    scaled_similarity,
    self_pairs,
)

_SUMMATIONS = ("out", "in")


def supcon_loss(
    y_true: Any,
    y_pred: Any,
    temperature: float = 0.1,
    *,
    summation: str = "out",
    scale_by_temperature: bool = False,
    normalize: bool = True,
    gather: bool = True,
) -> Any:
    r"""Supervised contrastive loss of each sample.

    With `z_i` the projection of row `i` (one view of one sample), `A(i)` all other rows and `P(i)` those of them with
    the class of `i`, the loss of an anchor is

        out, eq. 2:  -1/|P(i)| sum_{p in P(i)} log( exp(z_i.z_p / tau) / sum_{a in A(i)} exp(z_i.z_a / tau) )
        in,  eq. 3:  -log( 1/|P(i)| sum_{p in P(i)} exp(z_i.z_p / tau) / sum_{a in A(i)} exp(z_i.z_a / tau) )

    and the loss of a sample is the mean over its views. "in" is never above "out" (Jensen).

    Args:
        y_true: Class ids `(batch,)` or `(batch, 1)`, or one-hot rows `(batch, classes)`. A class id of -1 means
            unlabelled: the only positives of such a sample are its own other views.
        y_pred: Projections `(batch, views, dim)`, or `(batch, dim)` for one view.
        temperature: Positive float, tau. The paper found 0.1 best.
        summation: `"out"` or `"in"`: whether the mean over positives stands outside or inside the logarithm.
        scale_by_temperature: Multiplies the loss by the temperature, as the authors' code does.
        normalize: Scales the rows of `y_pred` to unit length first.
        gather: Contrasts against the rows of all replicas under `tf.distribute`.

    Returns:
        Float tensor `(batch,)`. A sample with no positive gives 0.

    Raises:
        ValueError: For an argument out of its range or a batch of another form.

    Reference:
        Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, equations 2 and 3.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.losses import supcon_loss
    >>> tetrahedron = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], "float32")
    >>> np.asarray(supcon_loss([0, 0, 1, 1], tetrahedron)).round(4).tolist()  # ln 3: all others look alike
    [1.0986000299453735, 1.0986000299453735, 1.0986000299453735, 1.0986000299453735]
    """
    _check_temperature(temperature)
    _check_summation(summation)
    class_ids, projections = standardize_batch(y_true, y_pred)
    if normalize:
        projections = l2_normalize(projections)
    num_views, dim = projections.shape[1:]
    (all_projections, all_class_ids), offset = (
        gather_across_replicas(projections, class_ids) if gather else ((projections, class_ids), 0)
    )

    # A row is one view of one sample: row index = sample * num_views + view.
    anchors, contrasts = (ops.reshape(rows, (-1, dim)) for rows in (projections, all_projections))
    anchor_index = ops.arange(ops.shape(anchors)[0]) + offset * num_views
    contrast_index = ops.arange(ops.shape(contrasts)[0])
    not_self = ops.logical_not(self_pairs(anchor_index, contrast_index))
    is_positive = ops.logical_and(
        not_self,
        positive_pairs(
            ops.repeat(class_ids, num_views),
            ops.repeat(all_class_ids, num_views),
            anchor_index // num_views,
            contrast_index // num_views,
        ),
    )

    logits = scaled_similarity(anchors, contrasts, temperature)
    num_positives = ops.sum(ops.cast(is_positive, logits.dtype), axis=1)
    log_denominator = masked_logsumexp(logits, not_self)
    if summation == "out":
        loss = log_denominator - masked_mean(logits, is_positive)
    else:
        loss = log_denominator - masked_logsumexp(logits, is_positive) + ops.log(ops.maximum(num_positives, 1.0))
    loss = ops.where(num_positives > 0, loss, ops.zeros_like(loss))
    loss = ops.mean(ops.reshape(loss, (-1, num_views)), axis=1)
    return loss * temperature if scale_by_temperature else loss


@keras.saving.register_keras_serializable(package="keras_supcon")
class SupConLoss(keras.losses.Loss):
    """Supervised contrastive loss as a Keras loss; see `supcon_loss` for the formula.

    Works in `compile(loss=...)` of any model whose output is `(batch, dim)` or `(batch, views, dim)`, with sample
    weights, mixed precision and `tf.distribute`. The loss and gradient of replicas with equal shares of a batch
    (`drop_remainder=True`) are those of one replica on the global batch.

    Args:
        temperature: Positive float.
        summation: `"out"` (eq. 2 of the paper) or `"in"` (eq. 3).
        scale_by_temperature: Multiplies the loss by the temperature, as the authors' code does.
        normalize: Scales the rows of `y_pred` to unit length first. Rows that are already unit vectors do not change.
        gather: Contrasts against the rows of all replicas under `tf.distribute`.
        reduction: As in `keras.losses.Loss`.
        name: Name of the loss.
        dtype: Dtype of the computation; `keras.config.floatx()` if None. Half precision becomes float32.

    Raises:
        ValueError: For an argument out of its range, and when called on a batch of another form.

    Reference:
        Khosla et al., Supervised Contrastive Learning, NeurIPS 2020.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> loss = keras_supcon.SupConLoss(temperature=0.5)
    >>> projections = np.array([[[1, 0], [1, 0]], [[0, 1], [0, 1]]], "float32")  # two samples, two views each
    >>> round(float(loss([0, 1], projections)), 4)  # log(e^2 + 2) - 2
    0.2395
    """

    def __init__(
        self,
        temperature: float = 0.1,
        *,
        summation: str = "out",
        scale_by_temperature: bool = False,
        normalize: bool = True,
        gather: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str = "supcon_loss",
        dtype: Any = None,
    ) -> None:
        _check_temperature(temperature)
        _check_summation(summation)
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if self.dtype in ("float16", "bfloat16"):
            # Keras would round labels and projections to it before `call` sees them.
            super().__init__(name=name, reduction=reduction, dtype="float32")
        self.temperature = float(temperature)
        self.summation = summation
        self.scale_by_temperature = scale_by_temperature
        self.normalize = normalize
        self.gather = gather

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return supcon_loss(
            y_true,
            y_pred,
            self.temperature,
            summation=self.summation,
            scale_by_temperature=self.scale_by_temperature,
            normalize=self.normalize,
            gather=self.gather,
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "temperature": self.temperature,
            "summation": self.summation,
            "scale_by_temperature": self.scale_by_temperature,
            "normalize": self.normalize,
            "gather": self.gather,
            "dtype": self.dtype,
        }


def _check_temperature(temperature: float) -> None:
    try:
        is_valid = math.isfinite(temperature) and temperature > 0
    except TypeError:
        is_valid = False
    if not is_valid:
        raise ValueError(f"`temperature` should be a positive number. Received: temperature={temperature!r}")


def _check_summation(summation: str) -> None:
    if summation not in _SUMMATIONS:
        raise ValueError(f"`summation` should be one of {_SUMMATIONS}. Received: summation={summation!r}")

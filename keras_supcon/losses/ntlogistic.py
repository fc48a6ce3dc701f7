"""Normalised temperature-scaled logistic loss (Chen et al., 2020)."""

from typing import Any

import keras
from keras import ops

from keras_supcon.arguments import check_class_id_or_none, check_whole_number_or_none
from keras_supcon.losses.base import ContrastiveLoss
from keras_supcon.losses.loss_contrast import loss_contrast
from keras_supcon.losses.temperature import check_temperature, check_temperature_number


def ntlogistic_loss(
    y_true: Any,
    y_pred: Any,
    temperature: Any = 0.1,
    *,
    normalize: bool = True,
    gather: bool = True,
    block_size: int | None = None,
    ignore_class: int | None = None,
) -> Any:
    """Logistic loss of each sample: every pair is a question of same or different, answered alone.

    With `P(i)` the rows of the class of anchor `i` and `N(i)` those of other classes:

        L_i = -1/|P(i)| sum_{p in P(i)} log sigmoid(z_i.z_p / tau) - 1/|N(i)| sum_{n in N(i)} log
        sigmoid(-z_i.z_n / tau)

    averaged over the views of a sample. Unlike in `supcon_loss` the negatives do not compete with
    one another, so hard ones do not outweigh easy ones; SimCLR found it weaker for that.

    Args:
        y_true: Class ids `(batch,)` or `(batch, 1)`, -1 for unlabelled, or one-hot rows `(batch,
            classes)`.
        y_pred: Projections `(batch, views, dim)`, or `(batch, dim)` for one view.
        temperature: tau, a float from 1e-15 to 1e15 or a scalar tensor, by which the loss can then
            be differentiated.
        normalize: Scales the rows of `y_pred` to unit length first.
        gather: Contrasts against the rows of all replicas under `tf.distribute`.
        block_size: Rows in a block of the pairwise computation; None picks it.
        ignore_class: A class id whose samples are in no sum, neither as anchors nor as positives or
            negatives, and have loss 0; None for no such id. -1 ignores unlabelled samples. Labels
            should then be ids.

    Returns:
        Float tensor `(batch,)`. An anchor with no positive gives 0; without a negative the second
        term is 0.

    Raises:
        ValueError: For an argument out of its range or a batch of another form.

    Reference:
        Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, ICML
        2020, table 2.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.losses import ntlogistic_loss
    >>> loss = ntlogistic_loss([0, 0, 1, 1], np.array([[1, 0], [1, 0], [0, 1], [0, 1]], "float32"), temperature=1.0)
    >>> print(np.asarray(loss).round(4))  # log(1 + 1/e) + log 2
    [1.0064 1.0064 1.0064 1.0064]
    """
    check_temperature(temperature)
    check_class_id_or_none("ignore_class", ignore_class)
    batch = loss_contrast(
        y_true,
        y_pred,
        temperature=temperature,
        normalize=normalize,
        gather=gather,
        block_size=block_size,
        ignore_class=ignore_class,
    )
    of_positives = batch.pair_sum(
        batch.positives,
        lambda logit, _: ops.softplus(-logit),
        lambda logit, _: -ops.sigmoid(-logit),
    )
    of_negatives = batch.pair_sum(
        batch.negatives, lambda logit, _: ops.softplus(logit), lambda logit, _: ops.sigmoid(logit)
    )
    loss = of_positives / ops.maximum(batch.num_positives, 1.0) + of_negatives / ops.maximum(
        batch.num_negatives, 1.0
    )
    return batch.sample_losses(loss, batch.num_positives > 0)


@keras.saving.register_keras_serializable(package="keras_supcon")
class NTLogisticLoss(ContrastiveLoss):
    """Logistic loss over pairs as a Keras loss; see `ntlogistic_loss`.

    Args:
        temperature: Float from 1e-15 to 1e15.
        normalize: Scales the rows of `y_pred` to unit length first.
        gather: Contrasts against the rows of all replicas under `tf.distribute`.
        block_size: Rows in a block of the pairwise computation; None picks it.
        ignore_class: A class id whose samples are in no sum, neither as anchors nor as positives or
            negatives, and have loss 0; None for no such id. -1 ignores unlabelled samples. Labels
            should then be ids.
        reduction: As in `keras.losses.Loss`.
        name: Name of the loss.
        dtype: Dtype of the computation; `keras.config.floatx()` if None. Half precision becomes
            float32.

    Raises:
        ValueError: For an argument out of its range, and when called on a batch of another form.

    Reference:
        Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, ICML
        2020, table 2.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> loss = keras_supcon.NTLogisticLoss(temperature=1.0)
    >>> round(float(loss([0, 0, 1, 1], np.array([[1, 0], [1, 0], [0, 1], [0, 1]], "float32"))), 4)
    1.0064
    """

    def __init__(
        self,
        temperature: float = 0.1,
        *,
        normalize: bool = True,
        gather: bool = True,
        block_size: int | None = None,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str = "ntlogistic_loss",
        dtype: Any = None,
    ) -> None:
        check_whole_number_or_none("block_size", block_size, at_least=1)
        super().__init__(
            ntlogistic_loss,
            temperature=check_temperature_number(temperature),
            normalize=normalize,
            gather=gather,
            block_size=block_size,
            ignore_class=check_class_id_or_none("ignore_class", ignore_class),
            reduction=reduction,
            name=name,
            dtype=dtype,
        )

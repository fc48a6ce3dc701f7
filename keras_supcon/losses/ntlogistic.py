"""Normalized temperature-scaled logistic loss (Chen et al., 2020)."""

from typing import Any

import keras
from keras import ops

from keras_supcon.losses.base import ContrastiveLoss
from keras_supcon.losses.function_loss import takes_options
from keras_supcon.losses.loss_contrast import loss_contrast
from keras_supcon.losses.options import checks_options
from keras_supcon.typing import Tensor


@checks_options()
def ntlogistic_loss(
    y_true: Tensor,
    y_pred: Tensor,
    temperature: float | Tensor = 0.1,
    *,
    normalize: bool = True,
    gather: bool = True,
    block_size: int | None = None,
    ignore_class: int | None = None,
    keys: Tensor | None = None,
    queue: Tensor | None = None,
    queue_labels: Tensor | None = None,
) -> Tensor:
    """Computes the logistic loss of each sample, in which every pair is judged by itself.

    With `P(i)` the rows of the class of anchor `i` and `N(i)` those of other classes:

        L_i = - 1/|P(i)| sum_{p in P(i)} log sigmoid(z_i.z_p / tau)
              - 1/|N(i)| sum_{n in N(i)} log sigmoid(-z_i.z_n / tau)

    averaged over the views of a sample. Unlike in `supcon_loss`, negatives do not compete with one
    another, so that hard ones do not outweigh easy ones. SimCLR found it weaker for that reason.

    Args:
        y_true: Class ids `(batch,)` or `(batch, 1)`, -1 for unlabeled, or one-hot rows `(batch,
            classes)`.
        y_pred: Projections `(batch, views, dim)`, or `(batch, dim)` for one view.
        temperature: tau, a float from 1e-15 to 1e15 or a scalar tensor, by which the loss can then
            be differentiated.
        normalize: Scales the rows of `y_pred`, `keys` and `queue` to unit length first.
        gather: Contrasts against the rows of all replicas under `tf.distribute`.
        block_size: Rows in a block of the pairwise computation; None picks it.
        ignore_class: A class id whose samples are left out of every sum, as anchors, positives and
            negatives, and have loss 0; None for no such id. -1 ignores unlabeled samples. Labels
            should then be ids.
        keys: Projections of another encoder, of the shape of `y_pred`: the candidates in its stead,
            without gradient. The keys of an anchor's own sample are among its positives. None
            contrasts the rows of `y_pred` with one another.
        queue: Further candidates `(queue, dim)`, without gradient; None for none.
        queue_labels: Class ids of the queue `(queue,)`; -1 for unlabeled, any lower number for an
            empty slot, which counts for nothing. None for no labels and no empty slot.

    Returns:
        Float tensor `(batch,)`. An anchor without a positive gives 0. Without a negative the second
        term is 0.

    Raises:
        ValueError: If an argument is out of its range or the batch has another form.

    Reference:
        Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, ICML
        2020, table 2.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.losses import ntlogistic_loss
    >>> projections = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], "float32")
    >>> loss = ntlogistic_loss([0, 0, 1, 1], projections, temperature=1.0)
    >>> print(np.asarray(loss).round(4))  # log(1 + 1/e) + log 2
    [1.0064 1.0064 1.0064 1.0064]
    """
    batch = loss_contrast(
        y_true,
        y_pred,
        temperature=temperature,
        normalize=normalize,
        gather=gather,
        block_size=block_size,
        ignore_class=ignore_class,
        keys=keys,
        queue=queue,
        queue_labels=queue_labels,
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
        temperature: tau, a float from 1e-15 to 1e15.

    Raises:
        ValueError: If an argument is out of its range, or a batch has another form.

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

    function = staticmethod(ntlogistic_loss)

    @takes_options
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
    ) -> None: ...

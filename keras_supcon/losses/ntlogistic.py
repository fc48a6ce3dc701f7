"""Logistic losses over pairs: NT-Logistic (Chen et al., 2020) and SigLIP's (Zhai et al., 2023)."""

from typing import Any

import keras
from keras import ops

from keras_supcon.losses.function_loss import takes_options
from keras_supcon.losses.loss_contrast import loss_contrast
from keras_supcon.losses.options import checks_options, one_of
from keras_supcon.losses.positives import (
    TakesPositives,
    check_level_weights,
    check_positives,
    check_together,
)
from keras_supcon.losses.temperature import is_tensor
from keras_supcon.ops.weighted_contrast import Weight
from keras_supcon.typing import Tensor


@checks_options(
    check_together,
    pair_reduction=one_of("mean", "sum"),
    positives=check_positives,
    level_weights=check_level_weights,
)
def ntlogistic_loss(
    y_true: Tensor,
    y_pred: Tensor,
    temperature: float | Tensor = 0.1,
    *,
    bias: float | Tensor = 0.0,
    pair_reduction: str = "mean",
    normalize: bool = True,
    gather: bool = True,
    block_size: int | None = None,
    ignore_class: int | None = None,
    positives: str | Weight = "class",
    level_weights: tuple[float, ...] | None = None,
    keys: Tensor | None = None,
    queue: Tensor | None = None,
    queue_labels: Tensor | None = None,
    pair_weights: Tensor | None = None,
) -> Tensor:
    """Computes the logistic loss of each sample, in which every pair is judged by itself.

    With the logits `l_ij = z_i.z_j / tau + bias`, `P(i)` the rows of the class of anchor `i` and
    `N(i)` those of other classes:

        mean:  L_i = - 1/|P(i)| sum_{p in P(i)} log sigmoid(l_ip)
                     - 1/|N(i)| sum_{n in N(i)} log sigmoid(-l_in)
        sum:   L_i = - sum_{p in P(i)} log sigmoid(l_ip) - sum_{n in N(i)} log sigmoid(-l_in)

    averaged over the views of a sample. Unlike in `supcon_loss`, negatives do not compete with one
    another, so that hard ones do not outweigh easy ones. SimCLR found "mean" weaker for that
    reason. "sum" is the loss of SigLIP with the positives of classes. It counts many more negatives
    than positives, and begins well with a bias near the logarithm of their ratio: SigLIP has a
    temperature of 0.1 and a bias of -10, and learns both.

    With other labels than classes a pair of weight `w` counts `w` times as a positive, and a pair
    of different samples without weight is a negative. "mean" divides by the sum of the weights, so
    that only their proportions count. In "sum" their size counts, beside negatives of weight 1.

    No anchor needs a sum over its row before a pair is judged. Positives and negatives are disjoint
    sets: a tile of pairs is visited once, and twice if it holds both. Weights of other labels than
    classes may give both to every tile.

    Args:
        y_true: Class ids `(batch,)` or `(batch, 1)`, -1 for unlabeled, or one-hot rows `(batch,
            classes)`. Rows as `positives` says.
        y_pred: Projections `(batch, views, dim)`, or `(batch, dim)` for one view.
        temperature: tau, a float from 1e-15 to 1e15 or a scalar tensor, by which the loss can then
            be differentiated.
        bias: Added to each logit, a float from -1e15 to 1e15 or a scalar tensor, by which the loss
            can then be differentiated.
        pair_reduction: `"mean"` for the mean over positives plus that over negatives, `"sum"` for
            the sum over all pairs of an anchor.
        normalize: Scales the rows of `y_pred`, `keys` and `queue` to unit length first.
        gather: Contrasts against the rows of all replicas under `tf.distribute`.
        block_size: Rows in a block of the pairwise computation; None picks it.
        ignore_class: A class id whose samples are left out of every sum, as anchors, positives and
            negatives, and have loss 0; None for no such id. -1 ignores unlabeled samples. Labels
            should then be ids.
        positives: Kind of the labels, which decides how much a pair of samples counts as positive:
            `"class"`, `"multi_label"`, `"any"`, `"overlap"`, `"soft"`, `"hierarchy"` or a function,
            as for `supcon_loss`.
        level_weights: Weights of the levels of a `"hierarchy"`, positive numbers; None for 1.
        keys: Projections of another encoder, of the shape of `y_pred`: the candidates in its stead,
            without gradient. The keys of an anchor's own sample are among its positives. None
            contrasts the rows of `y_pred` with one another.
        queue: Further candidates `(queue, dim)`, without gradient; None for none.
        queue_labels: Class ids of the queue `(queue,)`; -1 for unlabeled, any lower number for an
            empty slot, which counts for nothing. None for no labels and no empty slot. Rows like
            those of `y_true` for other labels; all of an empty slot are below -1, or NaN for a
            function of floats.
        pair_weights: Weights `(batch, batch)` of at least 0 in place of labels, as for
            `supcon_loss`; None for labels.

    Returns:
        Float tensor `(batch,)`. An anchor without a positive gives 0, also for "sum". Without a
        negative the second term is 0.

    Raises:
        ValueError: If an argument is out of its range or the batch has another form.

    Reference:
        Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, ICML
        2020, table 2. Zhai et al., Sigmoid Loss for Language Image Pre-Training, ICCV 2023, whose
        positives are one text for each image; their loss is divided by the batch, as the mean of
        the values here is.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.losses import ntlogistic_loss
    >>> projections = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], "float32")
    >>> loss = ntlogistic_loss([0, 0, 1, 1], projections, temperature=1.0)
    >>> print(np.asarray(loss).round(4))  # log(1 + 1/e) + log 2
    [1.0064 1.0064 1.0064 1.0064]
    >>> loss = ntlogistic_loss(
    ...     [0, 0, 1, 1], projections, temperature=1.0, bias=-1.0, pair_reduction="sum"
    ... )
    >>> print(np.asarray(loss).round(4))  # log 2 + 2 log(1 + 1/e)
    [1.3197 1.3197 1.3197 1.3197]
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
        positives=positives,
        level_weights=level_weights,
        pair_weights=pair_weights,
    )
    if is_tensor(bias):
        constant, learned = 0.0, ops.convert_to_tensor(bias)
    else:
        constant, learned = bias, None

    def logit(product: Tensor) -> Tensor:
        return product + constant if constant else product

    of_positives = batch.pair_sum(
        batch.positives,
        lambda product, _: ops.softplus(-logit(product)),
        lambda product, _: -ops.sigmoid(-logit(product)),
        bias=learned,
    )
    of_negatives = batch.pair_sum(
        batch.negatives,
        lambda product, _: ops.softplus(logit(product)),
        lambda product, _: ops.sigmoid(logit(product)),
        bias=learned,
    )
    if pair_reduction == "mean":
        of_positives = of_positives / batch.positive_divisor
        of_negatives = of_negatives / ops.maximum(batch.num_negatives, 1.0)
    return batch.sample_losses(of_positives + of_negatives, batch.num_positives > 0)


@keras.saving.register_keras_serializable(package="keras_supcon")
class NTLogisticLoss(TakesPositives):
    """Logistic loss over pairs as a Keras loss; see `ntlogistic_loss`.

    `NTLogisticLoss(pair_reduction="sum", bias=-10.0)` is the loss of SigLIP, whose temperature and
    bias `ContrastiveModel(learnable_temperature=True, learnable_bias=True)` learns.

    Args:
        temperature: tau, a float from 1e-15 to 1e15.
        bias: Added to each logit, a float from -1e15 to 1e15.

    Raises:
        ValueError: If an argument is out of its range, or a batch has another form.

    Reference:
        Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, ICML
        2020, table 2. Zhai et al., Sigmoid Loss for Language Image Pre-Training, ICCV 2023.

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
        bias: float = 0.0,
        pair_reduction: str = "mean",
        normalize: bool = True,
        gather: bool = True,
        block_size: int | None = None,
        ignore_class: int | None = None,
        positives: str | Weight = "class",
        level_weights: tuple[float, ...] | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str = "ntlogistic_loss",
        dtype: Any = None,
    ) -> None: ...

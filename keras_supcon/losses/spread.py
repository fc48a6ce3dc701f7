"""SupCon that keeps the samples of a class apart (Chen et al., 2022)."""

from typing import Any

import keras
from keras import ops

from keras_supcon.arguments import check_probability
from keras_supcon.losses.base import ContrastiveLoss
from keras_supcon.losses.function_loss import takes_options
from keras_supcon.losses.loss_contrast import loss_contrast
from keras_supcon.losses.options import checks_options, described_by, one_of
from keras_supcon.losses.supcon import anchor_losses, supcon_loss
from keras_supcon.typing import Tensor


@described_by(supcon_loss)
@checks_options(
    spread_weight=check_probability,
    denominator=one_of("all", "one_positive"),
    contrast_mode=one_of("all", "one"),
)
def spread_loss(
    y_true: Tensor,
    y_pred: Tensor,
    temperature: float | Tensor = 0.1,
    *,
    spread_weight: float = 0.5,
    denominator: str = "all",
    contrast_mode: str = "all",
    normalize: bool = True,
    gather: bool = True,
    block_size: int | None = None,
    in_batch_keys: bool = True,
    trainable_keys: bool = False,
    ignore_class: int | None = None,
    keys: Tensor | None = None,
    queue: Tensor | None = None,
    queue_labels: Tensor | None = None,
) -> Tensor:
    r"""Computes L_spread of each sample, which pulls a class together and keeps its samples apart.

    With `s_ij = z_i.z_j / tau`, `P(i)` the rows of the class of anchor `i`, `V(i)` those of them
    that are other views of its own sample, and `w` the weight:

        L_i = (1 - w) SupCon_i
              - w 1/|V(i)| sum_{v in V(i)} log( exp(s_iv) / sum_{p in P(i)} exp(s_ip) )

    averaged over the anchor views of a sample. The second term is class-conditional InfoNCE:
    `ntxent_loss` of each class by itself. `supcon_loss` alone is lowest where all rows of a class
    are one point, which leaves nothing to tell its subclasses by.

    The authors' code has the weights `(1, 1) / 2`, which is `spread_weight=0.5`, at temperature
    0.5. It contrasts each view with the earlier ones alone, which are `keys` here, and averages
    over anchors and pairs of views; its SupCon has the denominator `"one_positive"`. It also limits
    the logits of positives in the numerator to 1 by default, which is left out here.

    Args:
        y_pred: Projections `(batch, views, dim)` of two views or more; with `keys`, or with
            `spread_weight=0`, one view will do, and then also `(batch, dim)`.
        spread_weight: Weight of the second term, from 0, which is `supcon_loss`, to 1.
        denominator: That of SupCon: `"all"`, or `"one_positive"`, by which only the second term
            keeps the samples of a class apart.

    Returns:
        Float tensor `(batch,)`. A sample alone in its class has no second term with two views: it
        is 0. With `"one_positive"` the first term of an anchor without a negative is 0.

    Raises:
        ValueError: If an argument is out of its range, the batch has another form, or samples have
            a single view and no keys.

    Reference:
        Chen et al., Perfectly Balanced: Improving Transfer and Robustness of Supervised Contrastive
        Learning, ICML 2022.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.losses import spread_loss
    >>> collapsed = np.array([[[1, 0], [1, 0]]] * 2 + [[[0, 1], [0, 1]]], "float32")
    >>> print(np.asarray(spread_loss([0, 0, 1], collapsed, spread_weight=1.0)).round(4) + 0)  # ln 3
    [1.0986 1.0986 0.    ]
    """
    batch = loss_contrast(
        y_true,
        y_pred,
        temperature=temperature,
        normalize=normalize,
        gather=gather,
        block_size=block_size,
        contrast_mode=contrast_mode,
        in_batch_keys=in_batch_keys,
        trainable_keys=trainable_keys,
        ignore_class=ignore_class,
        keys=keys,
        queue=queue,
        queue_labels=queue_labels,
    )
    loss = 0.0
    if spread_weight < 1:
        loss = anchor_losses(batch, denominator=denominator)
        if denominator != "all":
            loss = ops.where(batch.num_negatives > 0, loss, ops.zeros_like(loss))
        loss = (1 - spread_weight) * loss
    if spread_weight > 0:
        if batch.num_own_views == 0:
            raise ValueError(
                "`y_pred` should have two views of each sample or more, or `keys`, unless "
                f"`spread_weight` is 0. Received: y_pred of 1 view, spread_weight={spread_weight}"
            )
        loss = loss + spread_weight * (batch.log_sum_exp(batch.positives) - batch.own_view_mean())
    return batch.sample_losses(loss, batch.num_positives > 0)


@keras.saving.register_keras_serializable(package="keras_supcon")
class SpreadLoss(ContrastiveLoss):
    """L_spread as a Keras loss: SupCon and class-conditional InfoNCE; see `spread_loss`.

    For embeddings that should also tell what the labels do not, such as subclasses. It needs two
    views of a sample, as `keras_supcon.ContrastiveModel` makes them; one with
    `augment_in_evaluation=False` has a single view in `evaluate`, which is refused.

    Args:
        temperature: tau, a float from 1e-15 to 1e15.

    Raises:
        ValueError: If an argument is out of its range, or a batch has another form.

    Reference:
        Chen et al., Perfectly Balanced: Improving Transfer and Robustness of Supervised Contrastive
        Learning, ICML 2022.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> loss = keras_supcon.SpreadLoss(temperature=1.0)
    >>> collapsed = np.array([[[1, 0], [1, 0]]] * 2 + [[[0, 1], [0, 1]]] * 2, "float32")
    >>> round(float(loss([0, 0, 1, 1], collapsed)), 4)  # (log(3 + 4/e) + log 3) / 2
    1.2982
    """

    function = staticmethod(spread_loss)

    @takes_options
    def __init__(
        self,
        temperature: float = 0.1,
        *,
        spread_weight: float = 0.5,
        denominator: str = "all",
        contrast_mode: str = "all",
        normalize: bool = True,
        gather: bool = True,
        block_size: int | None = None,
        in_batch_keys: bool = True,
        trainable_keys: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str = "spread_loss",
        dtype: Any = None,
    ) -> None: ...

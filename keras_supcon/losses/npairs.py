"""Multi-class N-pairs loss (Sohn, 2016)."""

from typing import Any

import keras

from keras_supcon.losses.base import ContrastiveLoss
from keras_supcon.losses.function_loss import takes_options
from keras_supcon.losses.options import checks_options
from keras_supcon.losses.supcon import supcon_loss
from keras_supcon.typing import Tensor


@checks_options()
def npairs_loss(
    y_true: Tensor,
    y_pred: Tensor,
    *,
    normalize: bool = True,
    gather: bool = True,
    block_size: int | None = None,
    ignore_class: int | None = None,
    keys: Tensor | None = None,
    queue: Tensor | None = None,
    queue_labels: Tensor | None = None,
) -> Tensor:
    """Computes the N-pairs loss of each sample, in the form of Khosla et al.

    With `k(i)` the positive of row `i`, a view or sample of its class, and `A(i)` all rows but `i`:

        L_i = -log( exp(z_i.z_k(i)) / sum_{a in A(i)} exp(z_i.z_a) )

    averaged over the views of a sample. With several positives it is the mean over them, as in
    TensorFlow Addons. It is `supcon_loss` at temperature 1, and with one pair of views per class
    `ntxent_loss` at temperature 1. Sohn and TensorFlow Addons contrast an anchor with one row of
    each pair; here both rows of the other pairs count.

    Args:
        y_true: Class ids `(batch,)` or `(batch, 1)`, -1 for unlabeled, or one-hot rows `(batch,
            classes)`.
        y_pred: Projections `(batch, views, dim)`, or `(batch, dim)` for one view.
        normalize: Scales the rows of `y_pred`, `keys` and `queue` to unit length first. Sohn limits
            their length by a penalty instead.
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
        Float tensor `(batch,)`. An anchor without a positive gives 0.

    Raises:
        ValueError: If an argument is out of its range or the batch has another form.

    Reference:
        Sohn, Improved Deep Metric Learning with Multi-class N-pair Loss Objective, NIPS 2016;
        Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, supplementary material.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.losses import npairs_loss
    >>> views = np.array([[[1, 0], [1, 0]], [[0, 1], [0, 1]]], "float32")
    >>> print(np.asarray(npairs_loss([0, 1], views)).round(4))  # log(e + 2) - 1
    [0.5514 0.5514]
    """
    return supcon_loss(
        y_true,
        y_pred,
        temperature=1.0,
        normalize=normalize,
        gather=gather,
        block_size=block_size,
        ignore_class=ignore_class,
        keys=keys,
        queue=queue,
        queue_labels=queue_labels,
    )


@keras.saving.register_keras_serializable(package="keras_supcon")
class NPairsLoss(ContrastiveLoss):
    """N-pairs loss as a Keras loss; see `npairs_loss`.

    Raises:
        ValueError: If an argument is out of its range, or a batch has another form.

    Reference:
        Sohn, Improved Deep Metric Learning with Multi-class N-pair Loss Objective, NIPS 2016.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> views = np.array([[[1, 0], [1, 0]], [[0, 1], [0, 1]]], "float32")
    >>> round(float(keras_supcon.NPairsLoss()([0, 1], views)), 4)
    0.5514
    """

    function = staticmethod(npairs_loss)

    @takes_options
    def __init__(
        self,
        *,
        normalize: bool = True,
        gather: bool = True,
        block_size: int | None = None,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str = "npairs_loss",
        dtype: Any = None,
    ) -> None: ...

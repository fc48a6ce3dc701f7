"""Max-margin contrastive loss (Hadsell et al., 2006)."""

import functools
from typing import Any

import keras
from keras import ops

from keras_supcon.arguments import check_positive
from keras_supcon.losses.base import ContrastiveLoss
from keras_supcon.losses.function_loss import takes_options
from keras_supcon.losses.loss_contrast import LARGEST_NORM, loss_contrast
from keras_supcon.losses.options import checks_options
from keras_supcon.ops import distance_anchors, distance_contrasts
from keras_supcon.typing import Tensor

# The slope of a distance has no limit at 0. Below this length, the direction of a difference of
# unit vectors is mostly rounding.
_SHORTEST_DISTANCE = 1e-3


# Rows are no longer than that, and its square is far from the largest float32.
@checks_options(margin=functools.partial(check_positive, high=LARGEST_NORM))
def max_margin_loss(
    y_true: Tensor,
    y_pred: Tensor,
    margin: float = 1.0,
    *,
    normalize: bool = True,
    gather: bool = True,
    block_size: int | None = None,
    ignore_class: int | None = None,
    keys: Tensor | None = None,
    queue: Tensor | None = None,
    queue_labels: Tensor | None = None,
) -> Tensor:
    """Computes the max-margin loss of each sample.

    Positives are pulled together, negatives are pushed apart up to a margin.

    With `D_ij` the Euclidean distance of rows `i` and `j`, `Y_ij` 0 for a pair of one class and 1
    otherwise, and `A(i)` all rows but `i`, the loss of an anchor is the mean over its pairs

        L_i = 1/|A(i)| sum_{a in A(i)} (1 - Y_ia)/2 D_ia^2 + Y_ia/2 max(0, margin - D_ia)^2

    averaged over the views of a sample. Only distances below the margin push, each in proportion to
    its shortfall, while in `supcon_loss` all negatives compete. TensorFlow Addons leaves out the
    factor 1/2.

    Args:
        y_true: Class ids `(batch,)` or `(batch, 1)`, -1 for unlabeled, or one-hot rows `(batch,
            classes)`.
        y_pred: Projections `(batch, views, dim)`, or `(batch, dim)` for one view.
        margin: Positive float up to 1e15; unit vectors are between 0 and 2 apart.
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
        Float tensor `(batch,)`. An anchor without a positive gives 0.

    Raises:
        ValueError: If an argument is out of its range or the batch has another form.

    Reference:
        Hadsell et al., Dimensionality Reduction by Learning an Invariant Mapping, CVPR 2006,
        equation 4.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.losses import max_margin_loss
    >>> loss = max_margin_loss([0, 0, 1, 1], np.array([[1, 0], [0, 1], [0, 1], [0, 1]], "float32"))
    >>> print(np.asarray(loss).round(4))  # of the first: a positive at squared distance 2, over 3
    [0.3333 0.6667 0.1667 0.1667]
    """
    batch = loss_contrast(
        y_true,
        y_pred,
        normalize=normalize,
        gather=gather,
        block_size=block_size,
        ignore_class=ignore_class,
        keys=keys,
        queue=queue,
        queue_labels=queue_labels,
    )

    def distance(product: Tensor) -> Tensor:
        return ops.sqrt(ops.maximum(-product, 0.0))

    def shortfall(product: Tensor) -> Tensor:
        return ops.maximum(margin - distance(product), 0.0)

    distances = {"anchor_features": distance_anchors, "contrast_features": distance_contrasts}
    pull = batch.pair_sum(
        batch.positives,
        lambda product, _: 0.5 * ops.maximum(-product, 0.0),
        lambda product, _: ops.full_like(product, -0.5),
        **distances,
    )
    push = batch.pair_sum(
        batch.negatives,
        lambda product, _: 0.5 * ops.square(shortfall(product)),
        lambda product, _: (
            0.5 * shortfall(product) / ops.maximum(distance(product), _SHORTEST_DISTANCE)
        ),
        **distances,
    )
    loss = (pull + push) / ops.maximum(batch.num_positives + batch.num_negatives, 1.0)
    return batch.sample_losses(loss, batch.num_positives > 0)


@keras.saving.register_keras_serializable(package="keras_supcon")
class MaxMarginLoss(ContrastiveLoss):
    """Max-margin contrastive loss as a Keras loss; see `max_margin_loss`.

    Raises:
        ValueError: If an argument is out of its range, or a batch has another form.

    Reference:
        Hadsell et al., Dimensionality Reduction by Learning an Invariant Mapping, CVPR 2006,
        equation 4.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> loss = keras_supcon.MaxMarginLoss(margin=1.0)
    >>> round(float(loss([0, 0, 1, 1], np.array([[1, 0], [0, 1], [0, 1], [0, 1]], "float32"))), 4)
    0.3333
    """

    function = staticmethod(max_margin_loss)

    @takes_options
    def __init__(
        self,
        margin: float = 1.0,
        *,
        normalize: bool = True,
        gather: bool = True,
        block_size: int | None = None,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str = "max_margin_loss",
        dtype: Any = None,
    ) -> None: ...

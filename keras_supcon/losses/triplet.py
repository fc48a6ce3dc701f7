"""Triplet loss with the mining schemes in use (Weinberger and Saul, 2009; Schroff et al., 2015;
Hermans et al., 2017).
"""

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_supcon.arguments import check_not_negative
from keras_supcon.deprecation import deprecate_positional
from keras_supcon.losses.base import ContrastiveLoss
from keras_supcon.losses.function_loss import takes_options
from keras_supcon.losses.loss_contrast import LARGEST_NORM, loss_contrast
from keras_supcon.losses.options import checks_options, one_of
from keras_supcon.ops import distance_anchors, distance_contrasts
from keras_supcon.typing import Tensor


@deprecate_positional
@checks_options(
    # The squared distances of rows that are not scaled to unit length go as far.
    margin=functools.partial(check_not_negative, high=LARGEST_NORM**2),
    mining=one_of("all", "semi_hard", "hard"),
)
def triplet_loss(
    y_true: Tensor,
    y_pred: Tensor,
    margin: float = 1.0,
    *,
    mining: str = "all",
    normalize: bool = True,
    gather: bool = True,
    block_size: int | None = None,
    ignore_class: int | None = None,
    keys: Tensor | None = None,
    queue: Tensor | None = None,
    queue_labels: Tensor | None = None,
) -> Tensor:
    """Computes the triplet loss of each sample: positives nearer than negatives by a margin.

    With `d_ij = |z_i - z_j|^2`, `P(i)` the rows of the class of anchor `i` and `N(i)` those of
    other classes:

        all:        L_i = mean over p in P(i) and n in N(i) of max(0, d_ip - d_in + margin)
        semi_hard:  L_i = mean over p in P(i) of max(0, d_ip - d_in(p) + margin), where n(p) is the
                    nearest negative that is farther than p, or the farthest negative where there is
                    none
        hard:       L_i = max(0, max_p d_ip - min_n d_in + margin)

    averaged over the views of a sample. With one positive and one negative, the gradient of
    `supcon_loss` has to first order the direction of this loss with margin 2 tau (section 2 of the
    supplement of Khosla et al.).

    All candidates of an anchor are ranked: time grows like N^2 log N, memory like N.

    Args:
        y_true: Class ids `(batch,)` or `(batch, 1)`, -1 for unlabeled, or one-hot rows `(batch,
            classes)`.
        y_pred: Projections `(batch, views, dim)`, or `(batch, dim)` for one view.
        margin: Float from 0 to 1e30; the squared distance of unit vectors is between 0 and 4.
        mining: `"all"`, `"semi_hard"` or `"hard"`.
        normalize: Scales the rows of `y_pred`, `keys` and `queue` to unit length first.
        gather: Ranks the rows of all replicas under `tf.distribute`.
        block_size: Number of anchors whose candidates are ranked at a time; None for about a
            million pairs.
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
        Float tensor `(batch,)`. An anchor without a positive or without a negative gives 0.

    Raises:
        ValueError: If an argument is out of its range or the batch has another form.

    Reference:
        Weinberger and Saul, JMLR 2009 (all); Schroff et al., FaceNet, CVPR 2015 (semi-hard);
        Hermans et al., In Defense of the Triplet Loss for Person Re-Identification, 2017 (hard).

    Example:

    >>> import numpy as np
    >>> from keras_supcon.losses import triplet_loss
    >>> loss = triplet_loss([0, 0, 1, 1], np.array([[1, 0], [0, 1], [0, 1], [0, 1]], "float32"))
    >>> np.asarray(loss).tolist()
    [1.0, 3.0, 0.5, 0.5]
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
    rule = {"all": _all_triplets, "semi_hard": _semi_hard_triplets, "hard": _hardest_triplet}[
        mining
    ]
    loss = batch.row_loss(_of_distances(rule, margin), distance_anchors, distance_contrasts)
    is_defined = ops.logical_and(batch.num_positives > 0, batch.num_negatives > 0)
    return batch.sample_losses(loss, is_defined)


Rule = Callable[[Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor]]


def _of_distances(
    rule: Rule, margin: float
) -> Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Turns a rule of squared distances into one of dot products, which are their negatives."""

    def of_products(
        products: Tensor, is_positive: Tensor, is_negative: Tensor
    ) -> tuple[Tensor, Tensor]:
        losses, slopes = rule(ops.maximum(-products, 0.0), is_positive, is_negative, margin)
        return losses, -slopes

    return of_products


def _all_triplets(
    distances: Tensor, is_positive: Tensor, is_negative: Tensor, margin: float
) -> tuple[Tensor, Tensor]:
    """Ranks `d_ip + margin` and `d_in` together: the triplets of `p` above zero are those of the
    negatives before it.
    """
    keys = ops.where(is_positive, distances + margin, distances)
    order = ops.argsort(
        ops.where(ops.logical_or(is_positive, is_negative), keys, float("inf")), axis=1
    )
    positives, negatives = (
        _count_mask(is_positive, order, keys),
        _count_mask(is_negative, order, keys),
    )
    keys = ops.take_along_axis(keys, order, axis=1)
    num_positives, num_negatives = (
        ops.maximum(_row_sum(kind), 1.0) for kind in (positives, negatives)
    )
    # Distances are counted from the smallest, for the precision of their running sum.
    keys = keys - ops.min(keys, axis=1, keepdims=True, initial=float("inf"))
    negatives_before = ops.cumsum(negatives, axis=1)
    # Means of means: the sum over all triplets of long rows would be beyond float32.
    over_negatives = (
        negatives_before * keys - ops.cumsum(negatives * keys, axis=1)
    ) / num_negatives
    losses = _row_sum(positives * over_negatives) / num_positives
    positives_after = _row_sum(positives) - ops.cumsum(positives, axis=1)
    slopes = (positives * negatives_before - negatives * positives_after) / (
        num_positives * num_negatives
    )
    return losses, _sum_at(order, slopes)


def _semi_hard_triplets(
    distances: Tensor, is_positive: Tensor, is_negative: Tensor, margin: float
) -> tuple[Tensor, Tensor]:
    """Pairs a positive, which has k negatives no farther than it, with the negative of rank k.

    The last negative serves where there are no more than k.
    """
    order = ops.argsort(
        ops.where(ops.logical_or(is_positive, is_negative), distances, float("inf")), axis=1
    )
    positives, negatives = (
        _count_mask(is_positive, order, distances),
        _count_mask(is_negative, order, distances),
    )
    ascending = ops.take_along_axis(distances, order, axis=1)
    place = ops.zeros_like(order) + ops.arange(ops.shape(order)[1], dtype=order.dtype)[None]
    before = ops.take_along_axis(ascending, ops.maximum(place - 1, 0), axis=1)
    # Equal distances share a step: a negative at the distance of the positive is no farther.
    step = ops.cumsum(ops.cast(ascending > before, order.dtype), axis=1)
    no_farther = ops.take_along_axis(ops.cumsum(_sum_at(step, negatives), axis=1), step, axis=1)
    rank = ops.cast(ops.maximum(ops.cumsum(negatives, axis=1) - 1, 0), order.dtype)
    place_by_rank = _sum_at(rank, ops.where(negatives > 0, place, ops.zeros_like(place)))
    own_rank = ops.cast(
        ops.maximum(ops.minimum(no_farther, _row_sum(negatives) - 1), 0), order.dtype
    )
    chosen = ops.take_along_axis(place_by_rank, own_rank, axis=1)
    excess = ascending - ops.take_along_axis(ascending, chosen, axis=1) + margin
    num_positives = ops.maximum(_row_sum(positives), 1.0)
    losses = _row_sum(positives * ops.maximum(excess, 0.0)) / num_positives
    active = ops.where(excess > 0, positives, ops.zeros_like(positives)) / num_positives
    return losses, _sum_at(order, active) - _sum_at(
        ops.take_along_axis(order, chosen, axis=1), active
    )


def _hardest_triplet(
    distances: Tensor, is_positive: Tensor, is_negative: Tensor, margin: float
) -> tuple[Tensor, Tensor]:
    zero = ops.zeros_like(distances)
    farthest = ops.max(ops.where(is_positive, distances, zero), axis=1, keepdims=True, initial=0)
    nearest = ops.min(
        ops.where(is_negative, distances, float("inf")), axis=1, keepdims=True, initial=float("inf")
    )
    excess = farthest - nearest + margin
    # Rows at equal distances share the slope.
    pull = ops.cast(ops.logical_and(is_positive, distances == farthest), distances.dtype)
    push = ops.cast(ops.logical_and(is_negative, distances == nearest), distances.dtype)
    slopes = pull / ops.maximum(_row_sum(pull), 1.0) - push / ops.maximum(_row_sum(push), 1.0)
    return ops.maximum(excess, 0.0), ops.where(excess > 0, slopes, zero)


def _count_mask(mask: Tensor, order: Tensor, like: Tensor) -> Tensor:
    """Returns a mask in sorted order, as numbers."""
    return ops.take_along_axis(ops.cast(mask, like.dtype), order, axis=1)


def _row_sum(values: Tensor) -> Tensor:
    return ops.sum(values, axis=1, keepdims=True)


def _sum_at(columns: Tensor, values: Tensor) -> Tensor:
    """Adds each value to a column of its row; arguments and result are `(rows, columns)`."""
    num_rows, size = ops.shape(values)[0], ops.shape(values)[1]
    places = columns + size * ops.arange(num_rows, dtype=columns.dtype)[:, None]
    sums = ops.segment_sum(ops.reshape(values, (-1,)), ops.reshape(places, (-1,)), num_rows * size)
    return ops.reshape(sums, (num_rows, size))


@keras.saving.register_keras_serializable(package="keras_supcon")
class TripletLoss(ContrastiveLoss):
    """Triplet loss of squared Euclidean distances as a Keras loss; see `triplet_loss`.

    Raises:
        ValueError: If an argument is out of its range, or a batch has another form.

    Reference:
        Schroff et al., FaceNet: A Unified Embedding for Face Recognition and Clustering, CVPR 2015.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> loss = keras_supcon.TripletLoss(margin=1.0, mining="hard")
    >>> float(loss([0, 0, 1, 1], np.array([[1, 0], [0, 1], [0, 1], [0, 1]], "float32")))
    1.5
    """

    function = staticmethod(triplet_loss)

    @takes_options
    def __init__(
        self,
        margin: float = 1.0,
        *,
        mining: str = "all",
        normalize: bool = True,
        gather: bool = True,
        block_size: int | None = None,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str = "triplet_loss",
        dtype: Any = None,
    ) -> None: ...

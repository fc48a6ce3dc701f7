"""Triplet loss with the mining schemes in use (Weinberger and Saul, 2009; Schroff et al., 2015;
Hermans et al., 2017).
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_supcon.arguments import check_not_negative
from keras_supcon.deprecation import deprecate_positional
from keras_supcon.losses.base import ContrastiveLoss
from keras_supcon.losses.function_loss import takes_options
from keras_supcon.losses.loss_contrast import LARGEST_NORM, loss_contrast
from keras_supcon.losses.options import checks_options, one_of
from keras_supcon.ops import distance_anchors, distance_contrasts
from keras_supcon.ops.row_search import (
    add_in_rows,
    count_below,
    index_dtype,
    min_in_rows,
    sum_in_rows,
    take_in_rows,
)
from keras_supcon.ops.whole_rows import RowPairs
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

    Only the positives of an anchor are sorted, 127 at a time, and its negatives find their places
    among them: time grows with the number of pairs, and with the size of classes beyond 127 rows;
    memory with the number of rows.

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
    rule = {"all": _all_triplets, "semi_hard": _semi_hard_triplets, "hard": _hardest_triplet}
    loss = batch.row_loss(
        _of_distances(rule[mining], margin),
        distance_anchors,
        distance_contrasts,
        has_many_steps=mining != "hard",
    )
    is_defined = ops.logical_and(batch.num_positives > 0, batch.num_negatives > 0)
    return batch.sample_losses(loss, is_defined)


Rule = Callable[[Tensor, RowPairs, float], tuple[Tensor, Tensor]]
"""Takes squared distances `(block, contrasts)`, their pairs and the margin. Returns the losses of
rows `(block, 1)` and their derivatives by the negative distances."""


def _of_distances(rule: Rule, margin: float) -> Callable[[Tensor, RowPairs], tuple[Tensor, Tensor]]:
    """Turns a rule of squared distances into one of dot products, which are their negatives."""

    def of_products(products: Tensor, pairs: RowPairs) -> tuple[Tensor, Tensor]:
        return rule(ops.maximum(-products, 0.0), pairs, margin)

    return of_products


class _Part(NamedTuple):
    """Holds some of the positives of each row, `(rows, positives)`."""

    columns: Tensor
    """The column of each."""
    is_positive: Tensor
    """False for what fills up a row."""
    distances: Tensor
    """Infinity for what fills up a row."""
    ascending: Tensor
    """The distances in ascending order."""

    def subtract(self, slopes: Tensor, by_rank: Tensor) -> Any:
        """Subtracts slopes, given in ascending order and equal for equal distances, from those of
        all columns: `(rows, columns)`. The caller must not use `slopes` afterwards.
        """
        rank = ops.minimum(count_below(self.ascending, self.distances), by_rank.shape[1] - 1)
        of_part = ops.where(self.is_positive, take_in_rows(by_rank, rank), 0.0)
        return add_in_rows(slopes, self.columns, -of_part)


def _for_each_part(
    distances: Tensor, pairs: RowPairs, body: Callable[[_Part, Any], Any], state: Any
) -> Any:
    def part(columns: Tensor, is_positive: Tensor, state: Any) -> Any:
        of_part = ops.where(is_positive, take_in_rows(distances, columns), float("inf"))
        return body(_Part(columns, is_positive, of_part, ops.sort(of_part, axis=1)), state)

    return pairs.for_each_part(part, state)


def _all_triplets(distances: Tensor, pairs: RowPairs, margin: float) -> tuple[Any, Any]:
    """Adds up for each negative how far it is below `d_ip + margin` of the positives above it, and
    counts for each row of a pair in how many triplets above zero it is.

    With these sorted, the sum is that of the last ones minus their number times the distance.
    """
    negatives = ops.where(pairs.is_negative, distances, float("inf"))
    # Means of means: the sum over all triplets of long rows would be beyond float32.
    share = 1.0 / ops.maximum(pairs.num_positives * pairs.num_negatives, 1.0)

    def part(positives: _Part, state: tuple[Tensor, Tensor]) -> Any:
        losses, slopes = state
        reaches = positives.ascending + margin
        is_filled = ops.isfinite(reaches)
        # Counted from the smallest, for the precision of the sums.
        smallest = ops.where(is_filled[:, :1], reaches[:, :1], 0.0)
        reaches_above = ops.where(is_filled, reaches - smallest, 0.0)
        largest = ops.max(reaches_above, axis=1, keepdims=True)
        shares_above = reaches_above * share
        sums_from = _row_sum(shares_above) - ops.cumsum(shares_above, axis=1) + shares_above
        sums_from = ops.pad(sums_from, [(0, 0), (0, 1)])
        no_farther = count_below(reaches, negatives, or_equal=True)
        num_filled = _row_sum(ops.cast(is_filled, distances.dtype))
        share_farther = share * ops.maximum(num_filled - ops.cast(no_farther, distances.dtype), 0.0)
        # What is beyond the last positive adds 0, and infinity times 0 is no number.
        negatives_above = ops.minimum(negatives - smallest, largest)
        excess = take_in_rows(sums_from, no_farther) - share_farther * negatives_above
        per_place = sum_in_rows(no_farther, ops.ones_like(negatives), reaches.shape[1] + 1)
        share_nearer = share * ops.cumsum(per_place[:, :-1], axis=1)
        slopes = positives.subtract(slopes + share_farther, share_nearer)
        return losses + _row_sum(excess), slopes

    state = ops.zeros_like(distances[:, :1]), ops.zeros_like(distances)
    return _for_each_part(distances, pairs, part, state)


class _SemiHard(NamedTuple):
    """Holds the negatives that some positives of each row are compared with."""

    nearer: Tensor
    """Integer tensor `(rows, columns)`: of a negative, the number of positives nearer than it."""
    nearest: Tensor
    """Float tensor `(rows, positives + 1)`: the nearest of the negatives of that number, or
    infinity."""
    number: Tensor
    """Integer tensor `(rows, positives)`: that of the nearest farther negative of each positive, in
    ascending order; `positives + 1` without one."""
    excess: Tensor
    """Float tensor `(rows, positives)`, 0 for what fills up a row."""


def _semi_hard(positives: _Part, negatives: Tensor, farthest: Tensor, margin: float) -> _SemiHard:
    size = positives.ascending.shape[1]
    nearer = count_below(positives.ascending, negatives)
    nearest = min_in_rows(nearer, negatives, size + 1)
    # Those that have more positives nearer than them are farther: the first of them is the nearest.
    place = ops.arange(size + 1, dtype="int32")[None]
    number = _min_from(ops.where(ops.isfinite(nearest), place, size + 1)[:, 1:], size + 1)
    of_number = take_in_rows(
        ops.concatenate([nearest, farthest], axis=1), ops.cast(number, index_dtype())
    )
    is_filled = ops.isfinite(positives.ascending)
    excess = ops.where(is_filled, positives.ascending, 0.0) - of_number + margin
    return _SemiHard(nearer, nearest, number, ops.where(is_filled, ops.maximum(excess, 0.0), 0.0))


def _semi_hard_triplets(distances: Tensor, pairs: RowPairs, margin: float) -> tuple[Any, Any]:
    """Compares each positive with the nearest negative farther than it, or the farthest one."""
    is_negative = pairs.is_negative
    negatives = ops.where(is_negative, distances, float("inf"))
    farthest = ops.max(ops.where(is_negative, distances, 0.0), axis=1, keepdims=True, initial=0.0)
    share = 1.0 / ops.maximum(pairs.num_positives, 1.0)

    def part(positives: _Part, state: tuple[Tensor, Tensor, Tensor]) -> Any:
        losses, slopes, of_farthest = state
        size = positives.ascending.shape[1]
        found = _semi_hard(positives, negatives, farthest, margin)
        active = ops.cast(found.excess > 0, distances.dtype) * share
        uses = sum_in_rows(ops.cast(found.number, index_dtype()), active, size + 2)
        push = _push_nearest(negatives, found, uses[:, :-1])
        losses = losses + _row_sum(found.excess) * share
        slopes = positives.subtract(slopes + push, active)
        return losses, slopes, of_farthest + uses[:, -1:]

    zeros = ops.zeros_like(distances[:, :1])
    state = zeros, ops.zeros_like(distances), zeros
    losses, slopes, of_farthest = _for_each_part(distances, pairs, part, state)

    def push_farthest() -> Tensor:
        is_farthest = ops.cast(negatives == farthest, distances.dtype)
        return slopes + is_farthest * (of_farthest / ops.maximum(_row_sum(is_farthest), 1.0))

    return losses, ops.cond(ops.any(of_farthest > 0), push_farthest, lambda: slopes)


def _push_nearest(negatives: Tensor, found: _SemiHard, uses: Tensor) -> Any:
    """Spreads what the positives compared with a nearest negative count over the columns of it,
    `(rows, columns)`: several at equal distances share it.
    """
    is_negative = ops.isfinite(found.nearest)
    nearest = ops.where(is_negative, found.nearest, -1.0)
    is_nearest = ops.cast(negatives == take_in_rows(nearest, found.nearer), negatives.dtype)

    def shares() -> Tensor:
        return uses / ops.maximum(sum_in_rows(found.nearer, is_nearest, uses.shape[1]), 1.0)

    num_nearest = _row_sum(ops.cast(is_negative, negatives.dtype))
    has_ties = ops.any(_row_sum(is_nearest) > num_nearest)
    return is_nearest * take_in_rows(ops.cond(has_ties, shares, lambda: uses), found.nearer)


def _hardest_triplet(distances: Tensor, pairs: RowPairs, margin: float) -> tuple[Any, Any]:
    """Compares the farthest positive with the nearest negative."""
    is_positive, is_negative = pairs.is_positive, pairs.is_negative
    negatives = ops.where(is_negative, distances, float("inf"))
    farthest = ops.max(ops.where(is_positive, distances, 0.0), axis=1, keepdims=True, initial=0.0)
    nearest = ops.min(negatives, axis=1, keepdims=True, initial=float("inf"))
    excess = farthest - nearest + margin
    # Rows at equal distances share the slope.
    pull = ops.logical_and(is_positive, distances == farthest)
    push = ops.logical_and(is_negative, distances == nearest)
    pull, push = (ops.cast(mask, distances.dtype) for mask in (pull, push))
    slopes = push / ops.maximum(_row_sum(push), 1.0) - pull / ops.maximum(_row_sum(pull), 1.0)
    return ops.maximum(excess, 0.0), ops.where(excess > 0, slopes, 0.0)


def _row_sum(values: Tensor) -> Tensor:
    return ops.sum(values, axis=1, keepdims=True)


def _min_from(values: Tensor, largest: int) -> Any:
    """Returns the least of the values from each column on."""
    step, size = 1, values.shape[1]
    while step < size:
        beyond = ops.pad(values[:, step:], [(0, 0), (0, step)], constant_values=largest)
        values = ops.minimum(values, beyond)
        step *= 2
    return values


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

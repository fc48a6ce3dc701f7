"""Supervised contrastive loss (Khosla et al., 2020)."""

import functools
from typing import Any

import keras
from keras import ops

from keras_supcon.arguments import (
    check_bool,
    check_class_id_or_none,
    check_whole_number_or_none,
)
from keras_supcon.losses.function_loss import takes_options
from keras_supcon.losses.level_constraint import check_level_constraint, constrained_loss
from keras_supcon.losses.loss_contrast import loss_contrast
from keras_supcon.losses.options import checks_options, one_of
from keras_supcon.losses.positives import (
    TakesPositives,
    check_level_weights,
    check_positives,
    check_together,
    read_levels,
)
from keras_supcon.ops import Contrast
from keras_supcon.ops.weighted_contrast import Weight
from keras_supcon.typing import Tensor


def _check_together(
    *,
    summation: str,
    positives_cap: int | None,
    in_batch_keys: bool,
    ignore_class: int | None,
    self_supervised_class: int | None,
    positives: Any,
    level_constraint: bool,
    **options: Any,
) -> None:
    check_together(
        positives_cap=positives_cap,
        ignore_class=ignore_class,
        self_supervised_class=self_supervised_class,
        positives=positives,
        **options,
    )
    check_level_constraint(level_constraint, positives, summation)
    if self_supervised_class is not None and self_supervised_class == ignore_class:
        raise ValueError(
            "`self_supervised_class` should be another class than `ignore_class`. Received: "
            f"self_supervised_class={self_supervised_class} for both"
        )
    if positives_cap is not None and not in_batch_keys:
        raise ValueError(
            "`positives_cap` should be None with `in_batch_keys=False`. Received: "
            f"positives_cap={positives_cap}"
        )


@checks_options(
    _check_together,
    summation=one_of("out", "in"),
    denominator=one_of("all", "one_positive", "only_negatives"),
    contrast_mode=one_of("all", "one"),
    positives_cap=functools.partial(check_whole_number_or_none, at_least=0),
    self_supervised_class=check_class_id_or_none,
    positives=check_positives,
    level_weights=check_level_weights,
    level_constraint=check_bool,
)
def supcon_loss(
    y_true: Tensor,
    y_pred: Tensor,
    temperature: float | Tensor = 0.1,
    *,
    summation: str = "out",
    denominator: str = "all",
    contrast_mode: str = "all",
    positives_cap: int | None = None,
    scale_by_temperature: bool = False,
    normalize: bool = True,
    gather: bool = True,
    block_size: int | None = None,
    in_batch_keys: bool = True,
    trainable_keys: bool = False,
    ignore_class: int | None = None,
    self_supervised_class: int | None = None,
    positives: str | Weight = "class",
    level_weights: tuple[float, ...] | None = None,
    level_constraint: bool = False,
    keys: Tensor | None = None,
    queue: Tensor | None = None,
    queue_labels: Tensor | None = None,
    pair_weights: Tensor | None = None,
) -> Tensor:
    r"""Computes the supervised contrastive loss of each sample.

    With `z_i` the projection of row `i` (one view of one sample), `s_ij = z_i.z_j / tau`, `A(i)`
    all other rows, `P(i)` those of them with the class of `i` and `N(i)` those of other classes,
    the loss of an anchor is

        out, eq. 2:  -1/|P(i)| sum_{p in P(i)} log( exp(s_ip) / D_ip )
        in,  eq. 3:  -log( 1/|P(i)| sum_{p in P(i)} exp(s_ip) / D_ip )

    with one of the denominators

        all:             D_ip = sum_{a in A(i)} exp(s_ia), the paper's
        one_positive:    D_ip = exp(s_ip) + sum_{n in N(i)} exp(s_in)
        only_negatives:  D_ip = sum_{n in N(i)} exp(s_in), so that the loss may be negative

    and the loss of a sample is the mean over its anchor views. "in" is never above "out" (Jensen).

    With `keys` the anchors `z_i` are rows of `y_pred`, and `A(i)` holds all keys and the queue; the
    anchors themselves are no candidates. `P(i)` holds the keys of the anchor's own sample and the
    candidates of its class. This is the loss for a momentum encoder.

    Time grows with the square of the number of rows, memory only with their number. Pairs are
    visited tile by tile, once for the loss and once for the gradient, which for "all" is
    dL_i/dz_i = 1/tau sum_a z_a (softmax_a(s_i) - X_ia), with X_ip = 1/|P(i)| for "out" and the
    softmax over the positives for "in".

    Args:
        y_true: Class ids `(batch,)` or `(batch, 1)` below 2^31, or one-hot rows `(batch, classes)`.
            A class id of -1 means unlabeled: the only positives of such a sample are its own other
            views, with `keys` its own keys.
        y_pred: Projections `(batch, views, dim)`, or `(batch, dim)` for one view.
        temperature: tau, a float from 1e-15 to 1e15 or a scalar tensor, by which the loss can then
            be differentiated. The paper found 0.1 best.
        summation: `"out"` takes the mean over positives outside the logarithm, `"in"` inside.
        denominator: `"all"`, `"one_positive"` or `"only_negatives"`.
        contrast_mode: Views that act as anchors: `"all"`, or `"one"` for the first view of each
            sample. Both are contrasted with all views.
        positives_cap: Largest number of positives of an anchor in addition to its own views, a
            multiple of the number of views; None for no limit. The first samples of the class in
            batch order are kept, with all their views. The others leave the positives and the
            denominator "all", and never become negatives. 0 leaves the anchor's own views.
        scale_by_temperature: Multiplies the loss by the temperature, as the authors' code does.
        normalize: Scales the rows of `y_pred`, `keys` and `queue` to unit length first. Without it
            rows longer than 1e15 (times sqrt(tau) below tau = 1) are shortened to that.
        gather: Contrasts against the rows of all replicas under `tf.distribute`.
        block_size: Rows in a block; a few tiles of `block_size` x `block_size` pairs are in memory
            at a time. None for 1024.
        in_batch_keys: Whether an anchor is contrasted with the keys of other samples. False leaves
            its own keys and the queue, as MoCo does; `keys`, a `queue` and no `positives_cap` are
            then needed.
        trainable_keys: Whether `keys`, which are then needed, take a gradient, as where two
            encoders are trained by one another. Without it they are constants.
        ignore_class: A class id whose samples are left out of every sum, as anchors, positives and
            negatives, and have loss 0; None for no such id. -1 ignores unlabeled samples. Labels
            should then be ids.
        self_supervised_class: A class id whose samples have their own views as only positives, as
            unlabeled ones do; None for no such id. With that of the large one of two classes this
            is the Supervised Minority loss.
        positives: Kind of the labels, which decides how much a pair of samples counts as positive.
            `"class"` for class ids. `"multi_label"`, `"any"` and `"overlap"` for multi-hot rows
            `(batch, classes)`: the labels in common as a share of those of both samples (Jaccard),
            1 if there is one in common, and as a share of the labels of the sample that has fewer.
            `"soft"` for rows of probabilities: their inner product. `"hierarchy"` for class ids
            `(batch, levels)`, -1 for unknown: the sum of the weights of the levels in common. Or a
            function of the labels `(a, k)` and `(c, k)` of two blocks of samples that returns
            weights `(a, c)` of at least 0; a negative one makes the losses NaN.
        level_weights: A positive number for each level of `"hierarchy"`; None for 1.
        level_constraint: Whether each level of `"hierarchy"`, from coarse to fine, has a loss of
            its own, of which none counts as less than that of a finer level over the batch. Their
            mean, weighted by `level_weights`, takes the place of weights of pairs. The time is that
            of a loss for each level. Only with `summation="out"`.
        keys: Projections of another encoder, of the shape of `y_pred`, which then holds anchors
            only: the candidates in its stead. The keys of an anchor's own sample are positives,
            also of an unlabeled one, and none is left out as the anchor itself. None contrasts the
            rows of `y_pred` with one another.
        queue: Further candidates `(queue, dim)`, one view each, such as earlier projections. They
            take no gradient and are not gathered: under `tf.distribute` every replica should hold
            the same queue. For `positives_cap` they come after the batch, each a sample of its own.
        queue_labels: Class ids of the queue `(queue,)`; -1 for unlabeled, a negative of every
            anchor; any lower number for an empty slot, which counts for nothing, whatever its row
            holds. None for all unlabeled and no empty slot. With other kinds of labels rows like
            those of `y_true`; all of an empty slot are below -1, or NaN for a function of floats.
        pair_weights: Weights `(batch, batch)` of at least 0 in place of labels, which are then
            ignored: how much a sample, the row, has another one as its positive. Under
            `tf.distribute` columns are the samples of all replicas, and those of a `queue` follow.
            The diagonal is for other views of the same sample. None for labels.

    Returns:
        Float tensor `(batch,)`. An anchor without a positive gives 0, with `"only_negatives"` also
        an anchor without a negative.

    Raises:
        ValueError: If an argument is out of its range or the batch has another form.

    Reference:
        Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, equations 2 and 3. The other
        denominators and the limit on positives are options of the authors' code. Mildenberger et
        al., A Tale of Two Classes: Adapting Supervised Contrastive Learning to Binary Imbalanced
        Datasets, CVPR 2025, for `self_supervised_class`. Zhang et al., Use All the Labels: A
        Hierarchical Multi-Label Contrastive Learning Framework, CVPR 2022, for `level_constraint`.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.losses import supcon_loss
    >>> tetrahedron = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], "float32")
    >>> loss = supcon_loss([0, 0, 1, 1], tetrahedron)
    >>> print(np.asarray(loss).round(4))  # ln 3: all other rows are equally near
    [1.0986 1.0986 1.0986 1.0986]
    """
    if level_constraint:
        if pair_weights is not None:
            raise ValueError(
                "`pair_weights` should be None with level_constraint=True, which needs labels. "
                f"Received: pair_weights of shape {tuple(ops.shape(pair_weights))}"
            )
        of_classes = functools.partial(
            supcon_loss,
            y_pred=y_pred,
            temperature=temperature,
            denominator=denominator,
            contrast_mode=contrast_mode,
            scale_by_temperature=scale_by_temperature,
            normalize=normalize,
            gather=gather,
            block_size=block_size,
            in_batch_keys=in_batch_keys,
            trainable_keys=trainable_keys,
            keys=keys,
            queue=queue,
        )
        batch_size = ops.convert_to_tensor(y_pred).shape[0]
        return constrained_loss(
            lambda ids, of_queue: of_classes(ids, queue_labels=of_queue),
            read_levels(y_true, batch_size, level_weights, queue_labels),
            gather,
        )
    batch = loss_contrast(
        y_true,
        y_pred,
        temperature=temperature,
        normalize=normalize,
        gather=gather,
        block_size=block_size,
        contrast_mode=contrast_mode,
        positives_cap=positives_cap,
        in_batch_keys=in_batch_keys,
        trainable_keys=trainable_keys,
        ignore_class=ignore_class,
        self_supervised_class=self_supervised_class,
        keys=keys,
        queue=queue,
        queue_labels=queue_labels,
        positives=positives,
        level_weights=level_weights,
        pair_weights=pair_weights,
    )
    loss = anchor_losses(batch, summation, denominator)
    is_defined = batch.num_positives > 0
    if denominator != "all":
        # Without a negative the loss is 0 for "one_positive" and has no lower bound for
        # "only_negatives".
        is_defined = ops.logical_and(is_defined, batch.num_negatives > 0)
    loss = batch.sample_losses(loss, is_defined)
    return loss * ops.cast(temperature, loss.dtype) if scale_by_temperature else loss


def anchor_losses(batch: Contrast, summation: str = "out", denominator: str = "all") -> Tensor:
    """Computes SupCon of each anchor.

    Args:
        batch: The batch.
        summation: As for `supcon_loss`.
        denominator: As for `supcon_loss`.

    Returns:
        Float tensor `(anchors,)`, without meaning for anchors without a positive, and but for the
        denominator "all" for those without a negative.
    """
    if denominator == "one_positive":
        return one_positive_loss(batch, summation)
    log_denominator = batch.log_sum_exp(
        batch.candidates if denominator == "all" else batch.negatives
    )
    if summation == "out":
        return log_denominator - batch.positive_mean()
    return log_denominator - batch.log_sum_exp(batch.positives) + ops.log(batch.positive_divisor)


def one_positive_loss(batch: Contrast, summation: str = "out", epsilon: float = 0.0) -> Tensor:
    """Computes the loss of anchors whose denominators have negatives and one positive.

    With `n_i = epsilon + log sum_{n in N(i)} exp(s_in)` the share of a positive, `exp(s_ip) /
    (exp(s_ip - epsilon) + sum_n exp(s_in))`, is `exp(epsilon) sigmoid(s_ip - n_i)`.

    Args:
        batch: The batch.
        summation: Whether the mean over positives is `"out"` or `"in"` the logarithm.
        epsilon: Margin of the logits.

    Returns:
        Float tensor `(anchors,)`, without meaning for anchors without a positive or a negative.
    """
    log_negatives = batch.log_sum_exp(batch.negatives) + epsilon
    # As one more dimension of the rows, n_i takes its gradient as they do.
    margins = {
        "anchor_features": lambda rows: ops.concatenate([rows, -log_negatives[:, None]], axis=1),
        "contrast_features": lambda rows: ops.concatenate(
            [rows, ops.ones_like(rows[:, :1])], axis=1
        ),
    }
    if summation == "out":
        total = batch.pair_sum(
            batch.positives,
            lambda margin, _: ops.softplus(-margin),
            lambda margin, _: -ops.sigmoid(-margin),
            **margins,
        )
        return total / batch.positive_divisor - epsilon
    largest = batch.pair_max(batch.positives)
    largest = ops.where(ops.isfinite(largest), largest, ops.zeros_like(largest))
    # Shares are divided by the largest one, so that a sum of tiny shares does not vanish.
    log_largest_share = ops.stop_gradient(ops.log_sigmoid(largest - log_negatives))

    def relative_share(margin: Tensor, log_largest: Tensor) -> Tensor:
        return ops.exp(ops.minimum(ops.log_sigmoid(margin) - log_largest, 0.0))

    total = batch.pair_sum(
        batch.positives,
        relative_share,
        lambda margin, log_largest: relative_share(margin, log_largest) * ops.sigmoid(-margin),
        parameter=log_largest_share,
        **margins,
    )
    total = ops.where(total > 0, total, ops.ones_like(total))
    return ops.log(batch.positive_divisor) - log_largest_share - ops.log(total) - epsilon


@keras.saving.register_keras_serializable(package="keras_supcon")
class SupConLoss(TakesPositives):
    """Supervised contrastive loss as a Keras loss; see `supcon_loss` for the formulas.

    Works in `compile(loss=...)` of any model whose output is `(batch, dim)` or `(batch, views,
    dim)`, with sample weights, mixed precision and `tf.distribute`. Replicas that share a batch
    equally (`drop_remainder=True`) have the loss and gradient of one replica on the global batch.
    Memory grows with the batch, not with its square. A model with a momentum encoder calls the loss
    in its `compute_loss`, with `keys` and a `queue`.

    Args:
        temperature: tau, a float from 1e-15 to 1e15.

    Raises:
        ValueError: If an argument is out of its range, or a batch has another form.

    Reference:
        Khosla et al., Supervised Contrastive Learning, NeurIPS 2020.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> loss = keras_supcon.SupConLoss(temperature=0.5)
    >>> projections = np.array([[[1, 0], [1, 0]], [[0, 1], [0, 1]]], "float32")  # two views each
    >>> round(float(loss([0, 1], projections)), 4)  # log(e^2 + 2) - 2
    0.2395
    >>> keys, queue = projections[:, :1], np.array([[0, 1], [1, 0]], "float32")
    >>> value = loss([0, 1], projections[:, :1], keys=keys, queue=queue, queue_labels=[1, -2])
    >>> round(float(value), 4)  # the second slot is empty: log(e^2 + 2) - 2, log(2 e^2 + 1) - 2
    0.4991
    """

    function = staticmethod(supcon_loss)

    @takes_options
    def __init__(
        self,
        temperature: float = 0.1,
        *,
        summation: str = "out",
        denominator: str = "all",
        contrast_mode: str = "all",
        positives_cap: int | None = None,
        scale_by_temperature: bool = False,
        normalize: bool = True,
        gather: bool = True,
        block_size: int | None = None,
        in_batch_keys: bool = True,
        trainable_keys: bool = False,
        ignore_class: int | None = None,
        self_supervised_class: int | None = None,
        positives: str | Weight = "class",
        level_weights: tuple[float, ...] | None = None,
        level_constraint: bool = False,
        reduction: str | None = "sum_over_batch_size",
        name: str = "supcon_loss",
        dtype: Any = None,
    ) -> None: ...

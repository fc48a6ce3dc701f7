"""Distillation of the relations within a batch (Cha et al., 2021)."""

import functools
from typing import Any

import keras
from keras import ops

from keras_supcon.losses.function_loss import takes_options
from keras_supcon.losses.loss_contrast import loss_contrast
from keras_supcon.losses.options import checks_options
from keras_supcon.losses.target_loss import TargetLoss
from keras_supcon.losses.temperature import check_number_of_temperature
from keras_supcon.ops.contrast import exp_shifted
from keras_supcon.ops.standardize import standardize_projections
from keras_supcon.typing import Tensor


@checks_options(
    student_temperature=check_number_of_temperature,
    teacher_temperature=check_number_of_temperature,
)
def relation_distillation_loss(
    y_true: Tensor,
    y_pred: Tensor,
    student_temperature: float = 0.2,
    teacher_temperature: float = 0.01,
    *,
    normalize: bool = True,
    gather: bool = True,
    block_size: int | None = None,
) -> Tensor:
    """Computes Co2L's distillation of each sample, from similarities to all others of the batch.

    With the rows `t` of a teacher and `z` of a student, and their softmax over all other rows

        p_ij(t, kappa) = exp(t_i.t_j / kappa) / sum_{k != i} exp(t_i.t_k / kappa)

    the loss of row `i` is the cross-entropy of the student relative to the teacher

        L_i = - sum_{j != i} p_ij(t, kappa*) log p_ij(z, kappa)
            = log sum_{k != i} exp(z_i.z_k / kappa) - sum_{j != i} p_ij(t, kappa*) z_i.z_j / kappa

    averaged over the views of a sample. It is at least the entropy of the teacher's `p_i`, and
    grows with it. Labels play no part. Time grows with the square of the number of rows, memory
    with their number alone.

    Args:
        y_true: Rows of the teacher, `(batch, views, dim)`, or `(batch, dim)` for one view, without
            gradient.
        y_pred: Rows of the student for the same samples and views. Their `dim` may be another.
        student_temperature: kappa, from 1e-15 to 1e15.
        teacher_temperature: kappa*, from 1e-15 to 1e15. A low one keeps the nearest neighbors
            alone.
        normalize: Scales rows to unit length first. Without it rows longer than 1e15 (times the
            root of their temperature below 1) are shortened to that.
        gather: Relates rows to those of all replicas under `tf.distribute`.
        block_size: Rows in a block; a few tiles of `block_size` x `block_size` pairs are in memory
            at a time. None for 1024.

    Returns:
        Float tensor `(batch,)`, float32 for rows of half precision. A row alone gives 0. NaN or
        infinity in one row makes the losses of the whole batch NaN.

    Raises:
        ValueError: If an argument is out of its range, or samples or views differ in number.

    Reference:
        Cha et al., Co2L: Contrastive Continual Learning, ICCV 2021, equations 11 to 13.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.losses import relation_distillation_loss
    >>> teacher = np.array([[1, 0], [1, 0], [0, 1]], "float32")
    >>> loss = relation_distillation_loss(teacher, np.ones((3, 4), "float32"))
    >>> print(np.asarray(loss).round(4))  # log 2: the student has all rows equally near
    [0.6931 0.6931 0.6931]
    """
    targets, rows = standardize_projections(y_true, "y_true"), standardize_projections(y_pred)
    shapes = tuple(targets.shape[:2]), tuple(rows.shape[:2])
    if any(None not in sizes and len({*sizes}) > 1 for sizes in zip(*shapes, strict=True)):
        raise ValueError(
            "`y_true` should have the samples and views of `y_pred`. Received: y_true of (batch, "
            f"views, dim) {tuple(targets.shape)}, y_pred of {tuple(rows.shape)}"
        )
    # Each sample is a class by itself.
    contrast = functools.partial(
        loss_contrast,
        ops.full((ops.shape(rows)[0],), -1, dtype="int32"),
        normalize=normalize,
        gather=gather,
        block_size=block_size,
    )
    teacher = contrast(ops.stop_gradient(targets), temperature=teacher_temperature)
    student = contrast(rows, temperature=student_temperature)
    others = student.candidates
    # Not by the logarithm of the total: added to logits of up to 1 / kappa* it would be rounded.
    total, shift = teacher.exp_sum(others)
    weighted = student.pair_sum(
        others,
        lambda logit, _: logit,
        lambda logit, _: ops.ones_like(logit),
        weightings=teacher.weightings(exp_shifted, shift),
    )
    has_others = total > 0
    total = ops.cast(ops.where(has_others, total, ops.ones_like(total)), weighted.dtype)
    losses = student.log_sum_exp(others) - weighted / total
    return student.sample_losses(losses, has_others) * ops.cast(
        teacher.nan_unless_finite, losses.dtype
    )


@keras.saving.register_keras_serializable(package="keras_supcon")
class RelationDistillationLoss(TargetLoss):
    """Co2L's distillation as a Keras loss of teacher and student; see `relation_distillation_loss`.

    Raises:
        ValueError: If an argument is out of its range, or samples or views differ in number.

    Reference:
        Cha et al., Co2L: Contrastive Continual Learning, ICCV 2021, equations 11 to 13.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> loss = keras_supcon.losses.RelationDistillationLoss(student_temperature=1.0)
    >>> rows = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], "float32")
    >>> round(float(loss(rows, rows)), 4)  # log(e + 2) - 1
    0.5514
    """

    function = staticmethod(relation_distillation_loss)

    @takes_options
    def __init__(
        self,
        student_temperature: float = 0.2,
        teacher_temperature: float = 0.01,
        *,
        normalize: bool = True,
        gather: bool = True,
        block_size: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str = "relation_distillation_loss",
        dtype: Any = None,
    ) -> None: ...

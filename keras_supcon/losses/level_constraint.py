"""The constraint between the levels of a hierarchy (Zhang et al., 2022)."""

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_supcon.distribution.gather import whole_batch_mean
from keras_supcon.losses.positives import Levels
from keras_supcon.typing import Tensor


def check_level_constraint(level_constraint: bool, positives: Any, summation: str) -> None:
    """Checks the options that the constraint goes with.

    Raises:
        ValueError: If they do not go together.
    """
    if level_constraint and (positives != "hierarchy" or summation != "out"):
        raise ValueError(
            "`level_constraint` should be False but with positives='hierarchy' and "
            f"summation='out'. Received: level_constraint=True, positives={positives!r}, "
            f"summation={summation!r}"
        )


def constrained_loss(
    level_loss: Callable[[Tensor, Tensor | None], Tensor], levels: Levels, gather: bool
) -> Tensor:
    """Combines the losses of the levels, of which none counts as less than that of a finer one.

    With the loss of a level `L_l` and its weight `lambda_l`, from coarse to fine:

        L = sum_l lambda_l max(L_l, L_{l+1}, ..) / sum_l lambda_l

    The largest level loss of each maximum is chosen by the means over the batch. The samples then
    have their losses of that level, so that the mean over samples is `L`, and gradient flows
    through that level alone. At equal losses it is the coarser one.

    Args:
        level_loss: Function of the class ids of a level `(batch,)`, and of the queue, that returns
            the losses of samples `(batch,)`.
        levels: The levels.
        gather: Whether the means are those of the batch of all replicas.

    Returns:
        Float tensor `(batch,)`.
    """
    losses = [
        level_loss(
            levels.labels[:, level],
            None if levels.queue_labels is None else levels.queue_labels[:, level],
        )
        for level in range(levels.labels.shape[1])
    ]
    losses = ops.stack(losses)
    means = whole_batch_mean(losses) if gather else ops.mean(ops.stop_gradient(losses), axis=1)
    return ops.sum(_shares(means, levels.weights)[:, None] * losses, axis=0)


def _shares(means: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Returns how much each level counts, `(levels,)` with the sum 1."""
    is_level = ops.eye(len(weights), dtype=means.dtype)
    largest, chosen, total = means[-1], is_level[-1], 0.0
    for level in reversed(range(len(weights))):
        is_larger = means[level] >= largest
        chosen = ops.where(is_larger, is_level[level], chosen)
        largest = ops.where(is_larger, means[level], largest)
        total = total + weights[level] / sum(weights) * chosen
    return total

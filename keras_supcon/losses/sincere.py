"""Supervised InfoNCE (Feeney and Hughes, 2023), and with a margin (Barbano et al., 2023)."""

import functools
from typing import Any

import keras
from keras import ops

from keras_supcon.arguments import check_not_negative
from keras_supcon.losses.function_loss import takes_options
from keras_supcon.losses.loss_contrast import loss_contrast
from keras_supcon.losses.options import checks_options, described_by, one_of
from keras_supcon.losses.positives import (
    TakesPositives,
    check_level_weights,
    check_positives,
    check_together,
)
from keras_supcon.losses.supcon import one_positive_loss, supcon_loss
from keras_supcon.ops.weighted_contrast import Weight
from keras_supcon.typing import Tensor

# Beyond it the share of a positive is 1 in float32, whatever its negatives.
_LARGEST_EPSILON = 40.0


@described_by(supcon_loss)
@checks_options(
    check_together,
    epsilon=functools.partial(check_not_negative, high=_LARGEST_EPSILON),
    contrast_mode=one_of("all", "one"),
    positives=check_positives,
    level_weights=check_level_weights,
)
def sincere_loss(
    y_true: Tensor,
    y_pred: Tensor,
    temperature: float | Tensor = 0.1,
    *,
    epsilon: float = 0.0,
    contrast_mode: str = "all",
    normalize: bool = True,
    gather: bool = True,
    block_size: int | None = None,
    in_batch_keys: bool = True,
    trainable_keys: bool = False,
    ignore_class: int | None = None,
    positives: str | Weight = "class",
    level_weights: tuple[float, ...] | None = None,
    keys: Tensor | None = None,
    queue: Tensor | None = None,
    queue_labels: Tensor | None = None,
    pair_weights: Tensor | None = None,
) -> Tensor:
    r"""Computes the supervised InfoNCE loss of each sample, whose positives never repel.

    With `s_ij = z_i.z_j / tau`, `P(i)` the rows of the class of anchor `i` and `N(i)` those of
    other classes:

        L_i = -1/|P(i)| sum_{p in P(i)} log( exp(s_ip) / (exp(s_ip - epsilon) + D_i) ),
        D_i = sum_{n in N(i)} exp(s_in)

    averaged over the anchor views of a sample. In `supcon_loss` the other positives of an anchor
    are in the denominator too, so that a positive that is near pushes the others away. With
    `epsilon=0` this is SINCERE, and `supcon_loss` with `denominator="one_positive"`. A positive
    `epsilon` asks for logits of positives that are by so much larger than those of negatives; the
    loss is then at least `-epsilon`.

    Args:
        epsilon: Margin of the logits, from 0 to 40: `epsilon * tau` is one of cosines.

    Returns:
        Float tensor `(batch,)`. An anchor without a positive or without a negative gives 0.

    Raises:
        ValueError: If an argument is out of its range or the batch has another form.

    Reference:
        Feeney and Hughes, SINCERE: Supervised Information Noise-Contrastive Estimation REvisited,
        2023; Barbano et al., Unbiased Supervised Contrastive Learning, ICLR 2023, for `epsilon`.
        The code of the latter adds 1e-6 in the logarithm, which is left out here.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.losses import sincere_loss
    >>> tetrahedron = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], "float32")
    >>> loss = sincere_loss([0, 0, 0, 1], tetrahedron)
    >>> print(np.asarray(loss).round(4))  # ln 2: a positive and the one negative are equally near
    [0.6931 0.6931 0.6931 0.    ]
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
        positives=positives,
        level_weights=level_weights,
        pair_weights=pair_weights,
    )
    loss = one_positive_loss(batch, epsilon=epsilon)
    is_defined = ops.logical_and(batch.num_positives > 0, batch.num_negatives > 0)
    return batch.sample_losses(loss, is_defined)


@keras.saving.register_keras_serializable(package="keras_supcon")
class SINCERELoss(TakesPositives):
    """Supervised InfoNCE as a Keras loss; see `sincere_loss` for the formula.

    Args:
        temperature: tau, a float from 1e-15 to 1e15.

    Raises:
        ValueError: If an argument is out of its range, or a batch has another form.

    Reference:
        Feeney and Hughes, SINCERE: Supervised Information Noise-Contrastive Estimation REvisited,
        2023.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> loss = keras_supcon.SINCERELoss(temperature=1.0)
    >>> projections = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], "float32")
    >>> round(float(loss([0, 0, 0, 1], projections)), 4)  # 3/4 log(1 + 1/e)
    0.2349
    """

    function = staticmethod(sincere_loss)

    @takes_options
    def __init__(
        self,
        temperature: float = 0.1,
        *,
        epsilon: float = 0.0,
        contrast_mode: str = "all",
        normalize: bool = True,
        gather: bool = True,
        block_size: int | None = None,
        in_batch_keys: bool = True,
        trainable_keys: bool = False,
        ignore_class: int | None = None,
        positives: str | Weight = "class",
        level_weights: tuple[float, ...] | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str = "sincere_loss",
        dtype: Any = None,
    ) -> None: ...

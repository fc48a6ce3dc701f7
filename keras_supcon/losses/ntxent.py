"""Normalised temperature-scaled cross-entropy (Chen et al., 2020)."""

from typing import Any

import keras
from keras import ops

from keras_supcon.arguments import check_whole_number_or_none
from keras_supcon.losses.base import ContrastiveLoss
from keras_supcon.losses.supcon import supcon_loss
from keras_supcon.losses.temperature import check_temperature_number
from keras_supcon.ops import convert_rows


def ntxent_loss(
    y_true: Any,
    y_pred: Any,
    temperature: Any = 0.1,
    *,
    normalize: bool = True,
    gather: bool = True,
    block_size: int | None = None,
    queue: Any = None,
) -> Any:
    """SimCLR's loss of each sample: the positives of a view are the other views of its own sample.

    For two views, with `k(i)` the other view of row `i` and `A(i)` all rows but `i`:

        L_i = -log( exp(z_i.z_k(i) / tau) / sum_{a in A(i)} exp(z_i.z_a / tau) )

    averaged over the views of a sample. With more views it is the mean over the other views. It is
    `supcon_loss` of samples that are each a class of its own, and equals it where every anchor has
    one positive. keras-cv, TensorFlow Similarity and SimCLR's second TensorFlow code return twice
    this value.

    Args:
        y_true: Ignored; may be None.
        y_pred: Projections `(batch, views, dim)`. With one view there is no positive and the loss
            is 0.
        temperature: tau, a float from 1e-15 to 1e15 or a scalar tensor, by which the loss can then
            be differentiated.
        normalize: Scales the rows of `y_pred` and `queue` to unit length first.
        gather: Contrasts against the rows of all replicas under `tf.distribute`.
        block_size: Rows in a block of the pairwise computation; None picks it.
        queue: Further negatives `(queue, dim)`, which take no gradient.

    Returns:
        Float tensor `(batch,)`.

    Raises:
        ValueError: For an argument out of its range or projections of another form.

    Reference:
        Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, ICML
        2020, equation 1.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.losses import ntxent_loss
    >>> views = np.array([[[1, 0], [1, 0]], [[0, 1], [0, 1]]], "float32")
    >>> print(np.asarray(ntxent_loss(None, views, temperature=0.5)).round(4))  # log(e^2 + 2) - 2
    [0.2395 0.2395]
    """
    y_pred = convert_rows(y_pred)
    return supcon_loss(
        ops.full(ops.shape(y_pred)[:1], -1, dtype="int32"),
        y_pred,
        temperature,
        normalize=normalize,
        gather=gather,
        block_size=block_size,
        queue=queue,
    )


@keras.saving.register_keras_serializable(package="keras_supcon")
class NTXentLoss(ContrastiveLoss):
    """SimCLR's loss as a Keras loss; see `ntxent_loss`. Labels are ignored.

    Args:
        temperature: Float from 1e-15 to 1e15.
        normalize: Scales the rows of `y_pred` to unit length first.
        gather: Contrasts against the rows of all replicas under `tf.distribute`.
        block_size: Rows in a block of the pairwise computation; None picks it.
        reduction: As in `keras.losses.Loss`.
        name: Name of the loss.
        dtype: Dtype of the computation; `keras.config.floatx()` if None. Half precision becomes
            float32.

    Raises:
        ValueError: For an argument out of its range.

    Reference:
        Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, ICML
        2020, equation 1.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> views = np.array([[[1, 0], [1, 0]], [[0, 1], [0, 1]]], "float32")
    >>> round(float(keras_supcon.NTXentLoss(temperature=0.5)([7, 7], views)), 4)
    0.2395
    """

    uses_labels = False

    def __init__(
        self,
        temperature: float = 0.1,
        *,
        normalize: bool = True,
        gather: bool = True,
        block_size: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str = "ntxent_loss",
        dtype: Any = None,
    ) -> None:
        check_temperature_number(temperature)
        check_whole_number_or_none("block_size", block_size, at_least=1)
        super().__init__(
            ntxent_loss,
            temperature=float(temperature),
            normalize=normalize,
            gather=gather,
            block_size=block_size,
            reduction=reduction,
            name=name,
            dtype=dtype,
        )

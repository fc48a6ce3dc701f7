"""Normalized temperature-scaled cross-entropy (Chen et al., 2020)."""

from typing import Any

import keras
from keras import ops

from keras_supcon.losses.base import ContrastiveLoss
from keras_supcon.losses.function_loss import takes_options
from keras_supcon.losses.options import checks_options
from keras_supcon.losses.supcon import supcon_loss
from keras_supcon.ops.standardize import (
    standardize_keys,
    standardize_labels,
    standardize_projections,
)
from keras_supcon.typing import Tensor


@checks_options()
def ntxent_loss(
    y_true: Tensor,
    y_pred: Tensor,
    temperature: float | Tensor = 0.1,
    *,
    normalize: bool = True,
    gather: bool = True,
    block_size: int | None = None,
    in_batch_keys: bool = True,
    trainable_keys: bool = False,
    keys: Tensor | None = None,
    queue: Tensor | None = None,
    queue_labels: Tensor | None = None,
) -> Tensor:
    """Computes SimCLR's loss of each sample, with its own other views as positives of a view.

    For two views, with `k(i)` the other view of row `i` and `A(i)` all rows but `i`:

        L_i = -log( exp(z_i.z_k(i) / tau) / sum_{a in A(i)} exp(z_i.z_a / tau) )

    averaged over the views of a sample. With more views it is the mean over the other views. It is
    `supcon_loss` with every sample as a class of its own, and equals `supcon_loss` where every
    anchor has one positive. keras-cv, TensorFlow Similarity and SimCLR's second TensorFlow code
    return twice this value.

    With `keys` it is the cross-entropy of the key in the anchor's own place among all keys and the
    queue, as in MoCo v3. `in_batch_keys=False` leaves the own key and the queue, as in MoCo v1 and
    v2.

    Args:
        y_true: Ignored; may be None.
        y_pred: Projections `(batch, views, dim)`. With one view there is no positive and the loss
            is 0.
        temperature: tau, a float from 1e-15 to 1e15 or a scalar tensor, by which the loss can then
            be differentiated.
        normalize: Scales the rows of `y_pred`, `keys` and `queue` to unit length first.
        gather: Contrasts against the rows of all replicas under `tf.distribute`.
        block_size: Rows in a block of the pairwise computation; None picks it.
        in_batch_keys: Whether the keys of other rows are negatives. Without them `keys` and a
            `queue` are needed.
        trainable_keys: Whether `keys`, which are then needed, take a gradient, as in CLIP, where
            two encoders are trained by one another. Without it they are constants.
        keys: Projections of another encoder, of the shape of `y_pred`. The key in an anchor's own
            place is its only positive. All others are negatives, also those of other views of its
            sample: call the loss on one view at a time to leave them out. None contrasts the rows
            of `y_pred` with one another.
        queue: Further negatives `(queue, dim)`, without gradient; None for none. They are not
            gathered: under `tf.distribute` every replica should hold the same queue.
        queue_labels: Integers `(queue,)`, below -1 for an empty slot, which counts for nothing,
            whatever its row holds. None for no empty slot.

    Returns:
        Float tensor `(batch,)`.

    Raises:
        ValueError: If an argument is out of its range or the projections have another form.

    Reference:
        Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, ICML
        2020, equation 1; He et al., Momentum Contrast, CVPR 2020, equation 1.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.losses import ntxent_loss
    >>> views = np.array([[[1, 0], [1, 0]], [[0, 1], [0, 1]]], "float32")
    >>> print(np.asarray(ntxent_loss(None, views, temperature=0.5)).round(4))  # log(e^2 + 2) - 2
    [0.2395 0.2395]
    """
    projections = standardize_projections(y_pred)
    _, views, dim = projections.shape
    if keys is not None:
        # The key in the own place is the only positive: every row is a sample of its own.
        keys = ops.reshape(standardize_keys(keys, projections), (-1, 1, dim))
        projections = ops.reshape(projections, (-1, 1, dim))
    if queue_labels is not None:
        # Every row is a negative, but for empty slots.
        queue_labels = standardize_labels(queue_labels, name="queue_labels")
        queue_labels = ops.minimum(queue_labels, -1)
    loss = supcon_loss(
        ops.full(ops.shape(projections)[:1], -1, dtype="int32"),
        projections,
        temperature,
        normalize=normalize,
        gather=gather,
        block_size=block_size,
        in_batch_keys=in_batch_keys,
        trainable_keys=trainable_keys,
        keys=keys,
        queue=queue,
        queue_labels=queue_labels,
    )
    return loss if keys is None else ops.mean(ops.reshape(loss, (-1, views)), axis=1)


@keras.saving.register_keras_serializable(package="keras_supcon")
class NTXentLoss(ContrastiveLoss):
    """SimCLR's loss as a Keras loss; see `ntxent_loss`. Labels are ignored.

    Args:
        temperature: tau, a float from 1e-15 to 1e15.

    Raises:
        ValueError: If an argument is out of its range.

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

    function = staticmethod(ntxent_loss)

    @takes_options
    def __init__(
        self,
        temperature: float = 0.1,
        *,
        normalize: bool = True,
        gather: bool = True,
        block_size: int | None = None,
        in_batch_keys: bool = True,
        trainable_keys: bool = False,
        reduction: str | None = "sum_over_batch_size",
        name: str = "ntxent_loss",
        dtype: Any = None,
    ) -> None: ...

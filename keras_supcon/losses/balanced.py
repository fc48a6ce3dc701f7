"""Supervised contrastive losses for classes of different sizes (Zhu et al., 2022)."""

from typing import Any, ClassVar

import keras

from keras_supcon.losses.base import ContrastiveLoss
from keras_supcon.losses.function_loss import takes_options
from keras_supcon.losses.loss_contrast import loss_contrast
from keras_supcon.losses.options import checks_options, described_by, one_of
from keras_supcon.losses.supcon import supcon_loss
from keras_supcon.typing import Tensor


@described_by(supcon_loss)
@checks_options(contrast_mode=one_of("all", "one"))
def balanced_supcon_loss(
    y_true: Tensor,
    y_pred: Tensor,
    temperature: float | Tensor = 0.1,
    *,
    contrast_mode: str = "all",
    normalize: bool = True,
    gather: bool = True,
    block_size: int | None = None,
    in_batch_keys: bool = True,
    trainable_keys: bool = False,
    ignore_class: int | None = None,
    keys: Tensor | None = None,
    queue: Tensor | None = None,
    queue_labels: Tensor | None = None,
    centers: Tensor | None = None,
) -> Tensor:
    r"""Computes the balanced contrastive loss of each sample, to which all classes count alike.

    With `s_ij = z_i.z_j / tau`, `B_c(i)` the candidates of class `c` without anchor `i` itself, and
    `P(i)` those of its own class:

        L_i = -1/|P(i)| sum_{p in P(i)} s_ip + log sum_c 1/|B_c(i)| sum_{j in B_c(i)} exp(s_ij)

    averaged over the anchor views of a sample. The sum runs over the classes that have a candidate.
    In `supcon_loss` a class enters the denominator by the number of its rows, so that few large
    classes push all others together. `centers` are candidates too, one of each class, so that every
    class is in every batch. Where all `|B_c(i)|` are equal, this is `supcon_loss` minus their
    logarithm.

    Args:
        y_true: Class ids `(batch,)` or `(batch, 1)`, -1 for unlabeled, a class of its own, or
            one-hot rows `(batch, classes)`. With `centers` ids are below their number.
        centers: A row for each class `(classes, dim)`, with gradient, such as
            `layers.ClassCenters` learns; row c is of class c. None for none.

    Returns:
        Float tensor `(batch,)`. An anchor without a positive gives 0. Without a negative the loss
        is that of positives at different distances, at least 0.

    Raises:
        ValueError: If an argument is out of its range or the batch has another form.

    Reference:
        Zhu et al., Balanced Contrastive Learning for Long-Tailed Visual Recognition, CVPR 2022,
        equation 4, in the form of the authors' code: the sizes of classes count the center.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.losses import balanced_supcon_loss
    >>> tetrahedron = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], "float32")
    >>> loss = balanced_supcon_loss([0, 0, 1, 1], tetrahedron)
    >>> print(np.asarray(loss).round(4))  # ln 2, of two classes that are equally near
    [0.6931 0.6931 0.6931 0.6931]
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
        centers=centers,
    )
    loss = batch.log_class_mean_exp() - batch.positive_mean()
    return batch.sample_losses(loss, batch.num_positives > 0)


@keras.saving.register_keras_serializable(package="keras_supcon")
class BalancedSupConLoss(ContrastiveLoss):
    """Balanced contrastive loss as a Keras loss; see `balanced_supcon_loss` for the formula.

    The paper trains it with learned centers of the classes beside a logit-adjusted cross-entropy:
    `ContrastiveModel(encoder, class_centers=10, classifier=10, class_counts=counts)`.

    Args:
        temperature: tau, a float from 1e-15 to 1e15.

    Raises:
        ValueError: If an argument is out of its range, or a batch has another form.

    Reference:
        Zhu et al., Balanced Contrastive Learning for Long-Tailed Visual Recognition, CVPR 2022.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> loss = keras_supcon.BalancedSupConLoss(temperature=0.5)
    >>> projections = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [0, 1]], "float32")
    >>> round(float(loss([0, 0, 0, 1, 1], projections)), 4)  # log(1 + e^-2), whatever the sizes
    0.1269
    >>> centers = np.array([[1, 0], [0, 1], [-1, 0]], "float32")
    >>> round(float(loss([0, 0, 0, 1, 1], projections, centers=centers)), 4)
    0.1816
    """

    function = staticmethod(balanced_supcon_loss)
    inputs: ClassVar[tuple[str, ...]] = ("centers",)

    @takes_options
    def __init__(
        self,
        temperature: float = 0.1,
        *,
        contrast_mode: str = "all",
        normalize: bool = True,
        gather: bool = True,
        block_size: int | None = None,
        in_batch_keys: bool = True,
        trainable_keys: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str = "balanced_supcon_loss",
        dtype: Any = None,
    ) -> None: ...

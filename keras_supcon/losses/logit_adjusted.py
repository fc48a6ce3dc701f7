"""Cross-entropy for classes of different sizes (Menon et al., 2021)."""

import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_supcon.arguments import check_bool, check_not_negative, check_numbers
from keras_supcon.losses.function_loss import FunctionLoss, takes_options
from keras_supcon.losses.options import checks_options
from keras_supcon.ops import standardize_labels
from keras_supcon.ops.normalization import convert_rows
from keras_supcon.ops.standardize import check_as_many_rows
from keras_supcon.typing import Tensor

_LARGEST_COUNT = 1e15
_SMALLEST_PROBABILITY = 1e-37  # of float32, that is not taken for 0


def check_class_counts(name: str, value: Any) -> tuple[float, ...]:
    """Returns the sizes of at least two classes.

    Raises:
        ValueError: If they are something else, or not positive.
    """
    counts = check_numbers(name, value, 1)
    if max(counts) > _LARGEST_COUNT:
        raise ValueError(
            f"`{name}` should hold sizes up to {_LARGEST_COUNT:g}. Received: {name}={value!r}"
        )
    if len(counts) < 2:
        raise ValueError(
            f"`{name}` should hold the sizes of at least two classes. Received: {name}={value!r}"
        )
    return counts


def log_priors(class_counts: Sequence[float]) -> np.ndarray:
    """Returns the logarithms of the shares of the classes, float32 `(classes,)`."""
    counts = np.asarray(class_counts, "float64")
    return np.log(counts / counts.sum()).astype("float32")


def adjusted_logits(logits: Tensor, class_counts: Sequence[float], strength: float = 1.0) -> Tensor:
    """Returns logits `(..., classes)` plus the logarithms of the shares of the classes."""
    priors = strength * log_priors(class_counts)
    return logits + ops.convert_to_tensor(priors, dtype=logits.dtype)


def cross_entropy(labels: Tensor, logits: Tensor) -> Tensor:
    """Returns the cross-entropy of each row, 0 for one without a label.

    Args:
        labels: Class ids `(...)`, -1 for unlabeled.
        logits: `(..., classes)`. Minus infinity leaves out a class.
    """
    shares = ops.log_softmax(logits, axis=-1)
    is_own = ops.one_hot(labels, logits.shape[-1], dtype=logits.dtype) > 0  # nowhere for -1
    return -ops.sum(ops.where(is_own, shares, ops.zeros_like(shares)), axis=-1)


@checks_options(
    class_counts=check_class_counts,
    strength=functools.partial(check_not_negative, high=100),
    from_logits=check_bool,
)
def logit_adjusted_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    class_counts: Sequence[float],
    *,
    strength: float = 1.0,
    from_logits: bool = True,
) -> Tensor:
    r"""Computes the cross-entropy of each sample, with logits that know the sizes of the classes.

    With `n_c` the samples of class `c` in training and `x` the logits of a sample of class `y`:

        L = -log( exp(x_y + strength log n_y) / sum_c exp(x_c + strength log n_c) )

    So the logits themselves need not learn that large classes are likely: their largest one
    is the prediction for classes of the same size. `strength=0` is cross-entropy.

    Args:
        y_true: Class ids `(batch,)` or `(batch, 1)`, or one-hot rows `(batch, classes)`. A sample
            without a label, -1, has loss 0.
        y_pred: Logits `(batch, classes)`.
        class_counts: Sizes of the classes in training, from 1 to 1e15 each.
        strength: Factor of the logarithms of the sizes, from 0 to 100; the paper's tau.
        from_logits: Whether `y_pred` are logits. With False they are probabilities, as of a
            classifier that ends in a softmax.

    Returns:
        Float tensor `(batch,)`.

    Raises:
        ValueError: If an argument is out of its range, or the batch has another form.

    Reference:
        Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021, equation 10.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.losses import logit_adjusted_crossentropy
    >>> loss = logit_adjusted_crossentropy([0, 1], np.zeros((2, 2), "float32"), (90, 10))
    >>> print(np.asarray(loss).round(4))  # -log 0.9, -log 0.1
    [0.1054 2.3026]
    """
    logits = convert_rows(y_pred, None)
    if keras.backend.standardize_dtype(logits.dtype) != "float64":
        logits = ops.cast(logits, "float32")
    if len(logits.shape) != 2 or logits.shape[1] != len(class_counts):
        raise ValueError(
            f"`y_pred` should have shape (batch, {len(class_counts)}), a logit for each of "
            f"`class_counts`. Received: y_pred.shape={tuple(logits.shape)}"
        )
    if not from_logits:
        logits = ops.log(ops.maximum(logits, _SMALLEST_PROBABILITY))
    labels = standardize_labels(y_true, num_classes=len(class_counts))
    check_as_many_rows(y_true, labels, logits)
    return cross_entropy(labels, adjusted_logits(logits, class_counts, strength))


@keras.saving.register_keras_serializable(package="keras_supcon")
class LogitAdjustedCrossentropy(FunctionLoss):
    """Logit-adjusted cross-entropy as a Keras loss; see `logit_adjusted_crossentropy`.

    For classifiers of classes of different sizes. `ContrastiveModel(classifier=...,
    class_counts=...)` has it built in.

    Raises:
        ValueError: If an argument is out of its range, or a batch has another form.

    Reference:
        Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.losses import LogitAdjustedCrossentropy
    >>> loss = LogitAdjustedCrossentropy(class_counts=(90, 10))
    >>> round(float(loss([0, 1], np.zeros((2, 2), "float32"))), 4)
    1.204
    """

    function = staticmethod(logit_adjusted_crossentropy)

    @takes_options
    def __init__(
        self,
        class_counts: Sequence[float],
        *,
        strength: float = 1.0,
        from_logits: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str = "logit_adjusted_crossentropy",
        dtype: Any = None,
    ) -> None: ...

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        """Computes the loss of a batch.

        Args:
            y_true: Labels, as for `logit_adjusted_crossentropy`.
            y_pred: Logits `(batch, classes)`, or as `from_logits` says.
            sample_weight: Factors of the losses of samples `(batch,)`; None for 1.

        Returns:
            Scalar, or `(batch,)` with `reduction=None`.

        Raises:
            ValueError: If an input has another form.
        """
        return self.reduced(self.call(y_true, y_pred), sample_weight)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Returns the loss of each sample."""
        return self.function(y_true, convert_rows(y_pred, self.dtype), **self._options())

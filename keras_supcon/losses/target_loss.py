"""Base class of losses that compare predictions with targets."""

from typing import Any

from keras_supcon.losses.function_loss import FunctionLoss
from keras_supcon.ops.normalization import convert_rows
from keras_supcon.typing import Tensor


class TargetLoss(FunctionLoss):
    """Makes a Keras loss of a function of target rows, without gradient, and of predictions.

    Rows beyond float32 keep their direction, and half precision becomes float32.

    Args:
        reduction: As in `keras.losses.Loss`.
        name: Name of the loss.
        dtype: Dtype of the computation; `keras.config.floatx()` if None. Half precision becomes
            float32.
        **options: Options of the function.
    """

    def __call__(
        self,
        y_true: Tensor,
        y_pred: Tensor,
        sample_weight: Tensor | None = None,
        **options: Any,
    ) -> Tensor:
        """Computes the loss of a batch.

        Args:
            y_true: Targets, as for the function of the loss.
            y_pred: Predictions, as for the function of the loss.
            sample_weight: Factors of the losses of samples `(batch,)`; None for 1.
            **options: Options of the loss for this call, in place of those of the constructor.

        Returns:
            Scalar, or `(batch,)` with `reduction=None`.

        Raises:
            TypeError: For an option that the loss does not have.
            ValueError: If the constructor would refuse an option, or an input has another form.
        """
        self._check_has(options)
        return self.reduced(self.call(y_true, y_pred, **options), sample_weight)

    def call(self, y_true: Tensor, y_pred: Tensor, **options: Any) -> Tensor:
        """Returns the loss of each sample."""
        rows = [convert_rows(one, self.dtype) for one in (y_true, y_pred)]
        return self.function(*rows, **{**self._options(), **options})

"""Base class of losses that mean the same under any number of replicas."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_supcon.distribution.gather import whole_batch_factor
from keras_supcon.distribution.replicas import replica_context
from keras_supcon.distribution.reporting import is_in_compiled_loss
from keras_supcon.typing import Tensor

# Arguments that the constructor of Keras keeps.
OF_KERAS = ("reduction", "name", "dtype")


class ReplicaScaledLoss(keras.losses.Loss):
    """Reduces one value per sample to the loss of the global batch, whatever the replicas hold.

    Keras averages the means of replicas, which differs where their shards do. A dtype of half
    precision is replaced by float32.

    Arguments are set once, by the constructor: a step that has been compiled would not see a
    change.

    Args:
        reduction: As in `keras.losses.Loss`.
        name: Name of the loss.
        dtype: Dtype of the computation; `keras.config.floatx()` if None. Half precision becomes
            float32.

    Raises:
        AttributeError: If an argument is set after the loss has been made.
    """

    _set_once: tuple[str, ...] = ()  # the constructor names them last

    def __init__(self, *, reduction: str | None, name: str, dtype: Any = None) -> None:
        precision = keras.dtype_policies.get(dtype or keras.config.floatx()).compute_dtype
        super().__init__(
            name=name,
            reduction=reduction,
            dtype="float32" if precision in ("float16", "bfloat16") else precision,
        )
        self._reduce = _Reduction(name=name, reduction=reduction, dtype=self.dtype)
        self._set_once = OF_KERAS

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._set_once:
            callback = (
                ", or train with `keras_supcon.callbacks.TemperatureSchedule`"
                if name == "temperature"
                else ""
            )
            raise AttributeError(
                f"`{name}` of a `{type(self).__name__}` is set once, by its constructor, since a "
                "compiled step would not see a "
                f"change: make a new loss and call `compile` with it{callback}. Received: "
                f"{name}={value!r}"
            )
        super().__setattr__(name, value)

    def reduced(self, values: Tensor, sample_weight: Tensor | None) -> Tensor:
        """Returns the loss of a batch from the values of its samples.

        Args:
            values: Float tensor `(batch,)`.
            sample_weight: Factors of the values, `(batch,)`, `(batch, 1)` or one for all; None for
                1.

        Returns:
            Scalar, or `(batch,)` with `reduction=None`.

        Raises:
            ValueError: If there is not a factor for each sample, where shapes are static.
        """
        _check_weights(sample_weight, values.shape[0])
        loss = self._reduce(values, self._scaled_for_replicas(values, sample_weight), sample_weight)
        # Keras does not reduce a batch of which it knows that it is empty, and then reports NaN.
        is_left = tuple(loss.shape) == (0,) and self.reduction not in (None, "none")
        return ops.sum(loss) if is_left else loss

    def _scaled_for_replicas(self, values: Tensor, sample_weight: Tensor | None) -> Tensor:
        """Scales the values, and separately their gradient, for shards of uneven size.

        The gradients of all replicas sum up to that of the global batch. A custom training loop
        gets the value of the replica's own samples. Keras' trainer multiplies the value by the
        number of replicas, then reports the mean over replicas, weighted by their numbers of
        samples. For the trainer, values are scaled so that this mean is the loss of the global
        batch.
        """
        context = replica_context()
        if context is None:
            return values
        rows = ops.cast(ops.shape(values)[0], values.dtype)
        of_value = of_gradient = 1.0
        if self.reduction == "mean_with_sample_weight" and sample_weight is not None:
            of_gradient = whole_batch_factor(ops.sum(ops.cast(sample_weight, values.dtype)))
        elif self.reduction in ("sum_over_batch_size", "mean", "mean_with_sample_weight"):
            of_gradient = whole_batch_factor(rows, is_of_rows=True)
            of_gradient = 1.0 if of_gradient is None else of_gradient
        if is_in_compiled_loss():
            if self.reduction in (None, "none"):
                of_value = (
                    1.0 / context.num_replicas_in_sync
                )  # Keras multiplies by this number without having divided by it
            elif self.reduction == "sum" or (
                self.reduction == "mean_with_sample_weight" and sample_weight is not None
            ):
                share = whole_batch_factor(rows, is_of_rows=True)
                of_value = of_gradient if share is None else ops.divide_no_nan(of_gradient, share)
        if (
            isinstance(of_gradient, float)
            and isinstance(of_value, float)
            and of_value == of_gradient
        ):
            return values
        return of_gradient * values + ops.stop_gradient((of_value - of_gradient) * values)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dtype": self.dtype}


def _check_weights(sample_weight: Any, batch_size: int | None) -> None:
    """Raises `ValueError` for weights of another shape than `(batch,)`, `(batch, 1)` or a scalar's.

    A single weight, in one or two dimensions, is for all samples too.
    """
    shape = getattr(sample_weight, "shape", None)
    if sample_weight is None or getattr(shape, "rank", 0) is None:  # TensorFlow may know no rank
        return
    shape = np.shape(sample_weight) if shape is None else tuple(shape)
    is_column = len(shape) < 2 or (len(shape) == 2 and shape[1] in (1, None))
    is_each = len(shape) == 0 or batch_size is None or shape[0] in (None, 1, batch_size)
    if not (is_column and is_each):
        batch = "batch" if batch_size is None else batch_size
        raise ValueError(
            f"`sample_weight` should have shape ({batch},), a weight for each sample of `y_pred`. "
            f"Received: sample_weight.shape={shape}"
        )


class _Reduction(keras.losses.Loss):
    """Applies sample weights, the reduction and the scale of a replica to computed values."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return y_pred

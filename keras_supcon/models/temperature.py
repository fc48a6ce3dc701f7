"""Learns the temperature of the loss that a model is compiled with."""

import math
from typing import Any

import keras
from keras import ops

from keras_supcon._keras_internals import leave_out_of_weight_decay
from keras_supcon.losses.base import ContrastiveLoss
from keras_supcon.losses.temperature import temperature_in_use
from keras_supcon.models.callback_lists import with_callback
from keras_supcon.typing import Tensor

# Radford et al. (2021), section 2.5: the highest scale of logits.
_LARGEST_SCALE = 100.0
# Only too large a learning rate reaches this temperature. The loss is flat there, and far above it
# float32 overflows.
_LARGEST_TEMPERATURE = 100.0
_LARGEST_EXPONENT = 700.0  # that math.exp can take


def loss_with_temperature(model: keras.Model) -> ContrastiveLoss:
    """Returns the one compiled loss of a model that has a temperature.

    Raises:
        ValueError: If there is none, or more than one.
    """
    losses = {id(loss): loss for loss in keras.tree.flatten(getattr(model, "loss", None))}.values()
    found = [loss for loss in losses if isinstance(loss, ContrastiveLoss) and loss.has_temperature]
    if len(found) != 1:
        raise ValueError(
            "The model should be compiled with one loss that has a temperature, such as "
            f"`keras_supcon.SupConLoss()`. Received: loss={getattr(model, 'loss', None)!r}"
        )
    return found[0]


class LearnsTemperature:
    """Mix-in for Keras models that may learn the temperature of their loss by one more weight.

    The temperature is `loss.temperature * exp(-w)` with `w = 0` at the start. Limits of `w` keep
    the temperature from 0.01 to 100, or from or to `loss.temperature` where that lies beyond. Goes
    before `keras.Model`.
    """

    learnable_temperature = False

    def make_temperature_learnable(self) -> None:
        """Adds the weight. Constructors call it."""
        self.learnable_temperature = True
        self._log_scale = self.add_weight(
            shape=(),
            initializer="zeros",
            dtype="float32",
            autocast=False,  # half precision would round its steps away
            constraint=_ScaleLimit(self),
            name="log_scale",
        )

    @property
    def temperature(self) -> float | None:
        """Present temperature of the compiled loss, None for a loss without one."""
        try:
            loss = loss_with_temperature(self)
        except ValueError:
            return None
        if not self.learnable_temperature:
            return loss.temperature
        log_scale = float(ops.convert_to_numpy(self._log_scale))
        return loss.temperature * math.exp(min(-log_scale, _LARGEST_EXPONENT))

    def prepare_fit(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if self.learnable_temperature:
            loss_with_temperature(self)
            # Before those that read the logs.
            callbacks = with_callback(self, _LogTemperature(), arguments.get("callbacks"))
            arguments = {**arguments, "callbacks": callbacks}
        return super().prepare_fit(arguments)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        if self.learnable_temperature:
            loss_with_temperature(self)
        return super().evaluate(*args, **kwargs)

    def make_train_function(self, force: bool = False) -> Any:
        if self.learnable_temperature:
            optimizer = getattr(self.optimizer, "inner_optimizer", self.optimizer)
            if getattr(optimizer, "weight_decay", None) is not None:  # ours decays no single number
                leave_out_of_weight_decay(optimizer, self._log_scale)
        return super().make_train_function(force)

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        if not self.learnable_temperature:
            return super().compute_loss(*args, **kwargs)
        loss = loss_with_temperature(self)
        with temperature_in_use(
            loss, loss.temperature * ops.exp(-ops.convert_to_tensor(self._log_scale))
        ):
            return super().compute_loss(*args, **kwargs)


class _ScaleLimit(keras.constraints.Constraint):
    """Limits the weight after each step of the optimizer.

    A limit within the loss would have no gradient beyond it.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model

    def __call__(self, log_scale: Tensor) -> Any:
        temperature = loss_with_temperature(self._model).temperature
        largest = math.log(_LARGEST_SCALE * temperature)
        smallest = math.log(temperature / _LARGEST_TEMPERATURE)
        return ops.clip(log_scale, min(smallest, 0.0), max(largest, 0.0))


class _LogTemperature(keras.callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None:
            logs["temperature"] = self.model.temperature

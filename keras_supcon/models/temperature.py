"""Learns the temperature of the loss that a model is compiled with."""

import math
from typing import Any

import keras
from keras import ops

from keras_supcon.models.learned_options import (
    LearnedOption,
    LearnsLossOptions,
    loss_with_option,
)
from keras_supcon.typing import Tensor

# Radford et al. (2021), section 2.5: the highest scale of logits.
_LARGEST_SCALE = 100.0
# Only too large a learning rate reaches this temperature. The loss is flat there, and far above it
# float32 overflows.
_LARGEST_TEMPERATURE = 100.0
_LARGEST_EXPONENT = 700.0  # that math.exp can take


class LearnsTemperature(LearnsLossOptions):
    """Mix-in for Keras models that may learn the temperature of their loss by one more weight.

    The temperature is `loss.temperature * exp(-w)` with `w = 0` at the start. Limits of `w` keep
    the temperature from 0.01 to 100, or from or to `loss.temperature` where that lies beyond. Goes
    before `keras.Model`.
    """

    learnable_temperature = False

    def make_temperature_learnable(self) -> None:
        """Adds the weight. Constructors call it."""
        self.learnable_temperature = True
        self._log_scale = self.add_option_weight("log_scale", _ScaleLimit(self))

    @property
    def temperature(self) -> float | None:
        """Present temperature of the compiled loss, None for a loss without one."""
        try:
            loss = loss_with_option(self, "temperature")
        except ValueError:
            return None
        if not self.learnable_temperature:
            return loss.temperature
        log_scale = float(ops.convert_to_numpy(self._log_scale))
        return loss.temperature * math.exp(min(-log_scale, _LARGEST_EXPONENT))

    def learned_options(self) -> list[LearnedOption]:
        others = super().learned_options()
        if not self.learnable_temperature:
            return others
        own = LearnedOption(
            "temperature", self._log_scale, lambda start, log_scale: start * ops.exp(-log_scale)
        )
        return [*others, own]


class _ScaleLimit(keras.constraints.Constraint):
    """Limits the weight after each step of the optimizer.

    A limit within the loss would have no gradient beyond it.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model

    def __call__(self, log_scale: Tensor) -> Any:
        temperature = loss_with_option(self._model, "temperature").temperature
        largest = math.log(_LARGEST_SCALE * temperature)
        smallest = math.log(temperature / _LARGEST_TEMPERATURE)
        return ops.clip(log_scale, min(smallest, 0.0), max(largest, 0.0))

"""Temperatures of losses: Python numbers, or tensors that a compiled step reads when it runs."""

import contextlib
import contextvars
import math
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras_supcon.arguments import check_positive

# Within these bounds float32 can hold the logits, their sums, and the gradient with respect to the
# temperature, which grows like 1 / temperature^2.
_SMALLEST, _LARGEST = 1e-15, 1e15

# A loss and its temperature. Each replica is traced in its own thread, and each thread has its own
# value of this variable.
_IN_USE: contextvars.ContextVar[tuple[Any, Any]] = contextvars.ContextVar(
    "temperature_in_use", default=(None, None)
)


def check_number_of_temperature(name: str, temperature: Any) -> float:
    """Accepts a positive number from 1e-15 to 1e15 for an argument of any name."""
    return check_positive(name, temperature, _SMALLEST, _LARGEST)


def check_temperature_number(temperature: Any) -> float:
    """Accepts a positive number from 1e-15 to 1e15."""
    return check_number_of_temperature("temperature", temperature)


def check_temperature(temperature: Any) -> Any:
    """Accepts a positive number from 1e-15 to 1e15, or a scalar tensor of any value."""
    if not is_tensor(temperature):
        return check_temperature_number(temperature)
    if len(temperature.shape) > 0:
        raise ValueError(
            "`temperature` should be a positive number or a scalar tensor. "
            f"Received: temperature of shape {tuple(temperature.shape)}"
        )
    return temperature


def is_tensor(temperature: Any) -> bool:
    """Checks whether a temperature is a tensor or variable."""
    return isinstance(temperature, keras.Variable) or ops.is_tensor(temperature)


def square_root(temperature: Any, dtype: Any) -> Any:
    """Returns the square root: a number for a number, a tensor for a tensor."""
    return (
        ops.sqrt(ops.cast(temperature, dtype)) if is_tensor(temperature) else math.sqrt(temperature)
    )


@contextlib.contextmanager
def temperature_in_use(loss: Any, temperature: Any) -> Iterator[None]:
    """Makes a loss use this temperature, a tensor, within the context."""
    token = _IN_USE.set((loss, temperature))
    try:
        yield
    finally:
        _IN_USE.reset(token)


def temperature_given_to(loss: Any) -> Any | None:
    """Returns the temperature of the surrounding context; None if it has none for this loss."""
    of_loss, temperature = _IN_USE.get()
    return temperature if of_loss is loss else None

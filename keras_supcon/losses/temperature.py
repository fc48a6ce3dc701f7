"""The temperature of a loss: a number that the program knows, or a tensor that a compiled step reads as it runs."""

import contextlib
import contextvars
import math
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras_supcon.arguments import check_positive

# Between these float32 holds logits, their sums, and the gradient by the temperature, which grows like 1 / temperature^2.
_SMALLEST, _LARGEST = 1e-15, 1e15

# By loss; replicas are traced in threads of their own, and a context belongs to a thread.
_IN_USE: contextvars.ContextVar[tuple[Any, Any]] = contextvars.ContextVar("temperature_in_use", default=(None, None))


def check_temperature_number(temperature: Any) -> float:
    """Wants a positive number from 1e-15 to 1e15."""
    return check_positive("temperature", temperature, _SMALLEST, _LARGEST)


def check_temperature(temperature: Any) -> None:
    """Raises `ValueError` unless it is a positive number or a tensor of one number, whose value the caller answers for."""
    if not is_tensor(temperature):
        check_temperature_number(temperature)
    elif len(temperature.shape) > 0:
        raise ValueError(
            "`temperature` should be a positive number, or a tensor of one. "
            f"Received: temperature of shape {tuple(temperature.shape)}"
        )


def is_tensor(temperature: Any) -> bool:
    return isinstance(temperature, keras.Variable) or ops.is_tensor(temperature)


def square_root(temperature: Any, dtype: Any) -> Any:
    """The square root of a number as a number, of a tensor as a tensor."""
    return ops.sqrt(ops.cast(temperature, dtype)) if is_tensor(temperature) else math.sqrt(temperature)


@contextlib.contextmanager
def temperature_in_use(loss: Any, temperature: Any) -> Iterator[None]:
    """Lets a loss compute with this temperature, a tensor, for as long as the context lasts."""
    token = _IN_USE.set((loss, temperature))
    try:
        yield
    finally:
        _IN_USE.reset(token)


def temperature_given_to(loss: Any) -> Any | None:
    """The temperature of the present context, or None for one that is not of this loss."""
    of_loss, temperature = _IN_USE.get()
    return temperature if of_loss is loss else None

"""Temperatures of losses: Python numbers, or tensors that a compiled step reads when it runs."""

import math
from typing import Any

import keras
from keras import ops

from keras_supcon.arguments import check_positive

# Within these bounds float32 can hold the logits, their sums, and the gradient with respect to the
# temperature, which grows like 1 / temperature^2.
_SMALLEST, _LARGEST = 1e-15, 1e15


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
    return check_scalar("temperature", temperature, "a positive number")


def check_scalar(name: str, tensor: Any, number: str) -> Any:
    """Accepts a scalar tensor.

    Args:
        name: Name of the argument.
        tensor: A tensor or variable.
        number: What else the argument may be, in words.
    """
    if len(tensor.shape) > 0:
        raise ValueError(
            f"`{name}` should be {number} or a scalar tensor. "
            f"Received: {name} of shape {tuple(tensor.shape)}"
        )
    return tensor


def is_tensor(value: Any) -> bool:
    """Checks whether an option is a tensor or variable."""
    return isinstance(value, keras.Variable) or ops.is_tensor(value)


def square_root(temperature: Any, dtype: Any) -> Any:
    """Returns the square root: a number for a number, a tensor for a tensor."""
    return (
        ops.sqrt(ops.cast(temperature, dtype)) if is_tensor(temperature) else math.sqrt(temperature)
    )

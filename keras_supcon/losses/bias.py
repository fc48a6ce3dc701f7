"""Biases of logits: Python numbers, or tensors that a compiled step reads when it runs."""

from typing import Any

from keras_supcon.arguments import is_number
from keras_supcon.losses.temperature import check_scalar, is_tensor

# Sums over rows of as large logits fit in float32.
_LARGEST = 1e15


def check_bias_number(bias: Any) -> float:
    """Accepts a number from -1e15 to 1e15."""
    if not (is_number(bias) and abs(bias) <= _LARGEST):
        raise ValueError(f"`bias` should be a number from -1e15 to 1e15. Received: bias={bias!r}")
    return float(bias)


def check_bias(bias: Any) -> Any:
    """Accepts a number from -1e15 to 1e15, or a scalar tensor of any value."""
    if not is_tensor(bias):
        return check_bias_number(bias)
    return check_scalar("bias", bias, "a number from -1e15 to 1e15")

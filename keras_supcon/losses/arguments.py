"""Checks of constructor arguments, in one wording."""

import math
import numbers
from typing import Any


def check_positive(name: str, value: Any) -> None:
    if not (_is_number(value) and value > 0):
        raise ValueError(f"`{name}` should be a positive number. Received: {name}={value!r}")


def check_not_negative(name: str, value: Any) -> None:
    if not (_is_number(value) and value >= 0):
        raise ValueError(f"`{name}` should be a number of at least 0. Received: {name}={value!r}")


def check_whole_number(name: str, value: Any, smallest: int) -> None:
    """Lets None pass."""
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if value is not None and not (is_whole and value >= smallest):
        raise ValueError(f"`{name}` should be None or a whole number of at least {smallest}. Received: {name}={value!r}")


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"`{name}` should be one of {choices}. Received: {name}={value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)

"""Checks of arguments, in one wording."""

import math
import numbers
from typing import Any


def check_positive(name: str, value: Any) -> float:
    """Returns `value`, or raises `ValueError` if it is not a finite number above 0."""
    if not (is_number(value) and value > 0):
        raise ValueError(f"`{name}` should be a positive number. Received: {name}={value!r}")
    return float(value)


def check_not_negative(name: str, value: Any) -> float:
    """Returns `value`, or raises `ValueError` if it is not a finite number of at least 0."""
    if not (is_number(value) and value >= 0):
        raise ValueError(f"`{name}` should be a number of at least 0. Received: {name}={value!r}")
    return float(value)


def check_whole_number(name: str, value: Any, smallest: int) -> int:
    """Returns `value`, or raises `ValueError` if it is not a whole number of at least `smallest`."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < smallest:
        raise ValueError(f"`{name}` should be a whole number of at least {smallest}. Received: {name}={value!r}")
    return int(value)


def is_number(value: Any) -> bool:
    """Whether `value` is a finite real number, which a bool is not."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)

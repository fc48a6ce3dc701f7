"""Checks of arguments, with the same wording in the whole package.

Each check returns the value, numbers as plain Python numbers for configs and messages, or raises
`ValueError`. A bool is not a number.
"""

import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

# Losses are computed in float32. These are its largest number, and its smallest one that XLA does
# not treat as 0.
_LARGEST, _SMALLEST = 3.4028234e38, 1.1754944e-38


def check_positive(name: str, value: Any, low: float = _SMALLEST, high: float = _LARGEST) -> float:
    if not (is_number(value) and value > 0):
        raise ValueError(f"`{name}` should be a positive number. Received: {name}={value!r}")
    return _check_from_to(name, value, low, high)


def check_not_negative(name: str, value: Any, high: float = _LARGEST) -> float:
    if not (is_number(value) and value >= 0):
        raise ValueError(f"`{name}` should be a number of at least 0. Received: {name}={value!r}")
    return _check_from_to(name, value, 0, high)


def _check_from_to(name: str, value: float, low: float, high: float) -> float:
    if not low <= value <= high:
        raise ValueError(
            f"`{name}` should be from {low:g} to {high:g}, so that results fit in float32. "
            f"Received: {name}={value!r}"
        )
    return float(value)


def check_between(name: str, value: Any, low: float, high: float) -> float:
    if not (is_number(value) and low <= value <= high):
        raise ValueError(f"`{name}` should be between {low} and {high}. Received: {name}={value!r}")
    return float(value)


def check_probability(name: str, value: Any) -> float:
    return check_between(name, value, 0, 1)


def check_below_1(name: str, value: Any) -> float:
    if not (is_number(value) and 0 <= value < 1):
        raise ValueError(f"`{name}` should be at least 0 and below 1. Received: {name}={value!r}")
    return float(value)


def check_whole_number(name: str, value: Any, at_least: int) -> int:
    if not is_whole(value, at_least):
        raise ValueError(
            f"`{name}` should be a whole number of at least {at_least}. Received: {name}={value!r}"
        )
    return int(value)


def check_whole_number_or_none(name: str, value: Any, at_least: int) -> int | None:
    if value is not None and not is_whole(value, at_least):
        raise ValueError(
            f"`{name}` should be None or a whole number of at least {at_least}. Received: "
            f"{name}={value!r}"
        )
    return None if value is None else int(value)


def check_class_id_or_none(name: str, value: Any) -> int | None:
    """Accepts None or an integer, negative or not, that fits in the int32 of class ids."""
    if value is not None and not (is_whole(value, -(2**31)) and value < 2**31):
        raise ValueError(
            f"`{name}` should be None or a whole number from -2^31 up to 2^31 - 1. Received: "
            f"{name}={value!r}"
        )
    return None if value is None else int(value)


def check_bool(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"`{name}` should be True or False. Received: {name}={value!r}")
    return bool(value)


def check_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"`{name}` should be one of {tuple(choices)}. Received: {name}={value!r}")
    return value


def check_each(
    name: str,
    values: Any,
    is_valid: Callable[[Any], bool],
    expected: str,
    may_be_empty: bool = False,
) -> tuple[Any, ...]:
    """Accepts a sequence of valid values; a text is no sequence of its characters."""
    is_sequence = isinstance(values, Iterable) and not isinstance(values, (str, bytes, Mapping))
    try:
        # What yields its values but once is read here, and shown in the message.
        values = tuple(values) if is_sequence else values
    except TypeError:  # an array of a single number claims to be iterable
        is_sequence = False
    if not (is_sequence and all(map(is_valid, values)) and (values or may_be_empty)):
        number = "" if may_be_empty else "one or more "
        raise ValueError(
            f"`{name}` should be a sequence of {number}{expected}. Received: {name}={values!r}"
        )
    return values


def check_numbers(name: str, values: Any, at_least: float) -> tuple[float, ...]:
    """Accepts a sequence of finite numbers, such as a list or a NumPy array."""
    expected = f"numbers of at least {at_least:g}"
    is_valid = check_each(name, values, lambda one: is_number(one) and one >= at_least, expected)
    return tuple(map(float, is_valid))


def check_choices(
    name: str, values: Any, choices: Sequence[str], may_be_empty: bool = False
) -> tuple[str, ...]:
    """Accepts a sequence of the choices, each at most once."""
    values = check_each(
        name, values, lambda one: isinstance(one, str), f"names, of {choices}", may_be_empty
    )
    for value in values:
        check_choice(name, value, choices)
    if len({*values}) < len(values):
        raise ValueError(f"`{name}` should have each name once. Received: {name}={values}")
    return values


def check_range(name: str, value: Any, low: float, high: float = math.inf) -> tuple[float, float]:
    """Accepts two numbers above `low` and up to `high`, lowest first."""
    if not (is_pair(value) and all(map(is_number, value)) and low < value[0] <= value[1] <= high):
        bound = "" if high == math.inf else f" and at most {high}"
        raise ValueError(
            f"`{name}` should be two numbers above {low}{bound}, lowest first. Received: "
            f"{name}={value!r}"
        )
    return (float(value[0]), float(value[1]))


def check_image_size(name: str, value: Any) -> tuple[int, int]:
    if not (is_pair(value) and all(is_whole(size, 1) for size in value)):
        raise ValueError(
            f"`{name}` should be (height, width), whole numbers of at least 1. Received: "
            f"{name}={value!r}"
        )
    return (int(value[0]), int(value[1]))


def check_shard(name: str, value: Any) -> tuple[int, int]:
    """Accepts the index of a worker and the number of workers that share data."""
    if not is_pair(value) or not is_whole(value[0], 0) or not is_whole(value[1], value[0] + 1):
        raise ValueError(
            f"`{name}` should be (index, count), two whole numbers with 0 <= index < count. "
            f"Received: {name}={value!r}"
        )
    return value


def check_start(name: str, value: Any, steps: int) -> tuple[int, int]:
    """Accepts an epoch, and a number of batches done within it, of the `steps` that it has."""
    if not is_pair(value) or not all(is_whole(one, 0) for one in value) or value[1] > steps:
        raise ValueError(
            f"`{name}` should be (epoch, batch), whole numbers of at least 0, with no more than "
            f"the {steps} batches of an epoch. Received: {name}={value!r}"
        )
    return value


def rename_arguments(message: str, names: Mapping[str, str]) -> str:
    """Gives arguments in a message of this package the names that the caller knows.

    Args:
        message: A message of an error.
        names: From the name of an argument to the other one.
    """
    for name, other in names.items():
        message = message.replace(f"`{name}`", f"`{other}`").replace(f" {name}=", f" {other}=")
    return message


def name_some(names: Sequence[str], most: int, separator: str = ", ") -> str:
    """Joins names for a message, and counts those beyond the first few.

    Args:
        names: Texts.
        most: Number of names to print.
        separator: Text between them.

    Returns:
        A text such as `"a, b and 3 more"`.
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return separator.join(names[:most]) + more


def is_number(value: Any) -> bool:
    """Checks whether the value is a finite real number."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the range of floats
        return False


def is_whole(value: Any, at_least: float = -math.inf) -> bool:
    """Checks whether the value is an integer, of Python or NumPy, of at least `at_least`."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= at_least


def is_pair(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2

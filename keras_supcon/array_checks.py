"""Checks of arrays that are arguments, with one wording for all of them.

Each check returns a NumPy array, or raises `ValueError`. Arrays of Keras' backends are taken too.
"""

from typing import Any

import keras
import numpy as np

# Rows of probabilities add up to 1 but for rounding, in bfloat16 by up to a 512th of each.
SUM_TOLERANCE = 0.01


def check_embeddings(name: str, array: Any, at_least: int = 1) -> np.ndarray:
    """Checks that an array holds finite rows.

    Args:
        name: Name of the argument.
        array: Numbers `(n, d)`.
        at_least: Smallest number of rows.

    Returns:
        `(n, d)`, float32 or float64: float64 for float64 and integers, else float32.

    Raises:
        ValueError: If the array is not as described.

    Example:

    >>> from keras_supcon.array_checks import check_embeddings
    >>> check_embeddings("x", [[1, 2], [3, 4]]).dtype
    dtype('float64')
    """
    array = _as_floats(name, array)
    if array.ndim != 2 or array.shape[0] < at_least or array.shape[1] == 0:
        rows = "one row" if at_least == 1 else f"{at_least} rows"
        raise ValueError(
            f"`{name}` should have shape (n, d), at least {rows} and one dimension. Received: "
            f"{name}.shape={array.shape}"
        )
    _check_rows(name, array, np.isfinite(array).all(axis=1), "finite numbers")
    return array


def check_numbers(name: str, array: Any) -> np.ndarray:
    """Checks that an array holds finite numbers, at least one.

    Args:
        name: Name of the argument.
        array: Numbers or bools `(n,)`.

    Returns:
        `(n,)`, float32 or float64, as of `check_embeddings`.

    Raises:
        ValueError: If the array is not as described.
    """
    array = _as_floats(name, array)
    if array.ndim != 1 or not len(array):
        raise ValueError(
            f"`{name}` should have shape (n,), at least one number. Received: "
            f"{name}.shape={array.shape}"
        )
    _check_rows(name, array, np.isfinite(array), "finite numbers")
    return array


def check_labels(
    name: str, labels: Any, number: int | None = None, num_classes: int | None = None
) -> np.ndarray:
    """Checks that an array holds class ids.

    Args:
        name: Name of the argument.
        labels: Class ids `(n,)` or `(n, 1)`: integers, bools, or floats that are whole and no
            larger than the numbers up to which their dtype holds all whole ones.
        number: Number of labels; None for any.
        num_classes: A number that ids should be below, and then not negative; None for any ids.

    Returns:
        int64 `(n,)`.

    Raises:
        ValueError: If the array is not as described.

    Example:

    >>> from keras_supcon.array_checks import check_labels
    >>> check_labels("labels", [[0.0], [2.0]], number=2).tolist()
    [0, 2]
    """
    array = _as_array(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        advice = "; `argmax(axis=1)` makes ids of one-hot rows" if array.ndim == 2 else ""
        raise ValueError(
            f"`{name}` should be class ids of shape (n,) or (n, 1){advice}. Received: "
            f"{name}.shape={array.shape}"
        )
    if number is not None and len(array) != number:
        raise ValueError(
            f"`{name}` should hold {number} class ids, one for each row. Received: {len(array)}"
        )
    if array.dtype.kind not in "biuf":
        raise ValueError(f"`{name}` should be whole numbers. Received: {name}.dtype={array.dtype}")
    if array.dtype.kind == "f":
        limit = 2 ** (np.finfo(array.dtype).nmant + 1)
        are_ids = (array == np.floor(array)) & (np.abs(array) <= limit)
        _check_rows(name, array, are_ids, f"whole numbers, in {array.dtype} up to {limit} in size")
    elif array.dtype == "uint64":
        _check_rows(name, array, array < 2**63, "whole numbers below 2^63")
    ids = array.astype("int64")
    if num_classes is not None:
        in_range = (ids >= 0) & (ids < num_classes)
        _check_rows(name, ids, in_range, f"class ids from 0 to {num_classes - 1}")
    return ids


def check_probabilities(
    name: str, probabilities: Any, number_of_rows: int | None = None
) -> np.ndarray:
    """Checks that an array holds probabilities of classes, with rows that sum to 1 within 0.01.

    Args:
        name: Name of the argument.
        probabilities: Numbers of at least 0, `(n, classes)`.
        number_of_rows: n; None for any number of at least one.

    Returns:
        `(n, classes)`, float32 or float64: float64 for float64 and integers, else float32. Values
        are as given, so that float32 probabilities fall into the same bins as in a model.

    Raises:
        ValueError: If the array is not as described.

    Example:

    >>> from keras_supcon.array_checks import check_probabilities
    >>> try:
    ...     check_probabilities("probabilities", [[0.5, 0.5], [2.0, 7.0]])
    ... except ValueError as error:
    ...     print(str(error).partition("Received: ")[2])
    [2. 7.] in row 1
    """
    array = _as_floats(name, probabilities)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(
            f"`{name}` should have shape (n, classes), at least one row and one class. Received: "
            f"{name}.shape={array.shape}"
        )
    if number_of_rows is not None and len(array) != number_of_rows:
        raise ValueError(
            f"`{name}` should have {number_of_rows} rows. Received: {name}.shape={array.shape}"
        )
    _check_rows(name, array, np.isfinite(array).all(axis=1), "finite numbers")
    sums = array.sum(axis=1, dtype="float64")
    are_probabilities = (array >= 0).all(axis=1) & (np.abs(sums - 1) <= SUM_TOLERANCE)
    _check_rows(
        name,
        array,
        are_probabilities,
        "probabilities: numbers of at least 0 with rows that sum to 1. Logits become "
        "probabilities by softmax, or are given with `from_logits=True`",
    )
    return array


def as_array(values: Any) -> np.ndarray:
    """Returns a tensor of the backend, or what NumPy takes for an array, as one of NumPy."""
    is_tensor = keras.ops.is_tensor(values)
    return np.asarray(keras.ops.convert_to_numpy(values) if is_tensor else values)


def _as_array(values: Any) -> np.ndarray:
    try:
        return as_array(values)
    except ValueError:  # rows of different lengths
        return np.array(values, dtype=object)


def _as_floats(name: str, values: Any) -> np.ndarray:
    array = _as_array(values)
    # bfloat16, which NumPy takes from the backends, has no kind of its own.
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise ValueError(f"`{name}` should be numbers. Received: {name}.dtype={array.dtype}")
    is_double = array.dtype.kind in "iu" or array.dtype.itemsize > 4
    return array.astype("float64" if is_double else "float32", copy=False)


def _check_rows(name: str, array: np.ndarray, are_valid: np.ndarray, expected: str) -> None:
    """Raises `ValueError` with the first row that is not as expected."""
    if not are_valid.all():
        row = int(np.argmin(are_valid))
        received = np.array2string(array[row], threshold=8, edgeitems=3)
        raise ValueError(f"`{name}` should be {expected}. Received: {received} in row {row}")

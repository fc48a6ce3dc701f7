"""Samples in memory, one for each label, as arrays."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np

from keras_supcon.array_checks import as_array


def check_samples(x: Any, number: int) -> Any:
    """Checks that there are as many samples as labels, and makes arrays of lists.

    Args:
        x: An array `(n, ...)`, a list or tuple of `n` samples of one shape, such as arrays, numbers
            or file names, a dictionary or another list of such parts, or anything with a length
            that gives the sample of a number.
        number: n, the number of labels.

    Returns:
        An array, or a structure of arrays, or what has a length as it is.

    Raises:
        ValueError: If there are no samples, or another number of them, or those of a list differ in
            shape.

    Example:

    >>> from keras_supcon.data.sample_arrays import check_samples
    >>> check_samples(["a.png", "b.png", "c.png"], 3).shape
    (3,)
    >>> [part.shape for part in check_samples([[1, 2, 3], ["a", "b", "c"]], 3)]
    [(3,), (3,)]
    """

    def as_array(part: Any) -> Any:
        if not keras.tree.is_nested(part):
            return _leaf(part)
        # Of another part None says that its own parts are next.
        return _stack(part) if isinstance(part, (list, tuple)) and len(part) == number else None

    samples = keras.tree.traverse(as_array, x) if keras.tree.is_nested(x) else x
    parts = keras.tree.flatten(samples)
    if not parts or any(_length(part) != number for part in parts):
        raise ValueError(
            "`data` should have a label for each sample. A list of samples has an entry for each "
            "label, a list of several inputs an array of all samples for each. Received: "
            f"{number} labels, and for x {_describe(x, parts)}"
        )
    if not number:
        raise ValueError("`data` should hold samples. Received: no samples and no labels")
    return samples


def _stack(samples: list | tuple) -> np.ndarray:
    """Returns the array of a list of samples."""
    try:
        array = np.stack([_leaf(sample) for sample in samples]) if samples else np.empty(0)
    except ValueError as error:
        raise ValueError(
            f"`data` should have samples of one shape. Received: a list of {len(samples)} samples "
            f"that are not ({error})"
        ) from None
    if array.dtype == object:
        raise ValueError(
            "`data` should have numbers or names in a list of samples; a dictionary holds an array "
            f"of all samples for each of its keys. Received: {type(samples[0]).__name__} first, "
            f"in a list of {len(samples)}"
        )
    return array


def _leaf(value: Any) -> np.ndarray:
    return as_array(os.fspath(value) if isinstance(value, os.PathLike) else value)


def _length(part: Any) -> int | None:
    try:
        return len(part)
    except TypeError:  # of a scalar, or what has no length
        return None


def _describe(x: Any, parts: list) -> str:
    if not keras.tree.is_nested(x):
        return f"{type(x).__name__} of length {_length(x)}"
    shapes = ", ".join(map(str, sorted({np.shape(part) for part in parts})[:3]))
    return f"{type(x).__name__} of {len(x)} entries" + (f", arrays of shape {shapes}" * bool(parts))

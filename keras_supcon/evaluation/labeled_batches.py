"""Batches of labeled images, out of a data set or of arrays."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
from keras import tree

from keras_supcon.arguments import check_whole_number, name_some
from keras_supcon.typing import Tensor, TensorTree

_MOST_SHAPES = 5


def labeled_batches(
    name: str, data: Any, batch_size: int
) -> tuple[Iterator[tuple[TensorTree, Tensor]], int | None]:
    """Returns the batches of a data set or of arrays, and their number, if it is known.

    Args:
        name: Name of the argument.
        data: Batches `(images, labels)`, or a pair of arrays with all of them.
        batch_size: Images in a batch of the arrays, at least 1.

    Raises:
        ValueError: If it is neither, arrays differ in length, or the data set has no end; and from
            the iterator, if a batch is not `(images, labels)`.
    """
    if is_pair_of_arrays(data):
        return _batches_of_arrays(name, data, batch_size)
    if not isinstance(data, (Iterable, keras.utils.PyDataset)) or isinstance(data, (str, dict)):
        raise ValueError(
            f"`{name}` should be a pair of arrays (images, labels) or batches of such pairs. "
            f"Received: {name}={data!r}"
        )
    if isinstance(data, keras.utils.PyDataset):  # whose iterator may not end
        number = data.num_batches
        if number is None:
            raise ValueError(
                f"`{name}` should end. Received: a PyDataset whose `num_batches` is None"
            )
        return _pairs(name, (data[i] for i in range(number))), number
    number = None
    if hasattr(data, "cardinality"):
        number = int(data.cardinality())
        if number == -1:
            raise ValueError(
                f"`{name}` should end. Received: a data set that repeats without end, such as by "
                "`dataset.repeat()`"
            )
        number = number if number >= 0 else None
    elif hasattr(data, "__len__"):
        with contextlib.suppress(TypeError):  # a torch `DataLoader` may not know its length
            number = len(data)
    return _pairs(name, data), number


def is_pair_of_arrays(data: Any) -> bool:
    """Tells a pair of arrays `(images, labels)` from other things, such as two batches."""
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        return False
    # A list may hold two batches, which are pairs, or an array and a list of ids.
    return all(hasattr(array, "shape") for array in tree.flatten(data[0])) and not (
        isinstance(data[0], (tuple, list)) and isinstance(data[1], (tuple, list))
    )


def _batches_of_arrays(
    name: str, arrays: Any, batch_size: int
) -> tuple[Iterator[tuple[TensorTree, Tensor]], int]:
    batch_size = check_whole_number("batch_size", batch_size, at_least=1)
    images, labels = arrays
    _check_rows(name, labels)
    number = len(labels)
    if any(len(array) != number for array in tree.flatten(images)):
        shapes = [str(tuple(array.shape)) for array in tree.flatten(images)]
        raise ValueError(
            f"`{name}` should be inputs and labels of one length. Received: inputs of shape "
            f"{name_some(shapes, _MOST_SHAPES)}, labels.shape=({number},)"
        )
    places = [slice(start, start + batch_size) for start in range(0, number, batch_size)]
    return (
        (tree.map_structure(lambda array, rows=rows: array[rows], images), labels[rows])
        for rows in places
    ), len(places)


def _pairs(name: str, batches: Iterable[Any]) -> Iterator[tuple[TensorTree, Tensor]]:
    for batch in batches:
        if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
            raise ValueError(
                f"`{name}` should yield batches (images, labels). Received: a batch of type "
                f"{type(batch).__name__}"
            )
        _check_rows(name, batch[1])
        yield batch[0], batch[1]  # a third part would be sample weights


def _check_rows(name: str, labels: Any) -> None:
    """Raises `ValueError` for the label of a single image, or none."""
    shape = getattr(labels, "shape", None)
    if not (len(shape) if shape is not None else np.ndim(labels)):
        raise ValueError(
            f"`{name}` should be batches of images and their labels. Received: labels={labels!r}, "
            "which is no batch"
        )

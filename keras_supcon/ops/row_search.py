"""Searches, sums and minima of many values in the few items of their row."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_supcon.typing import Tensor

_NUM_COARSE = 16
_FAR_BELOW_THE_LARGEST = 1e38


def count_below(ascending: Tensor, values: Tensor, or_equal: bool = False) -> Any:
    """Counts for every value the items of its row that are below it.

    `keras.ops.searchsorted` takes one row. A search that halves the row without branches is one
    loop for a compiler, and as fast as that of a library otherwise.

    Args:
        ascending: Float tensor `(rows, items)`, in ascending order. The number of items is known,
            and one less than a power of two.
        values: Float tensor `(rows, columns)`, without NaN.
        or_equal: Counts the items that are equal to the value as well.

    Returns:
        int32 tensor `(rows, columns)`, on PyTorch int64.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.ops.row_search import count_below
    >>> rows = ops.array([[1.0, 2.0, 3.0], [5.0, 5.0, 7.0]])
    >>> ops.convert_to_numpy(count_below(rows, ops.array([[2.0, 9.0], [5.0, 6.0]]))).tolist()
    [[1, 3], [0, 2]]
    """
    if keras.backend.backend() == "torch":
        return _count_below_in_place(ascending, values, or_equal)
    compare = ops.less_equal if or_equal else ops.less
    num_items = ascending.shape[1]
    # Few comparisons with the same items of all columns take less time than steps that look an
    # item up.
    step = max((num_items + 1) // _NUM_COARSE, 1)
    places = ops.zeros_like(values, dtype="int32")
    for item in range(step - 1, num_items, step):
        places = places + ops.cast(compare(ascending[:, item : item + 1], values), "int32")
    places = places * step
    step //= 2
    while step:
        is_below = compare(take_in_rows(ascending, places + (step - 1)), values)
        places = places + step * ops.cast(is_below, places.dtype)
        step //= 2
    return places


def _count_below_in_place(ascending: Tensor, values: Tensor, or_equal: bool) -> Any:
    """Does the same on PyTorch, where each new tensor of this size costs as much as a step."""
    import torch

    compare = torch.le if or_equal else torch.lt
    places = torch.zeros(values.shape, dtype=torch.int64, device=values.device)
    # As floats: a sum of truth values and integers converts them several times.
    counts, item = torch.zeros_like(values), torch.empty_like(values)
    step = (ascending.shape[1] + 1) // 2
    while step:
        torch.gather(ascending[:, step - 1 :], 1, places, out=item)
        counts.add_(compare(item, values, out=item), alpha=step)
        places.copy_(counts)
        step //= 2
    return places


def index_dtype() -> str:
    """Returns the dtype of the indices that `take_in_rows` takes."""
    return "int64" if keras.backend.backend() == "torch" else "int32"


def take_in_rows(rows: Tensor, columns: Tensor) -> Any:
    """Does `ops.take_along_axis` over the columns, without its checks for negative indices.

    Args:
        rows: Tensor `(rows, items)`.
        columns: Tensor `(rows, columns)` of `index_dtype`, from 0 and below the number of items.

    Returns:
        Tensor `(rows, columns)`.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.ops.row_search import index_dtype, take_in_rows
    >>> columns = ops.array([[1, 1], [0, 1]], dtype=index_dtype())
    >>> ops.convert_to_numpy(take_in_rows(ops.array([[1, 2], [3, 4]]), columns)).tolist()
    [[2, 2], [3, 4]]
    """
    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        return torch.gather(rows, 1, columns)
    num_rows, size = ops.shape(rows)[0], ops.shape(rows)[1]
    places = columns + size * ops.arange(num_rows, dtype="int32")[:, None]
    flat = ops.reshape(rows, (-1,))
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.gather(flat, places)
    if backend == "jax":
        return flat.at[places].get(mode="promise_in_bounds")
    return ops.take(flat, places)


def sum_in_rows(columns: Tensor, values: Tensor, num_columns: Tensor | int) -> Any:
    """Adds each value to a column of its row.

    Args:
        columns: Tensor `(rows, k)` of `index_dtype`, below `num_columns`.
        values: Float tensor `(rows, k)`.
        num_columns: Number of columns of the result.

    Returns:
        Float tensor `(rows, num_columns)`, 0 where nothing was added.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.ops.row_search import index_dtype, sum_in_rows
    >>> columns = ops.array([[1, 1], [0, 1]], dtype=index_dtype())
    >>> ops.convert_to_numpy(sum_in_rows(columns, ops.array([[1.0, 2.0], [3.0, 4.0]]), 3)).tolist()
    [[0.0, 3.0, 0.0], [3.0, 4.0, 0.0]]
    """
    if keras.backend.backend() == "torch":
        # Keras takes segments of the first axis, and repeats the index of each.
        return values.new_zeros((values.shape[0], num_columns)).scatter_add_(1, columns, values)
    return _segments_in_rows(ops.segment_sum, columns, values, num_columns)


def add_in_rows(rows: Tensor, columns: Tensor, values: Tensor) -> Any:
    """Adds each value to a column of its row of a tensor, in place where the backend can.

    The caller must not use `rows` afterwards.

    Args:
        rows: Float tensor `(rows, columns)` without other references.
        columns: As for `sum_in_rows`.
        values: Float tensor `(rows, k)`.

    Returns:
        The changed `rows`.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.ops.row_search import add_in_rows, index_dtype
    >>> columns = ops.array([[1, 1], [0, 1]], dtype=index_dtype())
    >>> sums = add_in_rows(ops.ones((2, 3)), columns, ops.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> ops.convert_to_numpy(sums).tolist()
    [[1.0, 4.0, 1.0], [4.0, 5.0, 1.0]]
    """
    backend = keras.backend.backend()
    if backend == "torch":
        return rows.scatter_add_(1, columns, values)
    if backend == "jax":
        row_numbers = ops.arange(ops.shape(rows)[0], dtype="int32")[:, None]
        return rows.at[row_numbers, columns].add(values, mode="promise_in_bounds")
    return rows + sum_in_rows(columns, values, ops.shape(rows)[1])


def min_in_rows(columns: Tensor, values: Tensor, num_columns: Tensor | int) -> Any:
    """Finds the least of the values of each column.

    Args:
        columns: As for `sum_in_rows`.
        values: Float tensor `(rows, k)`, infinity or far below the largest number.
        num_columns: As for `sum_in_rows`.

    Returns:
        Float tensor `(rows, num_columns)`, infinity for a column without values.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.ops.row_search import index_dtype, min_in_rows
    >>> columns = ops.array([[1, 1], [0, 1]], dtype=index_dtype())
    >>> ops.convert_to_numpy(min_in_rows(columns, ops.array([[1.0, 2.0], [3.0, 4.0]]), 2)).tolist()
    [[inf, 1.0], [3.0, 4.0]]
    """
    if keras.backend.backend() == "torch":
        start = values.new_full((values.shape[0], num_columns), float("inf"))
        return start.scatter_reduce_(1, columns, values, "amin")
    least = -_segments_in_rows(ops.segment_max, columns, -values, num_columns)
    # Without values TensorFlow returns the lowest number that is finite.
    return ops.where(least < _FAR_BELOW_THE_LARGEST, least, float("inf"))


def _segments_in_rows(
    reduce: Callable[..., Tensor], columns: Tensor, values: Tensor, num_columns: Tensor | int
) -> Any:
    num_rows = ops.shape(values)[0]
    places = columns + num_columns * ops.arange(num_rows, dtype=columns.dtype)[:, None]
    flat = reduce(ops.reshape(values, (-1,)), ops.reshape(places, (-1,)), num_rows * num_columns)
    return ops.reshape(flat, (num_rows, num_columns))

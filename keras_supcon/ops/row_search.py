"""Places of many values among the few ascending items of their row."""

from typing import Any

import keras
from keras import ops

from keras_supcon.typing import Tensor


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
    compare = ops.less_equal if or_equal else ops.less
    places = ops.zeros_like(values, dtype=index_dtype())
    step = (ascending.shape[1] + 1) // 2
    while step:
        is_below = compare(take_in_rows(ascending, places + (step - 1)), values)
        places = places + step * ops.cast(is_below, places.dtype)
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

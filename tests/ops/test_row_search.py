"""Searches, sums and minima in rows are those of NumPy."""

import numpy as np
import pytest
from keras import ops

from keras_supcon.ops.row_search import (
    count_below,
    index_dtype,
    min_in_rows,
    sum_in_rows,
    take_in_rows,
)

pytestmark = pytest.mark.neutral


@pytest.mark.parametrize("or_equal", [False, True])
@pytest.mark.parametrize("num_items", [1, 7, 127])
def test_counts_the_items_below_each_value(rng, num_items, or_equal):
    """With ties, and with infinity in both."""
    items = np.sort(rng.integers(0, 40, (5, num_items)), axis=1).astype("float32")
    items[1], items[2, num_items // 2 :] = np.inf, np.inf
    values = rng.integers(-1, 42, (5, 60)).astype("float32")
    values[:, ::7] = np.inf
    expected = [
        np.searchsorted(row, of_row, side="right" if or_equal else "left")
        for row, of_row in zip(items, values, strict=True)
    ]
    counts = count_below(ops.convert_to_tensor(items), ops.convert_to_tensor(values), or_equal)
    np.testing.assert_array_equal(ops.convert_to_numpy(counts), expected)


def test_takes_adds_and_finds_the_least_in_the_columns_of_each_row(rng):
    columns, values = rng.integers(0, 6, (4, 30)), rng.normal(size=(4, 30)).astype("float32")
    columns[columns == 3] = 4
    places = ops.convert_to_tensor(columns.astype(index_dtype()))
    tensor = ops.convert_to_tensor(values)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(take_in_rows(tensor, places)),
        np.take_along_axis(values, columns, axis=1),
    )
    is_in = columns[:, None] == np.arange(7)[None, :, None]
    np.testing.assert_allclose(
        ops.convert_to_numpy(sum_in_rows(places, tensor, 7)),
        (is_in * values[:, None]).sum(axis=2),
        rtol=1e-5,
        atol=1e-6,
    )
    np.testing.assert_array_equal(
        ops.convert_to_numpy(min_in_rows(places, tensor, 7)),
        np.where(is_in, values[:, None], np.inf).min(axis=2),
    )

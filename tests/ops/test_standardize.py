"""Class ids of labels that nobody needs to read."""

import numpy as np
import pytest
from keras import ops

from keras_supcon.ops.standardize import class_ids_if_any

pytestmark = pytest.mark.neutral

NAN = float("nan")
# name: (labels, ids)
LABELS = {
    "ids": (np.array([0, 3, -1, -7]), [0, 3, -1, -1]),
    "a column": (np.array([[1], [0]], "uint8"), [1, 0]),
    "booleans": (np.array([True, False]), [1, 0]),
    "unsigned": (np.array([5, 2**31 - 1, 2**31], "uint32"), [5, 2**31 - 1, -1]),
    "floats": (
        np.array([2.0, 0.5, -1.0, NAN, 2.0**24, 2.0**25], "float32"),
        [2, -1, -1, -1, 2**24, -1],
    ),
    "half precision": (np.array([2.0, 0.5], "float16"), [2, -1]),
    "one-hot rows": (np.eye(3, dtype="int32")[[2, 0]], [2, 0]),
    "several classes": (np.array([[1, 1, 0], [0, 0, 0], [0, 1, 0]]), [-1, -1, 1]),
    "targets": (np.array([[0.5, 0.5], [2.0, -1.0], [0.0, 1.0]], "float32"), [-1, -1, 1]),
    "images": (np.zeros((2, 3, 4)), [-1, -1]),
    "a dictionary": ({"a": np.zeros(2), "b": np.ones(2)}, [-1, -1]),
}


@pytest.mark.parametrize("name", LABELS)
def test_ids_are_read_where_there_are_some(name):
    labels, expected = LABELS[name]
    is_dictionary = isinstance(labels, dict)
    tensors = (
        {key: ops.convert_to_tensor(one) for key, one in labels.items()}
        if is_dictionary
        else ops.convert_to_tensor(labels)
    )
    actual = ops.convert_to_numpy(class_ids_if_any(tensors))
    np.testing.assert_array_equal(actual, expected)
    assert actual.dtype == "int32"

"""Permuted rows take the permuted gradient."""

import numpy as np
import pytest
from keras import ops

from keras_supcon.ops.permutation import permute_rows
from tests.autodiff import value_and_gradient

pytestmark = pytest.mark.neutral


def test_permutes_rows_and_sends_their_gradient_back(rng):
    x, weights, order = (
        rng.normal(size=(6, 2, 3)).astype("float32"),
        rng.normal(size=(6, 2, 3)),
        rng.permutation(6),
    )
    order_tensor, back = ops.convert_to_tensor(order), ops.convert_to_tensor(np.argsort(order))
    np.testing.assert_array_equal(
        ops.convert_to_numpy(permute_rows(x, order_tensor, back)), x[order]
    )
    _, gradient = value_and_gradient(
        lambda x: ops.sum(permute_rows(x, order_tensor, back) * ops.cast(weights, "float32")), x
    )
    np.testing.assert_allclose(gradient, weights[np.argsort(order)], rtol=1e-6)

"""A rule over all contrasts of an anchor gets its gradient block by block."""

import numpy as np
import pytest
from keras import ops

from keras_supcon.ops import Rows
from keras_supcon.ops.whole_rows import row_loss
from tests.autodiff import compiled_value_and_gradient, value_and_gradient

pytestmark = pytest.mark.neutral


@pytest.mark.parametrize("block_size", [None, 1, 4])
def test_a_rule_over_whole_rows_gets_its_gradient(rng, block_size):
    """The rule: squared products of the positives minus products of the negatives."""
    group = np.array([0, 0, 1, 1, 1, 2])
    rows = Rows(
        *(
            ops.convert_to_tensor(v.astype("int32"))
            for v in (np.arange(6), group, np.array([0, 1, 0, 1, 2, 0]))
        )
    )
    z, weights = rng.normal(size=(6, 3)).astype("float32"), rng.normal(size=6).astype("float32")
    same = group[:, None] == group[None]
    positive, negative = same & ~np.eye(6, dtype=bool), ~same

    def losses(products, pairs):
        zero = ops.zeros_like(products)
        terms = ops.where(pairs.is_positive, products**2, zero)
        terms = terms - ops.where(pairs.is_negative, products, zero)
        return ops.sum(terms, axis=1, keepdims=True)

    def slopes(products, pairs):
        zero = ops.zeros_like(products)
        return ops.where(pairs.is_positive, 2 * products, zero) - ops.where(
            pairs.is_negative, ops.ones_like(products), zero
        )

    counts = [
        ops.convert_to_tensor(mask.sum(axis=1).astype("float32")) for mask in (positive, negative)
    ]
    products = z.astype("float64") @ z.T
    expected = (positive * products**2 - negative * products).sum(axis=1)
    expected_slopes = (2 * positive * products - negative) * weights[:, None]
    for run in (value_and_gradient, compiled_value_and_gradient):
        value, gradient = run(
            lambda z: ops.sum(
                row_loss(z, rows, z, rows, *counts, losses, slopes, block_size)
                * ops.convert_to_tensor(weights)
            ),
            z,
        )
        np.testing.assert_allclose(value, expected @ weights, rtol=1e-5)
        np.testing.assert_allclose(
            gradient, (expected_slopes + expected_slopes.T) @ z, rtol=1e-4, atol=1e-5
        )

"""A rule over all contrasts of an anchor gets its gradient block by block."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon.ops import Rows
from keras_supcon.ops.whole_rows import row_loss
from tests.autodiff import compiled_value_and_gradient, value_and_gradient

pytestmark = pytest.mark.neutral


@pytest.mark.parametrize("block_size", [None, 1, 4])
@pytest.mark.parametrize("are_equal", [False, True])
def test_a_rule_over_whole_rows_gets_its_gradient(rng, block_size, are_equal):
    """The rule: squared products of the positives minus products of the negatives. The last row has
    no positive, and so no gradient.
    """
    group = np.array([0, 0, 1, 1, 1, 2])
    rows = Rows(
        *(
            ops.convert_to_tensor(v.astype("int32"))
            for v in (np.arange(6), group, np.array([0, 1, 0, 1, 2, 0]))
        )
    )
    z, weights = rng.normal(size=(6, 3)).astype("float32"), rng.normal(size=6).astype("float32")
    if are_equal:
        weights[:] = -0.7
    weights[5] = 0 if are_equal else 2.0
    same = group[:, None] == group[None]
    positive, negative = same & ~np.eye(6, dtype=bool), ~same

    def rule(products, pairs):
        zero = ops.zeros_like(products)
        terms = ops.where(pairs.is_positive, products**2, zero)
        terms = terms - ops.where(pairs.is_negative, products, zero)
        slopes = ops.where(pairs.is_positive, 2 * products, zero) - ops.where(
            pairs.is_negative, ops.ones_like(products), zero
        )
        return ops.sum(terms, axis=1, keepdims=True), slopes

    counts = [
        ops.convert_to_tensor(mask.sum(axis=1).astype("float32")) for mask in (positive, negative)
    ]
    products = z.astype("float64") @ z.T
    expected = (positive * products**2 - negative * products).sum(axis=1)
    expected_slopes = (2 * positive * products - negative) * weights[:, None]
    expected_slopes[5] = 0
    for run in (value_and_gradient, compiled_value_and_gradient):
        value, gradient = run(
            lambda z: ops.sum(
                row_loss(z, rows, z, rows, *counts, rule, block_size)
                * ops.convert_to_tensor(weights)
            ),
            z,
        )
        np.testing.assert_allclose(value, expected @ weights, rtol=1e-5)
        np.testing.assert_allclose(
            gradient, (expected_slopes + expected_slopes.T) @ z, rtol=1e-4, atol=1e-5
        )


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="a program of JAX holds both ways")
@pytest.mark.parametrize("are_equal", [False, True])
def test_losses_with_one_factor_are_visited_once(rng, are_equal):
    group = ops.convert_to_tensor(np.array([0, 0, 1, 1], "int32"))
    places = ops.convert_to_tensor(np.arange(4, dtype="int32"))
    rows, counts = Rows(places, group, places), [ops.ones(4), 2 * ops.ones(4)]
    weights = ops.convert_to_tensor(np.full(4, 0.3, "float32") if are_equal else rng.random(4))
    visits = []

    def rule(products, pairs):
        visits.append(1)
        return ops.sum(products, axis=1, keepdims=True), ops.ones_like(products)

    def loss(z):
        losses = row_loss(z, rows, z, rows, *counts, rule, 2)
        return ops.sum(losses * ops.cast(weights, losses.dtype))

    value_and_gradient(loss, rng.normal(size=(4, 3)).astype("float32"))
    assert len(visits) == (2 if are_equal else 4)

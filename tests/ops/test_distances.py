"""Dot products of these vectors are negative squared distances."""

import numpy as np
import pytest
from keras import ops

from keras_supcon.ops import distance_anchors, distance_contrasts
from tests.autodiff import value_and_gradient

pytestmark = pytest.mark.neutral


def test_products_are_minus_the_squared_distances_with_their_gradient(rng):
    a, c = rng.normal(size=(5, 3)).astype("float32"), rng.normal(size=(7, 3)).astype("float32")

    def products(a):
        return ops.matmul(distance_anchors(a), ops.transpose(distance_contrasts(c)))

    expected = -np.sum((a[:, None] - c[None]) ** 2, axis=2)
    np.testing.assert_allclose(ops.convert_to_numpy(products(a)), expected, rtol=1e-5, atol=1e-5)
    _, gradient = value_and_gradient(lambda a: ops.sum(products(a)), a)
    np.testing.assert_allclose(
        gradient, -2 * np.sum(a[:, None] - c[None], axis=1), rtol=1e-4, atol=1e-5
    )

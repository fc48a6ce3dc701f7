"""Weighted sums of rows, against products with the whole matrix of weights in float64."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon.ops import BlockWeighting, PairWeighting, Rows
from keras_supcon.ops.weighted_row_sum import weighted_row_sum
from tests.autodiff import compiled_value_and_gradient, quickest_value_and_gradient
from tests.covering import every_pair
from tests.ops.test_pair_sum import SETS, dense_mask, rows_of

pytestmark = pytest.mark.neutral

RUNS = {"step by step": quickest_value_and_gradient}
if keras.backend.backend() == "tensorflow":
    RUNS["compiled"] = compiled_value_and_gradient


def near(labels, others):
    return ops.exp(-ops.abs(labels[:, :1] - ops.transpose(others[:, :1])))


def above(labels, others):
    return ops.maximum(labels[:, :1] - ops.transpose(others[:, 1:]), 0.0)


# The weights of two blocks, or of dot products, and the same of all pairs.
WEIGHTS = {
    "symmetric": (near, lambda f, g: np.exp(-np.abs(f[:, :1] - g[:, :1].T))),
    "not symmetric": (above, lambda f, g: np.maximum(f[:, :1] - g[:, 1:].T, 0)),
    "of products": (None, lambda f, g: (f @ g.T) ** 2),
}


def weighting_of(name, labels, others):
    if name == "of products":
        return PairWeighting(lambda dot, *_: dot**2, labels, others)
    return BlockWeighting(WEIGHTS[name][0], labels, others, is_symmetric=name == "symmetric")


@every_pair(
    run=RUNS,
    name=list(SETS),
    size=[(7, 2), (7, None), (12, 4), (1, 3)],
    weight=list(WEIGHTS),
)
def test_same_rows_equal_the_full_matrix(rng, run, name, size, weight):
    num_rows, block_size = size
    rows = rows_of(np.sort(rng.integers(0, 3, num_rows)))
    features, labels = (rng.normal(size=(num_rows, dim)).astype("float32") for dim in (3, 2))
    upstream = rng.normal(size=(num_rows, 3)).astype("float32")
    mask = dense_mask(SETS[name], rows, rows)
    weights = np.where(mask, WEIGHTS[weight][1](labels, labels), 0).astype("float64")

    def total(features):
        weighting = weighting_of(weight, labels, None)
        sums = weighted_row_sum(rows, features, None, SETS[name], weighting, block_size)
        return ops.sum(sums * ops.convert_to_tensor(upstream))

    actual, gradient = run(total, features)
    np.testing.assert_allclose(actual, np.sum(weights @ features * upstream), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gradient, weights.T @ upstream, rtol=1e-4, atol=2e-5)


@every_pair(run=RUNS, name=list(SETS), weight=list(WEIGHTS), block_size=[None, 2, 3])
def test_other_rows_equal_the_full_matrix(rng, run, name, weight, block_size):
    """Anchors are the rows 2 to 6 of nine contrasts, of which one is not present."""
    contrast_rows = rows_of(np.sort(rng.integers(0, 3, 9)))
    anchor_rows = Rows(*(vector[2:7] for vector in contrast_rows[:3]))
    present = np.arange(9) != 4
    contrast_rows = contrast_rows._replace(present=ops.convert_to_tensor(present.astype("float32")))
    features = rng.normal(size=(9, 3)).astype("float32") * present[:, None]
    labels, others = (rng.normal(size=(rows, 2)).astype("float32") for rows in (5, 9))
    upstream = rng.normal(size=(5, 3)).astype("float32")
    mask = dense_mask(SETS[name], anchor_rows, contrast_rows)
    weights = np.where(mask, WEIGHTS[weight][1](labels, others), 0).astype("float64")

    def total(features):
        weighting = weighting_of(weight, labels, others)
        sums = weighted_row_sum(
            anchor_rows, features, contrast_rows, SETS[name], weighting, block_size
        )
        return ops.sum(sums * ops.convert_to_tensor(upstream))

    actual, gradient = run(total, features)
    np.testing.assert_allclose(actual, np.sum(weights @ features * upstream), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        gradient[present], (weights.T @ upstream)[present], rtol=1e-4, atol=2e-5
    )

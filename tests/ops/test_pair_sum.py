"""Sums over pairs tile by tile, against sums over the whole matrix of pairs in float64."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon.ops import NEGATIVES, OTHERS, POSITIVES, Rows, pair_argmax, pair_max, pair_sum
from tests.autodiff import (
    compiled,
    compiled_value_and_gradient,
    quickest,
    quickest_value_and_gradient,
    value_and_gradient,
)
from tests.covering import every_pair, every_value

pytestmark = pytest.mark.neutral

SETS = {
    "others": OTHERS,
    "positives": POSITIVES,
    "negatives": NEGATIVES,
    "capped positives": POSITIVES._replace(max_samples=1),
    "capped others": OTHERS._replace(max_samples=1),
}


def rows_of(groups: np.ndarray, first_index: int = 0) -> Rows:
    rank = np.concatenate([np.arange(count) for count in np.unique(groups, return_counts=True)[1]])
    return Rows(
        *(
            ops.convert_to_tensor(vector.astype("int32"))
            for vector in (first_index + np.arange(len(groups)), groups, rank)
        )
    )


def dense_mask(pairs, anchors: Rows, contrasts: Rows) -> np.ndarray:
    """The rules of a pair set, spelled out for every pair."""
    (index, group, rank), (other_index, other_group, other_rank) = (
        [ops.convert_to_numpy(vector) for vector in rows[:3]] for rows in (anchors, contrasts)
    )
    mask = np.zeros((len(index), len(other_index)), bool)
    for i, j in np.ndindex(mask.shape):
        if index[i] == other_index[j]:
            continue
        if group[i] != other_group[j]:
            mask[i, j] = pairs.other_classes
        elif pairs.same_class:
            others = [r for r in range(100) if r != rank[i]]
            kept = others if pairs.max_samples is None else [rank[i], *others[: pairs.max_samples]]
            mask[i, j] = other_rank[j] in [rank[i], *kept]
    return mask


def value(similarity, parameter):
    return ops.exp(similarity if parameter is None else similarity - parameter)


RUNS = {"step by step": quickest_value_and_gradient, "compiled": compiled_value_and_gradient}


@pytest.mark.slow
@every_pair(
    run=RUNS if keras.backend.backend() == "tensorflow" else {"": quickest_value_and_gradient},
    name=list(SETS),
    size=[(7, 2), (7, None), (12, 4), (1, 3)],
    has_parameter=[False, True],
)
def test_same_rows_equal_the_full_matrix(rng, run, name, size, has_parameter):
    num_rows, block_size = size
    groups = np.sort(rng.integers(0, 3, num_rows))
    rows, features = rows_of(groups), rng.uniform(-1, 1, (num_rows, 3)).astype("float32")
    weights, parameter = (
        rng.normal(size=num_rows).astype("float32"),
        rng.normal(size=num_rows).astype("float32"),
    )
    shift = parameter if has_parameter else None
    mask = dense_mask(SETS[name], rows, rows)
    z = features.astype("float64")
    tile = np.where(mask, np.exp(z @ z.T - (parameter[:, None] if has_parameter else 0)), 0)
    weighted = tile * weights[:, None]

    def total(z):
        sums = pair_sum(z, rows, None, None, SETS[name], value, value, shift, block_size)
        return ops.sum(sums * ops.convert_to_tensor(weights))

    actual, gradient = run(total, features)
    np.testing.assert_allclose(actual, weighted.sum(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(gradient, (weighted + weighted.T) @ z, rtol=1e-4, atol=1e-5)


@every_value(name=list(SETS), block_size=[None, 2, 3])
def test_other_rows_equal_the_full_matrix(rng, name, block_size):
    """Anchors are the rows 2 to 6 of nine contrasts."""
    groups = np.sort(rng.integers(0, 3, 9))
    contrast_rows = rows_of(groups)
    anchor_rows = Rows(*(vector[2:7] for vector in contrast_rows[:3]))
    anchors, contrasts = (
        rng.normal(size=(5, 3)).astype("float32"),
        rng.normal(size=(9, 3)).astype("float32"),
    )
    weights = rng.normal(size=5).astype("float32")
    mask = dense_mask(SETS[name], anchor_rows, contrast_rows)
    weighted = np.where(mask, np.exp(anchors.astype("float64") @ contrasts.T), 0) * weights[:, None]

    def total(a, c, constant=False):
        sums = pair_sum(
            a, anchor_rows, c, contrast_rows, SETS[name], value, value, None, block_size, constant
        )
        return ops.sum(sums * ops.convert_to_tensor(weights))

    actual, gradient = quickest_value_and_gradient(lambda a: total(a, contrasts), anchors)
    np.testing.assert_allclose(actual, weighted.sum(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(gradient, weighted @ contrasts, rtol=1e-4, atol=1e-5)
    _, gradient = quickest_value_and_gradient(lambda c: total(anchors, c), contrasts)
    np.testing.assert_allclose(gradient, weighted.T @ anchors, rtol=1e-4, atol=1e-5)
    _, gradient = quickest_value_and_gradient(lambda a: total(a, contrasts, constant=True), anchors)
    np.testing.assert_allclose(gradient, weighted @ contrasts, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", list(SETS))
def test_anchors_of_one_block_may_come_in_any_order(rng, name):
    """Twenty contrasts in four blocks; which of their tiles need a mask depends on all anchors, not
    on the first and last.
    """
    groups = np.sort(rng.integers(0, 6, 20))
    contrast_rows, order = rows_of(groups), rng.permutation(20)[:5]
    anchor_rows = Rows(*(ops.take(vector, order) for vector in contrast_rows[:3]))
    contrasts = rng.uniform(-1, 1, (20, 3)).astype("float32")
    anchors = contrasts[order]
    mask = dense_mask(SETS[name], anchor_rows, contrast_rows)
    products = anchors.astype("float64") @ contrasts.T
    arguments = (anchors, anchor_rows, contrasts, contrast_rows, SETS[name])
    actual = ops.convert_to_numpy(pair_sum(*arguments, value, value, None, 6))
    np.testing.assert_allclose(actual, np.where(mask, np.exp(products), 0).sum(axis=1), rtol=1e-5)
    products = np.where(mask, products, -np.inf)
    largest = ops.convert_to_numpy(pair_max(*arguments, 6))
    np.testing.assert_allclose(largest, products.max(axis=1), rtol=1e-5)
    nearest = ops.convert_to_numpy(pair_argmax(*arguments, 6))
    np.testing.assert_array_equal(nearest, np.where(mask.any(axis=1), products.argmax(axis=1), -1))


@every_value(name=list(SETS), block_size=[3, None, 2])
def test_maximum_equals_that_of_the_full_matrix(rng, name, block_size):
    rows, features = (
        rows_of(np.sort(rng.integers(0, 3, 8))),
        rng.normal(size=(8, 3)).astype("float32"),
    )
    mask = dense_mask(SETS[name], rows, rows)
    expected = np.where(mask, features @ features.T, -np.inf)
    arguments = (features, rows, features, rows, SETS[name], block_size)
    np.testing.assert_allclose(
        ops.convert_to_numpy(pair_max(*arguments)), expected.max(axis=1), rtol=1e-5
    )
    nearest = np.where(mask.any(axis=1), expected.argmax(axis=1), -1)
    np.testing.assert_array_equal(ops.convert_to_numpy(pair_argmax(*arguments)), nearest)


@pytest.mark.parametrize("run", [quickest, compiled])
@pytest.mark.parametrize("block_size", [None, 4])
def test_of_equally_near_rows_the_nearest_is_the_first(rng, run, block_size):
    """Products of small whole numbers are exact, 0 and -0 are equal."""
    anchors, contrasts = (rng.integers(-1, 2, (rows, 2)).astype("float32") for rows in (7, 30))
    anchors[0] = -0.0
    products = anchors @ contrasts.T
    assert np.all((products == products.max(axis=1, keepdims=True)).sum(axis=1) > 1)

    def nearest(rows):
        return pair_argmax(rows["anchors"], None, rows["contrasts"], block_size=block_size)

    places = run(nearest)({"anchors": anchors, "contrasts": contrasts})
    assert keras.backend.standardize_dtype(places.dtype) == "int32"
    np.testing.assert_array_equal(ops.convert_to_numpy(places), products.argmax(axis=1))


@pytest.mark.parametrize("block_size", [None, 3])
def test_rows_that_are_not_present_are_no_neighbors(rng, block_size):
    anchors, contrasts = (rng.normal(size=(rows, 3)).astype("float32") for rows in (5, 8))
    present = np.array([0, 1, 0, 1, 1, 0, 1, 0], "float32")
    contrasts[present == 0] *= 100
    products = np.where(present > 0, anchors @ contrasts.T, -np.inf)
    arguments = (anchors, None, contrasts, Rows(present=present), None, block_size)
    places, largest = pair_argmax(*arguments), pair_max(*arguments)
    np.testing.assert_array_equal(ops.convert_to_numpy(places), products.argmax(axis=1))
    np.testing.assert_allclose(ops.convert_to_numpy(largest), products.max(axis=1), rtol=1e-6)
    none = Rows(present=0 * present)
    places = pair_argmax(anchors, None, contrasts, none, None, block_size)
    np.testing.assert_array_equal(ops.convert_to_numpy(places), -1)


def test_neighbors_of_a_queue_are_those_of_nnclr():
    def unit(rows, start):
        z = np.sin(start + 1.7 * np.arange(rows * 4)).reshape(rows, 4)
        return (z / np.linalg.norm(z, axis=1, keepdims=True)).astype("float32")

    places = pair_argmax(unit(6, 1.0), None, unit(5, 3.3))
    assert ops.convert_to_numpy(places).tolist() == [4, 0, 0, 0, 0, 1]


def test_the_nearest_takes_no_gradient(rng):
    z = rng.normal(size=(4, 3)).astype("float32")
    _, gradient = quickest_value_and_gradient(
        lambda z: ops.sum(z) + ops.sum(ops.cast(pair_argmax(z, None, z), "float32")), z
    )
    np.testing.assert_array_equal(gradient, 1)


def test_what_a_function_gives_outside_the_set_does_not_matter():
    """The first two rows are one class; their product overflows, and so does its exponential."""
    rows = rows_of(np.array([0, 0, 1]))
    z = np.array([[1e15, 0], [1e15, 1], [0, 1]], "float32")
    total, gradient = value_and_gradient(
        lambda z: ops.sum(pair_sum(z, rows, None, None, NEGATIVES, value, value)), z
    )
    np.testing.assert_allclose(total, 2 + 2 * np.e, rtol=1e-6)
    assert np.all(np.isfinite(gradient))

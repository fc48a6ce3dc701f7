"""Weights of pairs, against weighted sums over the whole matrix of pairs in float64."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon.ops import NEGATIVES, OTHERS, PairWeighting, Rows, pair_sum
from tests.autodiff import (
    compiled_value_and_gradient,
    quickest_value_and_gradient,
    value_and_gradient,
)
from tests.covering import every_pair
from tests.ops.test_pair_sum import SETS, dense_mask, rows_of

pytestmark = pytest.mark.neutral


def value(similarity, parameter):
    return ops.exp(similarity if parameter is None else similarity - parameter)


def products(dot, own, other):
    return dot


def of_anchor(dot, own, other):
    return ops.exp(dot - own)


def of_contrast(dot, own, other):
    return dot * other


def of_both(dot, own, other):
    return ops.exp(dot - own) * (2 + other)


WEIGHTS = {
    "of products": (products, lambda f, p, q: f),
    "of anchors": (of_anchor, lambda f, p, q: np.exp(f - p[:, None])),
    "of contrasts": (of_contrast, lambda f, p, q: f * q[None]),
    "of both": (of_both, lambda f, p, q: np.exp(f - p[:, None]) * (2 + q[None])),
}
RUNS = {"step by step": quickest_value_and_gradient}
if keras.backend.backend() == "tensorflow":
    RUNS["compiled"] = compiled_value_and_gradient


def weighting_of(name, features, contrasts, p, q) -> PairWeighting:
    has_p, has_q = name in ("of anchors", "of both"), name in ("of contrasts", "of both")
    return PairWeighting(
        WEIGHTS[name][0], features, contrasts, p if has_p else None, q if has_q else None
    )


@pytest.mark.slow
@every_pair(
    run=RUNS,
    name=list(SETS),
    size=[(7, 2), (7, None), (12, 4), (1, 3)],
    weight=list(WEIGHTS),
    has_parameter=[False, True],
)
def test_same_rows_equal_the_full_matrix(rng, run, name, size, weight, has_parameter):
    num_rows, block_size = size
    rows = rows_of(np.sort(rng.integers(0, 3, num_rows)))
    z, f = (rng.uniform(-1, 1, (num_rows, dim)).astype("float32") for dim in (3, 2))
    upstream, parameter, p, q = rng.normal(size=(4, num_rows)).astype("float32")
    of_pairs = WEIGHTS[weight][1]((f @ f.T).astype("float64"), p, q)
    exponents = z.astype("float64") @ z.T - (parameter[:, None] if has_parameter else 0)
    mask = dense_mask(SETS[name], rows, rows)
    tile = np.where(mask, of_pairs * np.exp(exponents), 0) * upstream[:, None]

    def total(z):
        sums = pair_sum(
            z,
            rows,
            None,
            None,
            SETS[name],
            value,
            value,
            parameter if has_parameter else None,
            block_size,
            weighting=weighting_of(weight, f, None, p, q),
        )
        return ops.sum(sums * ops.convert_to_tensor(upstream))

    actual, gradient = run(total, z)
    np.testing.assert_allclose(actual, tile.sum(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(gradient, (tile + tile.T) @ z, rtol=1e-4, atol=2e-5)


@every_pair(run=RUNS, name=list(SETS), weight=list(WEIGHTS), block_size=[None, 2, 3])
def test_other_rows_equal_the_full_matrix(rng, run, name, weight, block_size):
    """Anchors are the rows 2 to 6 of nine contrasts, and have other features."""
    contrast_rows = rows_of(np.sort(rng.integers(0, 3, 9)))
    anchor_rows = Rows(*(vector[2:7] for vector in contrast_rows[:3]))
    anchors, contrasts = (rng.normal(size=(rows, 3)).astype("float32") for rows in (5, 9))
    f, g = (rng.uniform(-1, 1, (rows, 2)).astype("float32") for rows in (5, 9))
    upstream, p, q = (rng.normal(size=size).astype("float32") for size in (5, 5, 9))
    mask = dense_mask(SETS[name], anchor_rows, contrast_rows)
    of_pairs = WEIGHTS[weight][1]((f @ g.T).astype("float64"), p, q)
    exponentials = np.exp(anchors.astype("float64") @ contrasts.T)
    tile = np.where(mask, of_pairs * exponentials, 0) * upstream[:, None]

    def total(a, c, constant=False):
        sums = pair_sum(
            a,
            anchor_rows,
            c,
            contrast_rows,
            SETS[name],
            value,
            value,
            None,
            block_size,
            constant,
            weighting_of(weight, f, g, p, q),
        )
        return ops.sum(sums * ops.convert_to_tensor(upstream))

    actual, gradient = run(lambda a: total(a, contrasts), anchors)
    np.testing.assert_allclose(actual, tile.sum(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(gradient, tile @ contrasts, rtol=1e-4, atol=2e-5)
    _, gradient = run(lambda c: total(anchors, c), contrasts)
    np.testing.assert_allclose(gradient, tile.T @ anchors, rtol=1e-4, atol=2e-5)
    _, gradient = run(lambda a: total(a, contrasts, constant=True), anchors)
    np.testing.assert_allclose(gradient, tile @ contrasts, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("block_size", [None, 2])
def test_weights_take_no_gradient(rng, block_size):
    """Also where the features of the weights are those of the sum."""
    z, rows = rng.uniform(-1, 1, (5, 3)).astype("float32"), rows_of(np.arange(5))

    def total(z, features):
        weighting = PairWeighting(of_both, features, None, features[:, 0], features[:, 1])
        arguments = (OTHERS, value, value, None, block_size, False, weighting)
        return ops.sum(pair_sum(z, rows, None, None, *arguments))

    expected, slope = quickest_value_and_gradient(lambda one: total(one, z), z)
    actual, gradient = quickest_value_and_gradient(lambda one: total(one, one), z)
    np.testing.assert_allclose(actual, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=1e-6)


def test_what_a_weight_is_outside_the_set_does_not_matter():
    """That of the first two rows, which are one class, is infinite."""
    rows = rows_of(np.array([0, 0, 1]))
    features = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], "float32")
    weighting = PairWeighting(lambda dot, *_: 1 / (1 - dot), features)
    z = np.ones((3, 2), "float32")
    total, gradient = value_and_gradient(
        lambda z: ops.sum(
            pair_sum(z, rows, None, None, NEGATIVES, value, value, weighting=weighting)
        ),
        z,
    )
    assert total == pytest.approx(4 * np.exp(2), rel=1e-6)
    assert np.all(np.isfinite(gradient))


def test_rows_that_are_not_present_have_no_weight(rng):
    anchors, contrasts = (rng.normal(size=(rows, 3)).astype("float32") for rows in (4, 6))
    present = np.array([1, 0, 1, 1, 0, 1], "float32")
    contrasts *= present[:, None]
    f, g = (rng.normal(size=(rows, 2)).astype("float32") for rows in (4, 6))
    nowhere = ops.full((4,), -1, dtype="int32")
    sums = pair_sum(
        anchors,
        Rows(index=nowhere),
        contrasts,
        Rows(index=ops.arange(6, dtype="int32"), present=ops.convert_to_tensor(present)),
        OTHERS,
        value,
        value,
        block_size=4,
        weighting=PairWeighting(products, f, g),
    )
    expected = (f @ g.T * np.exp(anchors @ contrasts.T)) @ present
    np.testing.assert_allclose(ops.convert_to_numpy(sums), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("block_size", [None, 4])
def test_overlap_of_labels_is_a_weight(rng, block_size):
    """The example of the docstring, with a row without labels and with padded blocks."""
    labels = rng.integers(0, 2, (6, 4)).astype("float32")
    labels[2] = 0
    z, rows = rng.uniform(-1, 1, (6, 3)).astype("float32"), rows_of(np.arange(6))
    sizes = labels.sum(axis=1)

    def jaccard(common, own, other):
        return common / ops.maximum(own + other - common, 1)

    weighting = PairWeighting(jaccard, labels, None, sizes, sizes)
    given = {"block_size": block_size, "weighting": weighting}
    sums = pair_sum(z, rows, None, None, OTHERS, value, value, **given)
    expected = np.zeros(6)
    for i, j in np.ndindex(6, 6):
        union = max(np.sum(np.maximum(labels[i], labels[j])), 1)
        expected[i] += (i != j) * np.sum(labels[i] * labels[j]) / union * np.exp(z[i] @ z[j])
    np.testing.assert_allclose(ops.convert_to_numpy(sums), expected, rtol=1e-5)


@pytest.mark.parametrize("are_same", [True, False])
@pytest.mark.parametrize("run", [value_and_gradient, compiled_value_and_gradient])
def test_no_tensor_is_larger_than_a_tile(rng, run, are_same):
    """A single tile is kept for the backward pass; of several none is."""
    z, rows, shapes = rng.normal(size=(40, 3)).astype("float32"), rows_of(np.arange(40)), []

    def weight(dot, own, other):
        shapes.append(tuple(dot.shape))
        return dot

    def total(z, block_size):
        contrasts = (None, None) if are_same else (z, rows)
        sums = pair_sum(
            z,
            rows,
            *contrasts,
            OTHERS,
            value,
            value,
            block_size=block_size,
            weighting=PairWeighting(weight, z),
        )
        return ops.sum(sums)

    whole, _ = run(lambda z: total(z, None), z)
    assert shapes == [(40, 40)]
    del shapes[:]
    in_tiles, _ = run(lambda z: total(z, 8), z)
    assert set(shapes) == {(8, 8)}
    assert in_tiles == pytest.approx(whole, rel=1e-4)

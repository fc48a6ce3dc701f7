"""Rows of every magnitude keep their direction, with a gradient tangent to the sphere."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon.ops.normalization import convert_rows, l2_normalize, limit_norm
from tests.autodiff import compiled, compiled_value_and_gradient, value_and_gradient

pytestmark = pytest.mark.neutral


@pytest.mark.parametrize("magnitude", [1e-20, 1e-3, 1.0, 1e20])
def test_rows_have_length_one_at_every_magnitude(rng, magnitude):
    x = (rng.normal(size=(20, 7)) * magnitude).astype("float32")
    expected = x.astype("float64") / np.linalg.norm(x.astype("float64"), axis=1, keepdims=True)
    np.testing.assert_allclose(
        ops.convert_to_numpy(l2_normalize(x)), expected, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("magnitude", [1e-8, 1.0, 1e8])
def test_a_compiler_that_knows_the_rows_finds_the_same(rng, magnitude):
    """It works them out beforehand, by rules of its own."""
    x = (rng.normal(size=(20, 7)) * magnitude).astype("float32")
    unit = compiled(lambda zero: l2_normalize(x) + zero)(np.zeros((), "float32"))
    np.testing.assert_allclose(
        ops.convert_to_numpy(unit), ops.convert_to_numpy(l2_normalize(x)), rtol=1e-5, atol=1e-6
    )
    short = compiled(lambda zero: limit_norm(x, 0.1 * magnitude) + zero)(np.zeros((), "float32"))
    np.testing.assert_allclose(
        ops.convert_to_numpy(short),
        ops.convert_to_numpy(limit_norm(x, 0.1 * magnitude)),
        rtol=1e-5,
        atol=1e-6 * magnitude,
    )


def test_gradient_is_the_projection_onto_the_tangent_plane(rng):
    x, direction = (
        rng.normal(size=(5, 4)).astype("float32"),
        rng.normal(size=(5, 4)).astype("float32"),
    )
    _, gradient = value_and_gradient(lambda v: ops.sum(l2_normalize(v) * ops.array(direction)), x)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    unit = x / length
    expected = (direction - unit * np.sum(unit * direction, axis=1, keepdims=True)) / length
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)


def test_zero_rows_stay_zero_and_get_no_gradient():
    value, gradient = value_and_gradient(
        lambda v: ops.sum(l2_normalize(v)), np.zeros((3, 4), "float32")
    )
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros((3, 4)))


def test_limit_norm_shortens_long_rows_and_their_gradient():
    x = np.array([[3e37, 4e37], [3, 4], [0, 0], [1e-30, 0]], "float32")
    value, gradient = value_and_gradient(lambda v: ops.sum(limit_norm(v, 10.0)), x)
    np.testing.assert_allclose(
        ops.convert_to_numpy(limit_norm(x, 10.0)), [[6, 8], [3, 4], [0, 0], [1e-30, 0]], rtol=1e-6
    )
    np.testing.assert_allclose(gradient[1:], 1)
    np.testing.assert_allclose(gradient[0], 2e-37, rtol=1e-5)
    assert value == 21


def test_rows_at_the_ends_of_float32_keep_their_direction_and_a_finite_gradient():
    """A compiler multiplies by the reciprocal, which float32 does not hold for numbers above
    8.5e37.
    """
    largest = np.finfo("float32").max
    x = np.array(
        [[9e37, 4.5e37], [largest, -largest], [3e38, 1.0], [2e-30, 1e-30], [1e-38, 1e-40]],
        "float32",
    )
    expected = [
        [2 / 5**0.5, 1 / 5**0.5],
        [0.5**0.5, -(0.5**0.5)],
        [1, 0],
        [2 / 5**0.5, 1 / 5**0.5],
        [0, 0],
    ]
    np.testing.assert_allclose(
        ops.convert_to_numpy(compiled(l2_normalize)(x)), expected, rtol=1e-6, atol=1e-37
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(compiled(lambda v: limit_norm(v, 10.0))(x))[:3],
        10 * np.array(expected[:3]),
        rtol=1e-6,
        atol=1e-6,
    )
    _, gradient = compiled_value_and_gradient(
        lambda v: ops.sum(l2_normalize(v) * ops.array([1e10, 0.0])), x
    )
    assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("as_tensor", [False, True])
def test_float64_rows_beyond_float32_keep_their_direction(as_tensor):
    rows = np.array([[1e300, 5e299], [3.0, 4.0], [0.0, 0.0], [np.inf, 1.0], [np.nan, 1.0]])
    if as_tensor and keras.backend.backend() == "jax":
        pytest.skip("JAX has no float64 unless it is told to.")
    converted = ops.convert_to_numpy(
        convert_rows(ops.convert_to_tensor(rows, "float64") if as_tensor else rows, "float32")
    )
    assert converted.dtype == "float32"
    np.testing.assert_allclose(converted[0, 0], 2 * converted[0, 1], rtol=1e-6)
    np.testing.assert_array_equal(converted[1:3], rows[1:3])
    assert np.all(~np.isfinite(converted[3:, 0]))

import numpy as np
import pytest
from keras import ops

from keras_supcon.ops import l2_normalize, limit_norm
from tests.autodiff import value_and_gradient

pytestmark = pytest.mark.neutral


@pytest.mark.parametrize("magnitude", [1e-20, 1e-3, 1.0, 1e20])
def test_rows_have_length_one_at_every_magnitude(rng, magnitude):
    x = (rng.normal(size=(20, 7)) * magnitude).astype("float32")
    expected = x.astype("float64") / np.linalg.norm(x.astype("float64"), axis=1, keepdims=True)
    np.testing.assert_allclose(ops.convert_to_numpy(l2_normalize(x)), expected, rtol=1e-5, atol=1e-6)


def test_gradient_is_the_projection_onto_the_tangent_plane(rng):
    x, direction = rng.normal(size=(5, 4)).astype("float32"), rng.normal(size=(5, 4)).astype("float32")
    _, gradient = value_and_gradient(lambda v: ops.sum(l2_normalize(v) * ops.array(direction)), x)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    unit = x / length
    expected = (direction - unit * np.sum(unit * direction, axis=1, keepdims=True)) / length
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)


def test_zero_rows_stay_zero_and_get_no_gradient():
    value, gradient = value_and_gradient(lambda v: ops.sum(l2_normalize(v)), np.zeros((3, 4), "float32"))
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros((3, 4)))


def test_limit_norm_shortens_long_rows_and_their_gradient():
    x = np.array([[3e37, 4e37], [3, 4], [0, 0], [1e-30, 0]], "float32")
    value, gradient = value_and_gradient(lambda v: ops.sum(limit_norm(v, 10.0)), x)
    np.testing.assert_allclose(ops.convert_to_numpy(limit_norm(x, 10.0)), [[6, 8], [3, 4], [0, 0], [1e-30, 0]], rtol=1e-6)
    np.testing.assert_allclose(gradient[1:], 1)
    np.testing.assert_allclose(gradient[0], 2e-37, rtol=1e-5)
    assert value == 21

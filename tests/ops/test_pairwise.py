import numpy as np
import pytest
from keras import ops

from keras_supcon.ops import masked_logsumexp, masked_mean, scaled_similarity
from tests.autodiff import value_and_gradient

pytestmark = pytest.mark.neutral


def test_similarity_is_the_dot_product_over_the_temperature(rng):
    a, b = rng.normal(size=(3, 5)).astype("float32"), rng.normal(size=(4, 5)).astype("float32")
    actual = ops.convert_to_numpy(scaled_similarity(ops.array(a), ops.array(b), 0.25))
    np.testing.assert_allclose(actual, a @ b.T / 0.25, rtol=1e-5)


@pytest.mark.parametrize("shift", [0.0, 500.0, -500.0])
def test_masked_statistics_equal_numpy_row_by_row(rng, shift):
    logits, mask = (rng.normal(size=(6, 8)) + shift).astype("float32"), rng.uniform(size=(6, 8)) < 0.5
    mask[0], mask[1] = False, True
    for i in range(6):
        kept = logits[i, mask[i]].astype("float64")
        logsumexp = ops.convert_to_numpy(masked_logsumexp(ops.array(logits), ops.array(mask)))[i]
        mean = ops.convert_to_numpy(masked_mean(ops.array(logits), ops.array(mask)))[i]
        np.testing.assert_allclose(logsumexp, np.logaddexp.reduce(kept) if len(kept) else 0, rtol=1e-5)
        np.testing.assert_allclose(mean, kept.mean() if len(kept) else 0, rtol=1e-5, atol=1e-6)


def test_gradient_is_the_softmax_over_the_kept_entries_and_ignores_far_larger_dropped_ones():
    logits = np.array([[1.0, 2.0, 5000.0], [3.0, 4.0, 5.0]], "float32")
    mask = ops.array([[True, True, False], [False, False, False]])
    _, gradient = value_and_gradient(lambda x: ops.sum(masked_logsumexp(x, mask)), logits)
    share = 1 / (1 + np.e)
    np.testing.assert_allclose(gradient, [[share, 1 - share, 0], [0, 0, 0]], rtol=1e-5)

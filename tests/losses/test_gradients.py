"""The gradient is the one that the paper derives, and is long for hard pairs."""

import numpy as np
import pytest
from keras import ops

from keras_supcon.losses import supcon_loss
from tests.autodiff import quickest_value_and_gradient, value_and_gradient

pytestmark = pytest.mark.neutral


def unit_rows(rng, rows, dim) -> np.ndarray:
    z = rng.normal(size=(rows, dim))
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def gradient_of_anchor(class_ids, z, i, temperature, summation) -> np.ndarray:
    """Supplement, section 2: dL_i/dz_i = 1/tau ( sum_p z_p (P_ip - X_ip) + sum_n z_n P_in )."""
    others = np.arange(len(z)) != i
    is_positive = others & (class_ids == class_ids[i])
    exponentials = np.exp(z @ z[i] / temperature)
    share = np.where(others, exponentials, 0) / exponentials[others].sum()
    if summation == "out":
        target = is_positive / is_positive.sum()
    else:
        target = np.where(is_positive, exponentials, 0) / exponentials[is_positive].sum()
    return (share - target) @ z / temperature


@pytest.mark.parametrize("summation", ["out", "in"])
def test_equals_the_formula_of_the_paper(rng, summation):
    """The loss of one anchor depends on its own row by the formula, and on the others by the
    mirrored term.
    """
    class_ids, z, temperature = rng.integers(0, 3, 9), unit_rows(rng, 9, 4), 0.2
    expected = np.zeros_like(z)
    for i in range(len(z)):
        others = np.arange(len(z)) != i
        is_positive = others & (class_ids == class_ids[i])
        exponentials = np.where(others, np.exp(z @ z[i] / temperature), 0)
        share = exponentials / exponentials.sum()
        target = is_positive / is_positive.sum()
        if summation == "in":
            target = np.where(is_positive, exponentials, 0) / exponentials[is_positive].sum()
        expected[i] += gradient_of_anchor(class_ids, z, i, temperature, summation)
        expected += (share - target)[:, None] * z[i] / temperature
    _, gradient = quickest_value_and_gradient(
        lambda z: ops.sum(
            supcon_loss(class_ids, z, temperature, summation=summation, normalize=False)
        ),
        z.astype("float32"),
    )
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("summation", ["out", "in"])
def test_through_the_normalization_easy_pairs_pull_less_than_hard_ones(summation):
    """Equation 11 of the supplement: the pull of a positive is as long as z_p - (z_i.z_p) z_i, the
    sine of the angle.
    """
    pulls = []
    for angle in np.deg2rad([0.5, 10, 30, 60, 90]):
        # Anchor, its positive at an angle in one plane, and two negatives out of that plane.
        w = np.array(
            [[1, 0, 0, 0], [np.cos(angle), np.sin(angle), 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
            "float32",
        )
        _, gradient = value_and_gradient(
            lambda w: supcon_loss([0, 0, 1, 1], w, temperature=1.0, summation=summation)[0], w
        )
        share = np.exp(np.cos(angle)) / (np.exp(np.cos(angle)) + 2)
        # The first row also takes the push of the negatives; the plane of the positive holds only
        # the pull.
        np.testing.assert_allclose(
            gradient[0, 1], (share - 1) * np.sin(angle), rtol=1e-4, atol=1e-6
        )
        assert abs(gradient[0, 0]) < 1e-6
        pulls.append(abs(gradient[0, 1]))
    assert pulls == sorted(pulls)
    assert pulls[0] < 0.02 * pulls[-1]


def test_hard_negatives_push_more_than_easy_ones():
    """A negative beside the anchor, one at a right angle and one opposite: the share times the sine
    decides.
    """
    near, right, opposite = 0.5, np.pi / 2, np.pi - 0.01
    w = np.zeros((5, 5), "float32")
    w[0, 0] = 1
    w[1, :2] = 0, 1
    for row, angle in enumerate((near, right, opposite)):
        w[2 + row, 0], w[2 + row, 2 + row] = np.cos(angle), np.sin(angle)
    _, gradient = quickest_value_and_gradient(
        lambda w: supcon_loss([0, 0, 1, 2, 3], w, temperature=0.5)[0], w
    )
    push_near, push_right, push_opposite = gradient[0, 2:]
    assert push_near > push_right > 20 * push_opposite > 0


@pytest.mark.parametrize("temperature", [0.05, 0.1, 1.0])
def test_gradient_grows_with_the_inverse_temperature_at_chance_level(temperature):
    """Orthogonal rows have equal logits at any temperature, so the gradient is exactly in
    proportion to 1 / tau.
    """
    _, gradient = value_and_gradient(
        lambda z: ops.sum(supcon_loss([0, 0, 1, 1], z, temperature)), np.eye(4, dtype="float32")
    )
    _, at_one = value_and_gradient(
        lambda z: ops.sum(supcon_loss([0, 0, 1, 1], z, 1.0)), np.eye(4, dtype="float32")
    )
    np.testing.assert_allclose(gradient, at_one / temperature, rtol=1e-5, atol=1e-5)

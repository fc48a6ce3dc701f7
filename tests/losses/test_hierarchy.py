"""Losses equal one another in special cases (section 3.2 and supplement of Khosla et al.)."""

import numpy as np
import pytest
from keras import ops

from keras_supcon.losses import npairs_loss, ntxent_loss, supcon_loss, triplet_loss
from tests.autodiff import quickest, quickest_value_and_gradient

pytestmark = pytest.mark.neutral


def loss_of(class_ids, projections, *arguments, **options) -> np.ndarray:
    return ops.convert_to_numpy(
        quickest(lambda z: supcon_loss(class_ids, z, *arguments, **options))(projections)
    )


def assert_same(first, second, projections):
    (value, gradient), (other_value, other_gradient) = (
        quickest_value_and_gradient(lambda z, loss=loss: ops.mean(loss(z)), projections)
        for loss in (first, second)
    )
    np.testing.assert_allclose(value, other_value, rtol=1e-6)
    np.testing.assert_allclose(gradient, other_gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("summation", ["out", "in"])
@pytest.mark.parametrize("denominator", ["all", "one_positive"])
def test_supcon_with_one_positive_is_ntxent(rng, summation, denominator):
    projections = rng.normal(size=(9, 2, 5)).astype("float32")
    class_ids = rng.permutation(9)
    assert_same(
        lambda z: supcon_loss(class_ids, z, 0.3, summation=summation, denominator=denominator),
        lambda z: ntxent_loss(None, z, 0.3),
        projections,
    )


def test_ntxent_is_supcon_without_labels_for_any_number_of_views(rng):
    projections = rng.normal(size=(6, 4, 5)).astype("float32")
    assert_same(
        lambda z: supcon_loss(np.full(6, -1), z, 0.3),
        lambda z: ntxent_loss(np.zeros(6, "int32"), z, 0.3),
        projections,
    )


def test_ntxent_at_temperature_one_with_one_pair_a_class_is_npairs(rng):
    projections = rng.normal(size=(9, 2, 5)).astype("float32")
    assert_same(
        lambda z: ntxent_loss(None, z, 1.0), lambda z: npairs_loss(np.arange(9), z), projections
    )


def test_pairs_of_samples_are_pairs_of_views(rng):
    projections = rng.normal(size=(8, 5)).astype("float32")
    assert_same(
        lambda z: ops.mean(npairs_loss(np.arange(8) // 2, z)),
        lambda z: ops.mean(npairs_loss(np.arange(4), ops.reshape(z, (4, 2, 5)))),
        projections,
    )


def test_out_and_in_agree_where_all_positives_are_alike(rng):
    rows = rng.normal(size=(4, 1, 5)).astype("float32")
    projections = np.repeat(rows, 3, axis=1)
    for denominator in ("all", "one_positive", "only_negatives"):
        outside, inside = (
            loss_of(np.arange(4), projections, summation=summation, denominator=denominator)
            for summation in ("out", "in")
        )
        np.testing.assert_allclose(outside, inside, rtol=1e-5, atol=1e-5)


def test_denominators_are_ordered(rng):
    """More terms under the fraction, larger loss."""
    class_ids, projections = rng.integers(0, 3, 12), rng.normal(size=(12, 2, 5)).astype("float32")
    for summation in ("out", "in"):
        losses = [
            loss_of(class_ids, projections, summation=summation, denominator=denominator)
            for denominator in ("all", "one_positive", "only_negatives")
        ]
        assert np.all(losses[0] > losses[1])
        assert np.all(losses[1] > losses[2])


def test_one_positive_and_one_negative_have_the_direction_of_the_triplet_gradient(rng):
    """-log(e^sp / (e^sp + e^sn)) falls along z_p - z_n, as does |z_i - z_p|^2 - |z_i - z_n|^2 for
    the anchor.
    """
    for _ in range(3):
        rows = rng.normal(size=(3, 6))
        rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("float32")
        _, contrastive = quickest_value_and_gradient(
            lambda z: supcon_loss([0, 0, 1], z, 0.5)[0], rows
        )
        _, triplet = quickest_value_and_gradient(
            lambda z: triplet_loss([0, 0, 1], z, margin=10.0)[0], rows
        )
        for of_contrastive, of_triplet in zip(contrastive, triplet, strict=True):
            cosine = (
                of_contrastive
                @ of_triplet
                / np.linalg.norm(of_contrastive)
                / np.linalg.norm(of_triplet)
            )
            assert cosine > 1 - 1e-5


def test_first_order_of_one_positive_and_one_negative_is_the_triplet_loss_with_margin_two_tau(rng):
    """Supplement: tau (sn - sp) + log(...) ~ 1/(2 tau) (|z_i - z_p|^2 - |z_i - z_n|^2 + 2 tau)
    where both are about as far.
    """
    temperature = 0.5
    base = np.array([1.0, 0, 0])
    for _ in range(3):
        # Positive and negative at almost the same angle from the anchor.
        angles = 1.0 + rng.normal(size=2) * 1e-3
        rows = np.array(
            [
                base,
                [np.cos(angles[0]), np.sin(angles[0]), 0],
                [np.cos(angles[1]), 0, np.sin(angles[1])],
            ],
            "float32",
        )
        contrastive = loss_of([0, 0, 1], rows, temperature, denominator="only_negatives")[0] + 1
        triplet = ops.convert_to_numpy(triplet_loss([0, 0, 1], rows, margin=2 * temperature))[0] / (
            2 * temperature
        )
        np.testing.assert_allclose(contrastive, triplet, rtol=1e-4)

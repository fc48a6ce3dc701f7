"""Finite rows give finite losses and gradients, at all magnitudes of dtype and arguments."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_supcon
from keras_supcon import losses, metrics
from tests.autodiff import compiled_value_and_gradient, quickest_value_and_gradient
from tests.covering import every_value
from tests.public_classes import CLASS_IDS

pytestmark = pytest.mark.neutral

# With arguments at the ends of their ranges.
LOSSES = {
    "supcon, coldest": lambda **options: keras_supcon.SupConLoss(1e-15, summation="in", **options),
    "supcon, hottest": lambda **options: keras_supcon.SupConLoss(
        1e15, scale_by_temperature=True, **options
    ),
    "supcon, one positive": lambda **options: keras_supcon.SupConLoss(
        1e-15, denominator="one_positive", **options
    ),
    "ntxent": lambda **options: keras_supcon.NTXentLoss(1e-15, **options),
    "ntlogistic": lambda **options: keras_supcon.NTLogisticLoss(1e-15, **options),
    "balanced": lambda **options: keras_supcon.BalancedSupConLoss(1e-15, **options),
    "spread, coldest": lambda **options: keras_supcon.SpreadLoss(1e-15, **options),
    "spread, one positive": lambda **options: keras_supcon.SpreadLoss(
        1e15, spread_weight=0.9, denominator="one_positive", **options
    ),
    "sigmoid, lowest bias": lambda **options: keras_supcon.NTLogisticLoss(
        1e-15, bias=-1e15, pair_reduction="sum", **options
    ),
    "sigmoid, highest bias": lambda **options: keras_supcon.NTLogisticLoss(
        1e15, bias=1e15, pair_reduction="sum", **options
    ),
    "npairs": keras_supcon.NPairsLoss,
    "max_margin": lambda **options: keras_supcon.MaxMarginLoss(1e15, **options),
    "triplet all": lambda **options: keras_supcon.TripletLoss(1e30, **options),
    "triplet semi_hard": lambda **options: keras_supcon.TripletLoss(
        1e30, mining="semi_hard", **options
    ),
    "triplet hard": lambda **options: keras_supcon.TripletLoss(1e30, mining="hard", **options),
}
LARGEST = float(np.finfo("float32").max)


def batch(rng, kind):
    rows = rng.normal(size=(9, 2, 4)).astype("float32")
    if kind == "largest":
        return np.sign(rows) * np.float32(LARGEST)
    if kind == "shortest":
        return rows * np.float32(5e-30)
    # A row that has no reciprocal, one of subnormal numbers, and lengths of all kinds.
    rows *= (10.0 ** rng.uniform(-36, 36, (9, 2, 1))).astype("float32")
    rows[0, 0], rows[1, 1] = [9e37, 4.5e37, 0, 1], 1e-40
    return rows


@pytest.mark.slow
@every_value(name=list(LOSSES), normalize=[True, False], kind=["largest", "shortest", "mixed"])
def test_every_loss_is_finite_in_value_and_gradient(rng, name, normalize, kind):
    loss = LOSSES[name](normalize=normalize)
    value, gradient = compiled_value_and_gradient(lambda z: loss(CLASS_IDS, z), batch(rng, kind))
    assert np.isfinite(value)
    assert np.all(np.isfinite(gradient))


@pytest.mark.slow
def test_the_direction_of_long_rows_counts(rng):
    rows = rng.uniform(0.3, 1.0, size=(9, 2, 4)).astype("float32")
    loss = keras_supcon.SupConLoss()
    expected, _ = quickest_value_and_gradient(lambda z: loss(CLASS_IDS, z), rows)
    actual, _ = quickest_value_and_gradient(lambda z: loss(CLASS_IDS, z), rows * np.float32(3.4e38))
    assert actual == pytest.approx(expected, rel=1e-5)


@every_value(name=list(LOSSES), normalize=[True, False])
def test_float64_rows_beyond_float32_are_no_infinity(rng, name, normalize):
    rows = rng.normal(size=(9, 2, 4))
    rows[::2] *= 1e290
    loss = LOSSES[name](normalize=normalize)
    assert np.isfinite(float(loss(CLASS_IDS, rows)))
    if keras.backend.backend() != "jax":
        assert np.isfinite(float(loss(CLASS_IDS, ops.convert_to_tensor(rows, "float64"))))
    rows[0, 0, 0] = np.inf
    assert np.isnan(float(loss(CLASS_IDS, rows)))


def test_queues_and_metrics_take_float64_rows_beyond_float32(rng):
    rows, queue = rng.normal(size=(9, 4)).astype("float32"), np.array([[1e200, 0, 0, 1e199]])
    expected = losses.supcon_loss(CLASS_IDS, rows, queue=queue / 1e200)
    np.testing.assert_allclose(
        ops.convert_to_numpy(losses.supcon_loss(CLASS_IDS, rows, queue=queue)),
        ops.convert_to_numpy(expected),
        rtol=1e-6,
    )
    for metric in (
        metrics.ContrastiveAccuracy(),
        metrics.ChanceLoss(),
        metrics.PositivesPerAnchor(),
    ):
        metric.update_state(CLASS_IDS, rows)
        expected = float(metric.result())
        metric.reset_state()
        metric.update_state(CLASS_IDS, rows.astype("float64") * 1e200)
        assert float(metric.result()) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: keras_supcon.SupConLoss(1e-40),
            r"`temperature` should be from 1e-15 to 1e\+15, .* Received: temperature=1e-40",
        ),
        (lambda: keras_supcon.NTXentLoss(1e16), r"`temperature` should be from 1e-15"),
        (lambda: keras_supcon.NTLogisticLoss(1e-16), r"`temperature` should be from 1e-15"),
        (
            lambda: keras_supcon.NTLogisticLoss(bias=2e16),
            r"`bias` should be a number from -1e15 to 1e15. Received: bias=2e\+16",
        ),
        (
            lambda: losses.supcon_loss([0, 0], np.eye(2), 1e-300),
            r"`temperature` should be from 1e-15",
        ),
        (
            lambda: keras_supcon.SupConLoss().move_temperature(1e-40, None),
            r"`temperature` should be from 1e-15",
        ),
        (
            lambda: keras_supcon.MaxMarginLoss(1e19),
            r"`margin` should be from .* to 1e\+15, .* Received: margin=1e\+19",
        ),
        (lambda: keras_supcon.TripletLoss(1e31), r"`margin` should be from 0 to 1e\+30"),
        (
            lambda: keras_supcon.optimizers.LARS(1e39),
            r"`learning_rate` should be from 0 to 3.40282e\+38",
        ),
        (
            lambda: keras_supcon.optimizers.LARS(0.1, trust_coefficient=1e-39),
            r"`trust_coefficient` should be from 1.17549e-38",
        ),
    ],
)
def test_refuses_arguments_that_float32_cannot_compute_with(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()

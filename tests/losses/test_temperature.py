"""Losses take the temperature as a tensor and are differentiable by it."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon import losses
from tests.autodiff import compiled_value_and_gradient, quickest_value_and_gradient
from tests.covering import every_pair
from tests.losses import double_loop
from tests.public_classes import CLASS_IDS

pytestmark = pytest.mark.neutral

# JAX computes in float32.
DTYPE = "float32" if keras.backend.backend() == "jax" else "float64"
TOLERANCE = 2e-5 if DTYPE == "float32" else 1e-6  # sums over a class are of float32 on PyTorch
WEIGHTS = np.linspace(0.2, 1.0, len(CLASS_IDS))


def check(loss, reference, temperature, run=quickest_value_and_gradient):
    """The value and the slope of a weighted sum of losses, against those of the double loop at a
    complex temperature.
    """
    value, slope = run(
        lambda tensor: ops.sum(ops.convert_to_tensor(WEIGHTS, DTYPE) * loss(tensor)),
        np.array(temperature, DTYPE),
    )
    step = 1e-30
    expected = np.sum(WEIGHTS * reference(temperature + 1j * step))
    np.testing.assert_allclose(value, expected.real, rtol=TOLERANCE)
    np.testing.assert_allclose(
        slope, expected.imag / step, rtol=10 * TOLERANCE, atol=TOLERANCE * np.abs(expected.real)
    )


@pytest.mark.slow
@every_pair(
    always=lambda has_queue, normalize, denominator, **_: (
        has_queue and not normalize and denominator == "one_positive"
    ),
    temperature=[0.2, 0.012],
    summation=["out", "in"],
    denominator=["all", "one_positive", "only_negatives"],
    normalize=[True, False],
    positives_cap=[None, 2],
    has_queue=[False, True],
    block_size=[None, 4],
)
def test_the_gradient_of_supcon_is_exact(
    rng, temperature, summation, denominator, normalize, positives_cap, has_queue, block_size
):
    projections, queue, queue_ids = rng.normal(size=(9, 2, 4)).astype(DTYPE), None, None
    if has_queue:
        queue, queue_ids = rng.normal(size=(5, 4)).astype(DTYPE), np.array([0, 1, -1, 2, 0])
    options = {
        "summation": summation,
        "denominator": denominator,
        "normalize": normalize,
        "positives_cap": positives_cap,
        "queue": queue,
    }
    check(
        lambda tensor: losses.supcon_loss(
            CLASS_IDS, projections, tensor, block_size=block_size, queue_labels=queue_ids, **options
        ),
        lambda tau: double_loop.supcon(CLASS_IDS, projections, tau, queue_ids=queue_ids, **options),
        temperature,
    )


@pytest.mark.parametrize("normalize", [True, False])
def test_the_gradient_of_the_other_losses_is_exact(rng, normalize):
    projections, options = rng.normal(size=(9, 2, 4)).astype(DTYPE), {"normalize": normalize}
    check(
        lambda tensor: losses.ntxent_loss(None, projections, tensor, **options),
        lambda tau: double_loop.supcon(np.full(9, -1), projections, tau, **options),
        0.3,
    )
    check(
        lambda tensor: losses.ntlogistic_loss(CLASS_IDS, projections, tensor, **options),
        lambda tau: double_loop.ntlogistic(CLASS_IDS, projections, tau, **options),
        0.3,
    )
    check(
        lambda tensor: losses.spread_loss(CLASS_IDS, projections, tensor, **options),
        lambda tau: double_loop.spread(CLASS_IDS, projections, tau, **options),
        0.3,
    )


@pytest.mark.parametrize("pair_reduction", ["mean", "sum"])
@pytest.mark.parametrize("has_queue", [False, True])
def test_the_gradient_of_a_loss_with_a_bias_is_exact(rng, pair_reduction, has_queue):
    projections, options = rng.normal(size=(9, 2, 4)).astype(DTYPE), {"bias": -1.5}
    options["pair_reduction"] = pair_reduction
    if has_queue:
        options["queue"] = rng.normal(size=(5, 4)).astype(DTYPE)
    check(
        lambda tensor: losses.ntlogistic_loss(CLASS_IDS, projections, tensor, **options),
        lambda tau: double_loop.ntlogistic(CLASS_IDS, projections, tau, **options),
        0.3,
    )


def test_a_loss_that_is_scaled_by_the_temperature_has_the_gradient_of_the_product(rng):
    projections = rng.normal(size=(9, 2, 4)).astype(DTYPE)
    check(
        lambda tensor: losses.supcon_loss(
            CLASS_IDS, projections, tensor, scale_by_temperature=True
        ),
        lambda tau: tau * double_loop.supcon(CLASS_IDS, projections, tau),
        0.3,
        run=compiled_value_and_gradient,
    )


@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.012])
def test_a_tensor_and_a_number_give_the_same(rng, temperature):
    """At every temperature, although only for a number is it known beforehand whether exponentials
    may overflow.
    """
    projections = rng.normal(size=(9, 2, 4)).astype("float32")
    results = [
        quickest_value_and_gradient(
            lambda z, tau=tau: ops.mean(losses.supcon_loss(CLASS_IDS, z, tau, block_size=4)),
            projections,
        )
        for tau in (temperature, ops.convert_to_tensor(temperature, "float32"))
    ]
    np.testing.assert_allclose(results[1][0], results[0][0], rtol=1e-5)
    np.testing.assert_allclose(results[1][1], results[0][1], rtol=1e-4, atol=1e-5 / temperature)


@pytest.mark.parametrize(
    "loss", [losses.supcon_loss, losses.ntlogistic_loss, functools.partial(losses.ntxent_loss)]
)
def test_refuses_a_temperature_of_another_kind(loss):
    for temperature, received in (
        (-1.0, "-1.0"),
        (float("inf"), "inf"),
        ("0.1", "'0.1'"),
        (ops.ones((2,)), r"shape \(2,\)"),
    ):
        with pytest.raises(
            ValueError,
            match=f"`temperature` should be a positive number.*Received: temperature.*{received}",
        ):
            loss(np.zeros(2), np.ones((2, 2), "float32"), temperature)

"""Every mode of the supervised contrastive loss, value and gradient, against the double loop over pairs."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon.losses import supcon_loss
from tests.autodiff import compiled_value_and_gradient, quickest_value_and_gradient
from tests.losses import double_loop

pytestmark = [pytest.mark.neutral, pytest.mark.slow]

CLASS_IDS = np.array([0, 1, 0, 2, -1, 1, 0, 1])  # classes of one and of three samples, one unlabelled sample
SUMMATIONS = ("out", "in")
DENOMINATORS = ("all", "one_positive", "only_negatives")
CONTRAST_MODES = ("all", "one")


def assert_close(actual, expected, rtol=1e-5):
    """Relative to the largest number of a gradient: its small numbers are differences of large ones."""
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol * max(np.abs(expected).max(), 1e-3))


def step_by_step(block_size):
    """Runs without a program, in one tile and in several; none on JAX, where nothing is quick without one."""
    sizes = [] if keras.backend.backend() == "jax" else [None, block_size]
    return [(quickest_value_and_gradient, size) for size in sizes]


@pytest.mark.parametrize("contrast_mode", CONTRAST_MODES)
@pytest.mark.parametrize("denominator", DENOMINATORS)
@pytest.mark.parametrize("summation", SUMMATIONS)
@pytest.mark.parametrize("views", [1, 2, 3, 4])
def test_equals_the_double_loop_eager_and_compiled(rng, views, summation, denominator, contrast_mode):
    projections = rng.normal(size=(8, views, 3)).astype("float32")
    block_size = 5  # several tiles, of which the last is not full
    # Programs take long to compile. Each mode has one in blocks with and without a limit, on JAX, which does nothing else, of
    # every limit, each at one number of views; and with one limit a program of a single tile.
    turn = views + SUMMATIONS.index(summation) + DENOMINATORS.index(denominator) + CONTRAST_MODES.index(contrast_mode)
    limits_in_blocks = range(4) if keras.backend.backend() == "jax" else (0, 2)
    programs = {number: [(compiled_value_and_gradient, block_size)] for number in limits_in_blocks if (number + turn) % 4 == 0}
    if views == 2:
        programs.setdefault(-turn % 4, []).append((compiled_value_and_gradient, None))
    for number, positives_cap in enumerate((None, 0, views, 2 * views)):
        options = {
            "temperature": 0.1,
            "summation": summation,
            "denominator": denominator,
            "contrast_mode": contrast_mode,
            "positives_cap": positives_cap,
        }

        def expected_loss(z, options=options):
            return double_loop.supcon(CLASS_IDS, z, **options)

        expected, expected_gradient = expected_loss(projections).mean(), double_loop.gradient(expected_loss, projections)
        for run, size in {*step_by_step(block_size), *programs.get(number, [])}:

            def mean_loss(z, options=options, size=size):
                return ops.mean(supcon_loss(CLASS_IDS, z, block_size=size, **options))

            value, gradient = run(mean_loss, projections)
            assert_close(value, expected)
            assert_close(gradient, expected_gradient)


@pytest.mark.parametrize(
    ("summation", "denominator", "positives_cap"), list(itertools.product(SUMMATIONS, DENOMINATORS, [None, 2]))
)
def test_a_queue_adds_contrasts_that_take_no_gradient(rng, summation, denominator, positives_cap):
    projections, queue = rng.normal(size=(8, 2, 3)).astype("float32"), rng.normal(size=(7, 3)).astype("float32")
    queue_ids = np.array([1, 1, 5, -1, 0, 2, 2])
    options = {"temperature": 0.2, "summation": summation, "denominator": denominator, "positives_cap": positives_cap}

    def expected_loss(z):
        return double_loop.supcon(CLASS_IDS, z, queue=queue, queue_ids=queue_ids, **options)

    expected, expected_gradient = expected_loss(projections).mean(), double_loop.gradient(expected_loss, projections)
    # Of the programs with and without a limit one is in blocks.
    turn = SUMMATIONS.index(summation) + DENOMINATORS.index(denominator) + (positives_cap is None)
    program = (compiled_value_and_gradient, (None, 4)[turn % 2])
    for run, size in {*step_by_step(4), program}:
        value, gradient = run(
            lambda z, size=size: ops.mean(
                supcon_loss(CLASS_IDS, z, queue=queue, queue_labels=queue_ids, block_size=size, **options)
            ),
            projections,
        )
        assert_close(value, expected)
        assert_close(gradient, expected_gradient)
    _, queue_gradient = quickest_value_and_gradient(
        lambda q: ops.mean(supcon_loss(CLASS_IDS, projections, queue=q, queue_labels=queue_ids, **options) + 0 * ops.sum(q)),
        queue,
    )
    np.testing.assert_array_equal(queue_gradient, 0)


@pytest.mark.parametrize("summation", ["out", "in"])
def test_a_queue_of_many_blocks_beside_a_batch_of_one(rng, summation):
    projections, queue = rng.normal(size=(8, 2, 3)).astype("float32"), rng.normal(size=(100, 3)).astype("float32")
    class_ids, queue_ids = np.array([5, 1, 0, 2, -1, 1, 0, 3]), rng.integers(-1, 6, 100)
    for contrast_mode in ("all", "one"):
        options = {"summation": summation, "contrast_mode": contrast_mode}
        loss = supcon_loss(class_ids, projections, queue=queue, queue_labels=queue_ids, block_size=16, **options)
        expected = double_loop.supcon(class_ids, projections, queue=queue, queue_ids=queue_ids, **options)
        np.testing.assert_allclose(ops.convert_to_numpy(loss), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.004, 0.02, 1.0, 50.0])
@pytest.mark.parametrize(
    ("summation", "denominator"), list(itertools.product(["out", "in"], ["all", "one_positive", "only_negatives"]))
)
def test_equals_the_double_loop_at_low_and_high_temperature(rng, temperature, summation, denominator):
    """Below 0.025 sums of exponentials are shifted by the largest logit."""
    projections = rng.normal(size=(8, 2, 5)).astype("float32")
    options = {"temperature": temperature, "summation": summation, "denominator": denominator}

    def expected_loss(z):
        return double_loop.supcon(CLASS_IDS, z, **options)

    value, gradient = quickest_value_and_gradient(
        lambda z: ops.mean(supcon_loss(CLASS_IDS, z, block_size=6, **options)), projections
    )
    # Logits of 250 carry rounding of their own size.
    rtol = 1e-5 * max(1.0, 0.1 / temperature)
    assert_close(value, expected_loss(projections).mean(), rtol)
    assert_close(gradient, double_loop.gradient(expected_loss, projections), rtol)

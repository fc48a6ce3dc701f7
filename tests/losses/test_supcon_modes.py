"""Every mode of the supervised contrastive loss, value and gradient, against the double loop over
pairs.
"""

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon.losses import supcon_loss
from tests.autodiff import compiled_value_and_gradient, quickest, quickest_value_and_gradient
from tests.covering import every_pair
from tests.losses import double_loop

pytestmark = [pytest.mark.neutral, pytest.mark.slow]

CLASS_IDS = np.array(
    [0, 1, 0, 2, -1, 1, 0, 1]
)  # classes of one and of three samples, one unlabeled sample
SUMMATIONS = ("out", "in")
DENOMINATORS = ("all", "one_positive", "only_negatives")
CONTRAST_MODES = ("all", "one")


def assert_close(actual, expected, rtol=1e-5):
    """Relative to the largest number of a gradient: its small numbers are differences of large
    ones.
    """
    np.testing.assert_allclose(
        actual, expected, rtol=rtol, atol=rtol * max(np.abs(expected).max(), 1e-3)
    )


# Step by step and as one program, in one tile and in several of which the last is not full. On JAX
# nothing is quick without a program, on torch nothing is compiled.
RUNS = {
    "in blocks": (quickest_value_and_gradient, 5),
    "in one tile": (quickest_value_and_gradient, None),
    **(
        {
            "compiled in blocks": (compiled_value_and_gradient, 5),
            "compiled": (compiled_value_and_gradient, None),
        }
        if keras.backend.backend() == "tensorflow"
        else {}
    ),
}


@every_pair(
    run=RUNS,
    views=[2, 1, 3, 4],
    summation=SUMMATIONS,
    denominator=DENOMINATORS,
    contrast_mode=CONTRAST_MODES,
    kept_samples=[None, 0, 1, 2],
)
def test_equals_the_double_loop(
    rng, run, views, summation, denominator, contrast_mode, kept_samples
):
    projections = rng.normal(size=(8, views, 3)).astype("float32")
    options = {
        "temperature": 0.1,
        "summation": summation,
        "denominator": denominator,
        "contrast_mode": contrast_mode,
        "positives_cap": None if kept_samples is None else kept_samples * views,
    }

    def expected_loss(z):
        return double_loop.supcon(CLASS_IDS, z, **options)

    value_and_gradient, block_size = run
    value, gradient = value_and_gradient(
        lambda z: ops.mean(supcon_loss(CLASS_IDS, z, block_size=block_size, **options)), projections
    )
    assert_close(value, expected_loss(projections).mean())
    assert_close(gradient, double_loop.gradient(expected_loss, projections))


QUEUE_RUNS = {name: RUNS[name] for name in ("in blocks", "compiled", "in one tile") if name in RUNS}


@every_pair(run=QUEUE_RUNS, summation=SUMMATIONS, denominator=DENOMINATORS, positives_cap=[None, 2])
def test_a_queue_adds_contrasts_that_take_no_gradient(
    rng, run, summation, denominator, positives_cap
):
    projections, queue = (
        rng.normal(size=(8, 2, 3)).astype("float32"),
        rng.normal(size=(7, 3)).astype("float32"),
    )
    queue_ids = np.array([1, 1, 5, -1, 0, 2, 2])
    options = {
        "temperature": 0.2,
        "summation": summation,
        "denominator": denominator,
        "positives_cap": positives_cap,
    }

    def expected_loss(z):
        return double_loop.supcon(CLASS_IDS, z, queue=queue, queue_ids=queue_ids, **options)

    value_and_gradient, block_size = run

    def mean_loss(z, queue=queue):
        return ops.mean(
            supcon_loss(
                CLASS_IDS, z, queue=queue, queue_labels=queue_ids, block_size=block_size, **options
            )
        )

    value, gradient = value_and_gradient(mean_loss, projections)
    assert_close(value, expected_loss(projections).mean())
    assert_close(gradient, double_loop.gradient(expected_loss, projections))
    _, queue_gradient = quickest_value_and_gradient(
        lambda q: mean_loss(projections, q) + 0 * ops.sum(q), queue
    )
    np.testing.assert_array_equal(queue_gradient, 0)


@every_pair(
    summation=SUMMATIONS,
    denominator=DENOMINATORS,
    place=["batch", "queue"],
    normalize=[True, False],
)
def test_a_row_that_is_not_finite_makes_all_losses_nan(
    rng, summation, denominator, place, normalize
):
    rows = {
        "batch": rng.normal(size=(8, 2, 3)).astype("float32"),
        "queue": rng.normal(size=(7, 3)).astype("float32"),
    }
    options = {
        "summation": summation,
        "denominator": denominator,
        "normalize": normalize,
        "block_size": 5,
    }
    queue_labels = [1, 1, 5, -1, 0, 2, 2]

    step = quickest(
        lambda z: supcon_loss(
            CLASS_IDS, z["batch"], queue=z["queue"], queue_labels=queue_labels, **options
        )
    )
    assert np.all(np.isfinite(ops.convert_to_numpy(step(rows))))
    for value in (np.nan, np.inf):
        rows[place][2] = value
        assert np.all(np.isnan(ops.convert_to_numpy(step(rows))))


@pytest.mark.parametrize("summation", ["out", "in"])
def test_a_queue_of_many_blocks_beside_a_batch_of_one(rng, summation):
    projections, queue = (
        rng.normal(size=(8, 2, 3)).astype("float32"),
        rng.normal(size=(100, 3)).astype("float32"),
    )
    class_ids, queue_ids = np.array([5, 1, 0, 2, -1, 1, 0, 3]), rng.integers(-1, 6, 100)
    for contrast_mode in ("all", "one"):
        options = {"summation": summation, "contrast_mode": contrast_mode}
        loss = quickest(
            lambda z, options=options: supcon_loss(
                class_ids, z, queue=queue, queue_labels=queue_ids, block_size=16, **options
            )
        )(projections)
        expected = double_loop.supcon(
            class_ids, projections, queue=queue, queue_ids=queue_ids, **options
        )
        np.testing.assert_allclose(ops.convert_to_numpy(loss), expected, rtol=1e-5, atol=1e-5)


# At low temperature the rows that fill the last block were wrong once.
@every_pair(
    always=lambda temperature, **_: temperature == 0.004,
    temperature=[0.004, 0.02, 1.0, 50.0],
    summation=SUMMATIONS,
    denominator=DENOMINATORS,
)
def test_equals_the_double_loop_at_low_and_high_temperature(
    rng, temperature, summation, denominator
):
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

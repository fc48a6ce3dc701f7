"""The distance of unit vectors."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_supcon
from keras_supcon.losses import NegativeCosineLoss, negative_cosine_loss
from tests.autodiff import compiled_value_and_gradient, value_and_gradient

pytestmark = pytest.mark.neutral


def in_float64(targets, predictions):
    targets, predictions = (np.asarray(one, "float64") for one in (targets, predictions))
    norms = np.linalg.norm(targets, axis=-1) * np.linalg.norm(predictions, axis=-1)
    values = 2 - 2 * np.sum(targets * predictions, axis=-1) / norms
    return values if values.ndim == 1 else values.mean(axis=1)


@pytest.mark.parametrize("shape", [(6, 4), (6, 3, 4)])
def test_it_is_two_minus_two_cosines_averaged_over_views(rng, shape):
    targets, predictions = rng.normal(size=(2, *shape)).astype("float32")
    values = ops.convert_to_numpy(negative_cosine_loss(targets, predictions))
    np.testing.assert_allclose(values, in_float64(targets, predictions), rtol=1e-5)
    loss = float(NegativeCosineLoss()(targets, predictions))
    assert loss == pytest.approx(in_float64(targets, predictions).mean(), rel=1e-5)


def test_one_direction_of_byol():
    """A value written out in float64."""

    def features(rows, start):
        z = np.sin(start + 1.7 * np.arange(rows * 4)).reshape(rows, 4)
        return (z / np.linalg.norm(z, axis=1, keepdims=True)).astype("float32")

    loss = NegativeCosineLoss()(features(12, 2.3)[:6], features(6, 1.0))
    assert float(loss) == pytest.approx(1.4669916208451015, rel=1e-6)


def test_its_relatives_are_affine_functions_of_it(rng):
    targets, predictions = rng.normal(size=(2, 6, 4)).astype("float32")
    of_keras = float(keras.losses.CosineSimilarity()(targets, predictions))
    assert float(NegativeCosineLoss()(targets, predictions)) / 2 - 1 == pytest.approx(
        of_keras, abs=1e-6
    )


def test_targets_take_no_gradient(rng):
    targets, predictions = rng.normal(size=(2, 6, 4)).astype("float32")

    _, gradient = value_and_gradient(_sum, np.stack([targets, predictions]))
    assert np.all(gradient[0] == 0)
    step = np.zeros_like(predictions)
    step[2, 1] = 1e-3
    slope = in_float64(targets, predictions + step).sum() - in_float64(targets, predictions).sum()
    assert gradient[1, 2, 1] == pytest.approx(slope / 1e-3, rel=2e-2, abs=1e-3)


def _sum(both):
    return ops.sum(negative_cosine_loss(both[0], both[1]))


# Subnormal numbers count as zero; the last scale makes the largest float32.
@pytest.mark.parametrize("scale", [0.0, 1e-40, 5e-30, 1e-20, 1e18, np.finfo("float32").max / 3])
@pytest.mark.parametrize("run", [value_and_gradient, compiled_value_and_gradient])
def test_finite_rows_have_finite_values_and_gradients(rng, scale, run):
    both = rng.uniform(0.5, 3, size=(2, 6, 4)) * rng.choice([-1, 1], size=(2, 6, 4))
    value, gradient = run(_sum, (both * scale).astype("float32"))
    assert value == pytest.approx(in_float64(*both).sum() if scale > 1e-30 else 0, rel=1e-4)
    assert np.all(np.isfinite(gradient))


def test_rows_of_all_lengths_meet(rng):
    """And float64 rows that float32 cannot hold keep their direction."""
    targets, predictions = rng.normal(size=(2, 8, 4))
    expected = in_float64(targets, predictions)
    lengths = 10.0 ** np.array([[-29, -20, -3, 0, 0, 3, 20, 37]]).T
    rows = (targets * lengths).astype("float32"), (predictions * lengths[::-1]).astype("float32")
    np.testing.assert_allclose(
        ops.convert_to_numpy(negative_cosine_loss(*rows)), expected, rtol=1e-4
    )
    for rows in ((targets * 1e290, predictions), (targets, predictions * 1e290)):
        assert float(NegativeCosineLoss()(*rows)) == pytest.approx(expected.mean(), rel=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(rng, dtype):
    half = [ops.cast(rows, dtype) for rows in rng.normal(size=(2, 6, 2, 4))]
    rounded = [ops.cast(rows, "float32") for rows in half]
    for loss in (negative_cosine_loss, NegativeCosineLoss(reduction=None, dtype=dtype)):
        values, expected = loss(*half), loss(*rounded)
        assert keras.backend.standardize_dtype(values.dtype) == "float32"
        np.testing.assert_array_equal(ops.convert_to_numpy(values), ops.convert_to_numpy(expected))


def test_weights_scale_samples_and_an_empty_batch_gives_0(rng):
    targets, predictions = rng.normal(size=(2, 6, 4)).astype("float32")
    weights = np.linspace(0, 2, 6).astype("float32")
    each = in_float64(targets, predictions)
    for reduction, expected in {
        "sum_over_batch_size": (each * weights).mean(),
        "sum": (each * weights).sum(),
        "mean_with_sample_weight": np.average(each, weights=weights),
    }.items():
        loss = NegativeCosineLoss(reduction=reduction)
        assert float(loss(targets, predictions, weights)) == pytest.approx(expected, rel=1e-5)
        assert float(loss(targets[:0], predictions[:0])) == 0


def test_a_zero_row_is_at_distance_one():
    rows = np.array([[0.0, 0.0], [3.0, 4.0]], "float32")
    values = ops.convert_to_numpy(negative_cosine_loss(rows[::-1], rows))
    np.testing.assert_allclose(values, [1.0, 1.0], rtol=1e-6)


@pytest.mark.parametrize("place", ["target", "prediction"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_shows_in_value_and_gradient(rng, place, value):
    both = rng.normal(size=(2, 3, 2)).astype("float32")
    both[0 if place == "target" else 1, 1, 0] = value
    values = ops.convert_to_numpy(negative_cosine_loss(*both))
    np.testing.assert_array_equal(np.isnan(values), [False, True, False])
    _, gradient = compiled_value_and_gradient(_sum, both)
    np.testing.assert_array_equal(np.isnan(gradient[1]).any(axis=1), [False, True, False])


def test_a_model_of_keras_learns_its_targets(rng):
    x = rng.normal(size=(32, 5)).astype("float32")
    targets = x @ rng.normal(size=(5, 3)).astype("float32")
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
    model.compile(keras.optimizers.Adam(0.1), NegativeCosineLoss())
    history = model.fit(x, targets, batch_size=16, epochs=20, verbose=0).history["loss"]
    assert history[-1] < 0.2 < 0.5 < history[0]


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="`y_true` should have the shape of `y_pred`"):
        negative_cosine_loss(np.ones((3, 4)), np.ones((3, 5)))
    with pytest.raises(ValueError, match=r"`y_pred` should have shape \(batch, dim\)"):
        NegativeCosineLoss()(np.ones(3), np.ones(3))


def test_keras_knows_it_by_name():
    assert keras.losses.get("negative_cosine_loss") is not None
    model = keras_supcon.BYOL(
        keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), None, None
    )
    model.compile("sgd", "negative_cosine_loss")
    assert isinstance(model.loss, NegativeCosineLoss)

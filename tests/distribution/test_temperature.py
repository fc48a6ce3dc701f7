"""A temperature, or a bias, that is learned or scheduled, on several replicas as on one device."""

import keras
import numpy as np
import pytest

from keras_supcon import ContrastiveModel, NTLogisticLoss, ProjectionHead, SupConLoss
from keras_supcon.callbacks import TemperatureSchedule

LABELS = np.array([0, 1, 0, 2, 1, 1, 0, 2])


def trained(images, callbacks=(), micro_batch_size=None, loss=None, rate=0.3, **options):
    keras.utils.set_random_seed(1)
    encoder = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(5, "tanh")]
    )
    model = ContrastiveModel(
        encoder, ProjectionHead(4, hidden_units=()), micro_batch_size=micro_batch_size, **options
    )
    loss = SupConLoss(0.3) if loss is None else loss
    model.compile(optimizer=keras.optimizers.SGD(rate), loss=loss)
    history = model.fit(
        images, LABELS, batch_size=8, epochs=3, shuffle=False, callbacks=[*callbacks], verbose=0
    ).history
    return model, history


@pytest.mark.slow
@pytest.mark.parametrize("micro_batch_size", [None, 2])
def test_replicas_take_the_gradient_of_one_device(rng, strategy, micro_batch_size):
    images = rng.random((8, 2, 4, 4, 1)).astype("float32")
    alone, expected = trained(images, learnable_temperature=True)
    with strategy.scope():
        model, history = trained(
            images, learnable_temperature=True, micro_batch_size=micro_batch_size
        )
    assert abs(alone.temperature - 0.3) > 0.01
    assert len({*expected["temperature"]}) == 3
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-5)
    for ours, theirs in zip(model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        model.evaluate(images, LABELS, verbose=0),
        alone.evaluate(images, LABELS, verbose=0),
        rtol=1e-5,
    )


@pytest.mark.slow
@pytest.mark.parametrize("micro_batch_size", [None, 2])
def test_replicas_learn_the_bias_of_one_device(rng, strategy, micro_batch_size):
    images = rng.random((8, 2, 4, 4, 1)).astype("float32")
    options = {
        "loss": NTLogisticLoss(0.3, bias=-2.0, pair_reduction="sum"),
        "rate": 0.05,
        "learnable_bias": True,
        "learnable_temperature": True,
    }
    alone, expected = trained(images, **options)
    with strategy.scope():
        model, history = trained(images, micro_batch_size=micro_batch_size, **options)
    assert len({-2.0, *expected["bias"]}) == 4
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-5)
    for ours, theirs in zip(model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_replicas_have_the_temperature_of_the_epoch(rng, strategy):
    images, schedule = rng.random((8, 2, 4, 4, 1)).astype("float32"), [0.3, 1.0, 0.02].__getitem__
    alone, expected = trained(images, [TemperatureSchedule(schedule)])
    with strategy.scope():
        model, history = trained(images, [TemperatureSchedule(schedule)])
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-4)
    for ours, theirs in zip(model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(
        model.evaluate(images, LABELS, verbose=0),
        alone.evaluate(images, LABELS, verbose=0),
        rtol=1e-4,
    )

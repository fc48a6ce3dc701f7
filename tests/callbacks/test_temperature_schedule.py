"""A temperature that changes from epoch to epoch."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon import ContrastiveModel, NTXentLoss, ProjectionHead, SupConLoss, TripletLoss
from keras_supcon.callbacks import Checkpoint, TemperatureSchedule
from tests.covering import every_value
from tests.losses import double_loop

pytestmark = pytest.mark.neutral

BACKEND = keras.backend.backend()
SIZE, TEMPERATURES = 4, [0.3, 1.0, 0.02]
LABELS = np.array([0, 1, 0, 2, 1, 1, 0, 2])
# Keras compiles torch by torch.compile, which is another matter.
COMPILES = {"jit_compile": True} if BACKEND == "tensorflow" else {}


@keras.saving.register_keras_serializable(package="tests")
class CountsCalls(keras.layers.Layer):
    """Counts how often Python runs it, which in compiled steps is when they are traced."""

    number = 0

    def call(self, x):
        CountsCalls.number += 1
        return x


def encoder() -> keras.Model:
    layers = [keras.layers.Flatten(), CountsCalls(), keras.layers.Dense(5)]
    return keras.Sequential([keras.Input((SIZE, SIZE, 1)), *layers])


def contrastive(optimizer, loss=None, seed=1, compile_options=(), **options) -> keras.Model:
    keras.utils.set_random_seed(seed)
    model = ContrastiveModel(encoder(), ProjectionHead(4, hidden_units=()), **options)
    model.compile(
        optimizer=optimizer, loss=SupConLoss() if loss is None else loss, **dict(compile_options)
    )
    model.build((None, 2, SIZE, SIZE, 1))
    return model


def plain(optimizer, loss=None, **compile_options) -> keras.Model:
    keras.utils.set_random_seed(1)
    model = keras.Sequential([encoder(), keras.layers.Dense(4)])
    model.compile(
        optimizer=optimizer, loss=SupConLoss() if loss is None else loss, **compile_options
    )
    return model


def images(rng, num_views=2):
    shape = (len(LABELS), num_views, SIZE, SIZE, 1) if num_views else (len(LABELS), SIZE, SIZE, 1)
    return rng.random(shape).astype("float32")


def expected_losses(model, x, temperatures) -> list[float]:
    z = ops.convert_to_numpy(model(x, training=False)).reshape(len(x), -1, 4)
    return [double_loop.supcon(LABELS, z, temperature).mean() for temperature in temperatures]


MODELS = {
    "contrastive": (lambda: contrastive(keras.optimizers.SGD(0.0)), 2),
    "compiled": (lambda: contrastive(keras.optimizers.SGD(0.0), compile_options=COMPILES), 2),
    "micro-batches": (lambda: contrastive(keras.optimizers.SGD(0.0), micro_batch_size=4), 2),
    "micro-batches, compiled": (
        lambda: contrastive(
            keras.optimizers.SGD(0.0), micro_batch_size=4, compile_options=COMPILES
        ),
        2,
    ),
    "plain": (lambda: plain(keras.optimizers.SGD(0.0)), 0),
    "plain, compiled": (lambda: plain(keras.optimizers.SGD(0.0), **COMPILES), 0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MODELS))
def test_each_epoch_has_its_temperature_without_a_new_trace(rng, name):
    make, num_views = MODELS[name]
    model, x = make(), images(rng, num_views)
    options = {"batch_size": len(x), "shuffle": False, "verbose": 0, "validation_data": (x, LABELS)}

    def fit(temperatures):
        return model.fit(
            x,
            LABELS,
            epochs=3,
            callbacks=[TemperatureSchedule(temperatures.__getitem__)],
            **options,
        ).history

    model.fit(x, LABELS, **options)  # steps from before are not in the way
    num_weights = len(model.weights)
    history = fit(TEMPERATURES)
    expected = expected_losses(model, x, TEMPERATURES)
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(history["val_loss"], expected, rtol=1e-5)
    assert history["temperature"] == TEMPERATURES
    assert {*history} == {"loss", "val_loss", "temperature"}
    assert model.loss.temperature == TEMPERATURES[-1]
    assert len(model.weights) == num_weights
    CountsCalls.number = 0
    np.testing.assert_allclose(fit(TEMPERATURES[::-1])["loss"], expected[::-1], rtol=1e-5)
    if BACKEND != "torch":
        assert CountsCalls.number == 0
    # A number, not a list: the temperature is no metric.
    assert model.evaluate(x, LABELS, batch_size=len(x), verbose=0) == pytest.approx(
        expected[0], rel=1e-5
    )
    assert float(model.loss(LABELS, model.predict(x, verbose=0))) == pytest.approx(
        expected[0], rel=1e-5
    )


@pytest.mark.slow
def test_a_file_keeps_the_last_temperature(rng, tmp_path):
    model, x = contrastive(keras.optimizers.SGD(0.1)), images(rng)
    model.fit(
        x,
        LABELS,
        epochs=2,
        callbacks=[TemperatureSchedule(lambda epoch: 0.4 / (epoch + 1))],
        verbose=0,
    )
    assert model.temperature == 0.2
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.loss.temperature == again.temperature == 0.2
    assert again.evaluate(x, LABELS, verbose=0) == pytest.approx(
        model.evaluate(x, LABELS, verbose=0), rel=1e-6
    )
    assert len(again.weights) == len(model.weights)


@pytest.mark.slow
def test_training_that_goes_on_has_the_temperature_of_the_epoch(rng, tmp_path):
    x = images(rng)

    def fit(model, folder, epochs):
        def batches(start):
            if BACKEND != "tensorflow":
                return ((x, LABELS) for _ in range(epochs - start.epoch))
            import tensorflow as tf

            return tf.data.Dataset.from_tensors((x, LABELS)).repeat(epochs - start.epoch)

        schedule = TemperatureSchedule(lambda epoch: 1.0 / (1 + epoch))
        return (
            Checkpoint(folder)
            .fit(model, batches, epochs, 1, callbacks=[schedule], verbose=0)
            .history["temperature"]
        )

    whole, begun = (contrastive(keras.optimizers.Adam(0.01)) for _ in range(2))
    assert fit(whole, tmp_path / "whole", 4) == [1.0, 1 / 2, 1 / 3, 1 / 4]
    fit(begun, tmp_path / "parts", 2)
    again = contrastive(keras.optimizers.Adam(0.01), seed=2)
    assert fit(again, tmp_path / "parts", 4) == [1 / 3, 1 / 4]
    for ours, theirs in zip(again.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_loss_may_be_that_of_one_output(rng):
    inputs = keras.Input((3,))
    outputs = {
        "projections": keras.layers.Dense(4)(inputs),
        "scores": keras.layers.Dense(3)(inputs),
    }
    model, x = keras.Model(inputs, outputs), rng.normal(size=(8, 3)).astype("float32")
    losses = {
        "projections": SupConLoss(),
        "scores": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    }
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss=losses)
    labels = {"projections": LABELS, "scores": LABELS}
    history = model.fit(
        x, labels, epochs=2, callbacks=[TemperatureSchedule([0.5, 0.05].__getitem__)], verbose=0
    ).history
    z = ops.convert_to_numpy(model(x)["projections"])[:, None]
    expected = [double_loop.supcon(LABELS, z, temperature).mean() for temperature in (0.5, 0.05)]
    np.testing.assert_allclose(history["projections_loss"], expected, rtol=1e-5)


def test_a_new_loss_gets_a_temperature_of_its_own(rng):
    model, x = plain(keras.optimizers.SGD(0.0)), images(rng, 0)
    first = model.loss
    model.fit(x, LABELS, callbacks=[TemperatureSchedule(lambda epoch: 0.5)], verbose=0)
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss=SupConLoss())
    history = model.fit(
        x, LABELS, callbacks=[TemperatureSchedule(lambda epoch: 0.05)], verbose=0
    ).history
    np.testing.assert_allclose(history["loss"], expected_losses(model, x, [0.05]), rtol=1e-5)
    assert (first.temperature, model.loss.temperature) == (0.5, 0.05)


def test_takes_a_schedule_of_keras_and_tells_of_it(rng, capsys):
    model, x = plain("sgd", NTXentLoss()), images(rng, 0)
    decay = keras.optimizers.schedules.PiecewiseConstantDecay([0], [0.5, 0.25])
    history = model.fit(
        x, LABELS, epochs=2, callbacks=[TemperatureSchedule(decay, verbose=1)], verbose=0
    ).history
    assert history["temperature"] == [0.5, 0.25]
    assert "Epoch 2: TemperatureSchedule sets the temperature to 0.25." in capsys.readouterr().out


@every_value(value=[0.0, -1.0, float("nan"), float("inf"), "0.1", None, np.ones(2)])
def test_refuses_what_is_no_temperature(rng, value):
    model, x = plain("sgd"), images(rng, 0)
    with pytest.raises(
        ValueError, match=r"`schedule` should give a positive number. Received: .* for epoch 0"
    ):
        model.fit(x, LABELS, callbacks=[TemperatureSchedule(lambda epoch: value)], verbose=0)


def test_refuses_models_whose_temperature_it_cannot_set(rng):
    x, schedule = images(rng, 0), TemperatureSchedule(lambda epoch: 0.1)
    for loss, targets in ((TripletLoss(), LABELS), ("mse", np.zeros((8, 4)))):
        with pytest.raises(
            ValueError,
            match="should be compiled with one loss that has a temperature.*Received: loss=",
        ):
            plain("sgd", loss).fit(x, targets, callbacks=[schedule], verbose=0)
    with pytest.raises(
        ValueError,
        match=r"learned or scheduled, not both. Received: `TemperatureSchedule` for a model with",
    ):
        contrastive("sgd", learnable_temperature=True).fit(
            images(rng), LABELS, callbacks=[schedule], verbose=0
        )
    with pytest.raises(
        ValueError, match=r"`schedule` should be a function.*Received: schedule=0.1"
    ):
        TemperatureSchedule(0.1)


def test_a_loss_that_another_model_schedules_is_refused(rng):
    loss, x = SupConLoss(), rng.normal(size=(8, 4)).astype("float32")
    models = [keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]) for _ in range(2)]
    for model in models:
        model.compile(optimizer="sgd", loss=loss)
    models[0].fit(
        x, np.arange(8) % 2, callbacks=[TemperatureSchedule(lambda epoch: 0.5)], verbose=0
    )
    with pytest.raises(ValueError, match="should be compiled with its own loss object"):
        models[1].fit(
            x, np.arange(8) % 2, callbacks=[TemperatureSchedule(lambda epoch: 0.5)], verbose=0
        )


def test_a_model_that_hides_its_metrics_is_refused(rng):
    class Hides(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, x):
            return self.dense(x)

        @property
        def metrics(self):
            return [self._loss_tracker]

    model = Hides()
    model.compile(optimizer="sgd", loss=SupConLoss())
    with pytest.raises(ValueError, match="should hold those of `super\\(\\).metrics`"):
        model.fit(
            rng.normal(size=(8, 4)),
            np.arange(8) % 2,
            callbacks=[TemperatureSchedule(lambda epoch: 0.5)],
            verbose=0,
        )

"""The second networks: when they move, by how much, and what they have of their own."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_supcon
from tests.models.methods import (
    DIM,
    FEATURES,
    dense_encoder,
    make,
    make_for_few_steps,
    rows,
    steps,
    weights_of,
)

pytestmark = pytest.mark.neutral


def batch_normalization(network):
    (layer,) = (one for one in network.layers if isinstance(one, keras.layers.BatchNormalization))
    return layer


def kernels(model):
    """Returns the first kernels of the encoder and of its copy."""
    networks = model.encoder, model.momentum_encoder
    return [ops.convert_to_numpy(one.layers[0].kernel).copy() for one in networks]


def test_it_moves_once_for_each_update_of_the_optimizer(rng):
    """With gradient accumulation, where the weights stand still in between."""
    x, _ = rows(rng)
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    model = make("BYOL", batch_norm=False, momentum=0.5, total_steps=3, optimizer=optimizer)
    model.build((None, FEATURES))
    seen = [kernels(model)]
    for _ in range(6):
        steps(model, x, None, 1)
        seen.append(kernels(model))
    # Of the batches 0 to 5 each second one updates the weights, and the next one moves the copy.
    for batch in range(6):
        has_moved = np.abs(seen[batch + 1][1] - seen[batch][1]).max() > 0
        assert has_moved == (batch in (2, 4))
    for update, batch in enumerate((2, 4)):
        momentum = 1 - 0.5 * (np.cos(np.pi * update / 3) + 1) / 2
        fast, slow = seen[batch]
        np.testing.assert_allclose(
            seen[batch + 1][1], momentum * slow + (1 - momentum) * fast, rtol=1e-5, atol=1e-6
        )


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [3, 4])
def test_steps_of_a_schedule_are_updates_of_the_optimizer(rng, recwarn, epochs):
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    model = make("BYOL", total_steps=3, optimizer=optimizer)
    model.fit(rows(rng)[0], batch_size=4, epochs=epochs, verbose=0)
    assert any("total_steps" in str(one.message) for one in recwarn) == (epochs == 4)


@pytest.mark.slow
def test_an_encoder_that_is_thawed_after_its_copy_was_made_is_followed(rng):
    x, y = rows(rng)
    encoder = dense_encoder()
    encoder.trainable = False
    model = make("MoCo", encoder)
    steps(model, x, y, 2)
    slow = batch_normalization(model.momentum_encoder)
    np.testing.assert_array_equal(ops.convert_to_numpy(slow.moving_mean), 0)  # it does not learn
    encoder.trainable = True
    model.compile_from_config(model.get_compile_config())
    before = kernels(model)[1]
    steps(model, x, y, 3)
    assert np.abs(kernels(model)[1] - before).max() > 0
    assert np.abs(ops.convert_to_numpy(slow.moving_mean)).max() > 0
    assert not model.momentum_copy.trainable_variables


@pytest.mark.slow
def test_the_copy_of_an_encoder_that_is_frozen_on_the_way_comes_to_it(rng):
    x, y = rows(rng)
    model = make("MoCo", momentum=0.2)
    steps(model, x, y, 3)
    model.encoder.trainable = False
    model.compile_from_config(model.get_compile_config())
    before = np.abs(np.subtract(*kernels(model))).max()
    of_copy = batch_normalization(model.momentum_encoder)
    statistics = ops.convert_to_numpy(of_copy.moving_mean).copy()
    steps(model, x, y, 9)
    assert np.abs(np.subtract(*kernels(model))).max() < 1e-4 < before
    np.testing.assert_array_equal(ops.convert_to_numpy(of_copy.moving_mean), statistics)


def test_dropout_of_both_networks_differs(rng):
    """Also where its seed is given: the views of samples without augmentation differ by it."""
    encoder = keras.Sequential(
        [keras.Input((FEATURES,)), keras.layers.Dropout(0.5, seed=1), keras.layers.Dense(5)]
    )
    model = keras_supcon.MoCo(encoder, keras.layers.Dense(DIM), queue_size=16)
    model.build((None, FEATURES))
    x = ops.convert_to_tensor(rng.normal(size=(8, FEATURES)).astype("float32"))
    query, key = (
        ops.convert_to_numpy(project(x, training=True)[name])
        for project, name in zip(model.step_projectors(2), ("query", "key"), strict=True)
    )
    assert np.abs(query - key).max() > 0.01
    query, key = (
        ops.convert_to_numpy(project(x, training=False)[name])
        for project, name in zip(model.step_projectors(2), ("query", "key"), strict=True)
    )
    np.testing.assert_allclose(query, key, rtol=1e-6)


@keras.saving.register_keras_serializable(package="tests")
class Squares(keras.regularizers.Regularizer):
    """As L2, which in Keras 3.14 holds a tensor that TensorFlow cannot take into a second pass."""

    def __call__(self, x):
        return 0.1 * ops.sum(ops.square(x))

    def get_config(self):
        return {}


@pytest.mark.slow
@pytest.mark.parametrize("micro_batch_size", [None, 4])
def test_the_trained_networks_alone_are_regularized(rng, micro_batch_size):
    """By the outputs of their layers: one pass of the queries in MoCo, two in BYOL."""
    x, y = rows(rng)
    layer = keras.layers.Dense(FEATURES, activity_regularizer=Squares())
    for name, passes in (("MoCo", 1), ("BYOL", 2)):
        plain, regularized = (
            make_for_few_steps(
                name,
                dense_encoder(*first, batch_norm=False),
                micro_batch_size=micro_batch_size,
                batch_norm=False,
            )
            for first in ((keras.layers.Dense(FEATURES),), (layer,))
        )
        for model in (plain, regularized):
            model.build((None, FEATURES))
        regularized.set_weights(plain.get_weights())
        kernel, bias = (ops.convert_to_numpy(one) for one in layer.weights)
        views = range(passes)
        if keras.backend.backend() == "jax" and micro_batch_size is None:
            views = views[-1:]  # Keras on JAX counts the last call of a layer alone
        expected = sum(0.1 * np.sum((x[:, view] @ kernel + bias) ** 2) / 8 for view in views)
        first, second = (steps(model, x, y, 1)[0] for model in (plain, regularized))
        assert second - first == pytest.approx(expected, rel=1e-4)
        layer = keras.layers.Dense(FEATURES, activity_regularizer=Squares())


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="JAX compiles every step of an evaluation"
)
class Forgetful(keras.Model):
    """Has a configuration without the arguments of its constructor, as a subclass often has."""

    def __init__(self, units=8, activation="relu", depth=1, adapted=None):
        super().__init__()
        self.normalization = keras.layers.Normalization()
        if adapted is not None:
            self.normalization.adapt(adapted)
        self.parts = [keras.layers.Dense(units, activation) for _ in range(depth)]

    def call(self, x):
        x = self.normalization(x)
        for part in self.parts:
            x = part(x)
        return x

    def get_config(self):
        return {}


@pytest.mark.parametrize("options", [{"units": 9}, {"activation": "tanh"}, {"depth": 2}])
def test_a_copy_that_is_another_network_is_refused_before_training(options, rng):
    x = rng.normal(size=(8, FEATURES)).astype("float32")
    model = keras_supcon.MoCo(Forgetful(**options), None, queue_size=8)
    model.compile("sgd")
    with pytest.raises(ValueError, match="should be layers that Keras can copy.* Forgetful named"):
        model.fit(x, verbose=0)


@pytest.mark.parametrize("is_called", [False, True])
def test_the_copy_normalizes_as_the_network_was_adapted(is_called, rng):
    x = 5 * rng.normal(size=(16, FEATURES)).astype("float32") + 30
    encoder = Forgetful(adapted=x)
    if is_called:
        encoder(x)
    model = keras_supcon.MoCo(encoder, None, queue_size=16)
    model.compile(keras.optimizers.SGD(0.0))
    losses = model.fit(x, epochs=2, batch_size=8, verbose=0).history["loss"]
    assert np.all(np.isfinite(losses))
    np.testing.assert_allclose(
        ops.convert_to_numpy(model.momentum_encoder(x)), ops.convert_to_numpy(encoder(x)), rtol=1e-5
    )


@keras.saving.register_keras_serializable(package="tests")
class AddsOne(keras.layers.Layer):
    def call(self, x):
        self.add_loss(ops.ones(()))
        return x


@pytest.mark.parametrize("micro_batch_size", [None, 8])
def test_what_layers_of_the_second_networks_add_to_the_loss_is_left_out(rng, micro_batch_size):
    x, y = rows(rng)
    model = make_for_few_steps("MoCo", dense_encoder(AddsOne()), micro_batch_size=micro_batch_size)
    (loss,) = steps(model, x, y, 1)  # of an empty queue the contrast is 0
    assert loss == pytest.approx(1, abs=1e-5)


class Constant(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, first, later):
        self.first, self.later = first, later

    def __call__(self, step):
        return ops.where(ops.equal(step, 0), self.first, self.later)


def test_momentum_is_a_number_or_a_schedule_that_begins_between_0_and_1():
    with pytest.raises(ValueError, match=r"`momentum` should be .* which is 1.5 at the first step"):
        make("MoCo", momentum=Constant(1.5, 0.5))
    with pytest.raises(ValueError, match="a number between 0 and 1 or a `keras.optimizers.sched"):
        make("MoCo", momentum=lambda step: 0.9)
    with pytest.raises(
        ValueError, match="`momentum` of `BYOL` .* `total_steps` the steps in which"
    ):
        make("BYOL", momentum=Constant(0.9, 0.9))


def test_later_values_of_a_schedule_are_clipped(rng):
    x, y = rows(rng)
    expected, clipped = (
        make_for_few_steps("MoCo", momentum=Constant(0.5, later)) for later in (1.0, 1.5)
    )
    assert steps(clipped, x, y, 4) == pytest.approx(steps(expected, x, y, 4), abs=1e-6)


def test_an_eager_evaluation_before_training_has_copies(rng):
    x, y = rows(rng)
    losses = []
    for run_eagerly in (False, True):
        model = make("BYOL", batch_norm=False)
        model.compile("sgd", run_eagerly=run_eagerly)
        losses.append(model.evaluate(x, y, verbose=0, return_dict=True)["loss"])
        fast = [*model.encoder.weights, *model.projection_head.weights]
        for one, other in zip(fast, model.momentum_copy.weights, strict=True):
            np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


@pytest.mark.slow
def test_callbacks_in_a_list_of_keras_may_be_given(rng):
    x, _ = rows(rng)
    model = make("BYOL", total_steps=2)
    callbacks = keras.callbacks.CallbackList([], add_history=True, model=model)
    with pytest.warns(UserWarning, match="total_steps"):
        model.fit(x, batch_size=4, epochs=2, verbose=0, callbacks=callbacks)
    assert weights_of(model)
    assert int(model.steps) == 4

"""What happens before the first step: the model is built, under a strategy some options are refused
or warned of.
"""

import contextlib

import keras
import numpy as np
import pytest

from keras_supcon import ContrastiveModel, LinearClassifier, ProjectionHead, SupConLoss
from keras_supcon.distribution import DistributedFit
from keras_supcon.metrics import ContrastiveAccuracy


def fit(
    strategy,
    batch_size=8,
    batch_norm=None,
    micro_batch_size=None,
    drop_remainder=False,
    optimizer=None,
    **compiling,
):
    """`optimizer`: options of SGD."""
    import tensorflow as tf

    with strategy.scope():
        layers = [keras.Input((4,)), keras.layers.Dense(4), *([batch_norm] if batch_norm else [])]
        model = ContrastiveModel(
            keras.Sequential(layers), ProjectionHead(4, ()), micro_batch_size=micro_batch_size
        )
        model.compile(
            optimizer=keras.optimizers.SGD(0.1, **(optimizer or {})), loss=SupConLoss(), **compiling
        )
    rows, labels = (
        np.random.default_rng(0).normal(size=(16, 4)).astype("float32"),
        np.arange(16) % 2,
    )
    dataset = tf.data.Dataset.from_tensor_slices((rows, labels)).batch(
        batch_size, drop_remainder=drop_remainder
    )
    return model.fit(dataset, verbose=0)


@pytest.mark.parametrize(
    ("argument", "options"),
    [
        ("jit_compile", {"jit_compile": True}),
        ("steps_per_execution", {"steps_per_execution": 2}),
        ("gradient_accumulation_steps", {"optimizer": {"gradient_accumulation_steps": 2}}),
        ("ema_overwrite_frequency", {"optimizer": {"use_ema": True, "ema_overwrite_frequency": 2}}),
    ],
)
def test_what_keras_cannot_run_is_refused(strategy, argument, options):
    with pytest.raises(
        ValueError,
        match=f"`{argument}` should be .* under a strategy with several replicas: Keras cannot",
    ):
        fit(strategy, **options)


def test_evaluation_is_refused_too(strategy):
    with strategy.scope():
        encoder = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
        model = LinearClassifier(encoder, 2)
        model.compile(loss="sparse_categorical_crossentropy", jit_compile=True)
    with pytest.raises(ValueError, match="`jit_compile` should be False under a strategy"):
        model.evaluate(np.zeros((4, 4), "float32"), np.zeros(4, "int32"), verbose=0)


@pytest.mark.slow
def test_batch_normalization_of_each_replica_alone_is_warned_of(strategy):
    with pytest.warns(
        UserWarning,
        match=r"BatchNormalization layers use per-replica statistics \(2 replicas\) in alone;",
    ):
        fit(strategy, batch_norm=keras.layers.BatchNormalization(name="alone"))


@pytest.mark.slow
def test_clipping_of_each_replica_alone_is_warned_of(strategy):
    with pytest.warns(
        UserWarning, match=r"`global_clipnorm` clips per-replica gradients \(2 replicas\)"
    ):
        fit(strategy, optimizer={"global_clipnorm": 1.0})


@pytest.mark.slow
def test_nothing_is_warned_of_without_reason(strategy, recwarn):
    fit(strategy, batch_norm=keras.layers.BatchNormalization(synchronized=True))
    assert not [warning for warning in recwarn if "replicas" in str(warning.message)]


@pytest.mark.parametrize("mode", [False, True])
def test_a_fine_tuned_encoder_is_warned_of_in_training_mode_alone(strategy, mode, recwarn):
    with strategy.scope():
        encoder = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(4), keras.layers.BatchNormalization()]
        )
        model = LinearClassifier(encoder, 2, trainable_encoder=True, encoder_training_mode=mode)
        model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    model.fit(np.zeros((4, 4), "float32"), np.zeros(4, "int32"), batch_size=4, verbose=0)
    assert any("per-replica statistics" in str(warning.message) for warning in recwarn) == mode


@pytest.mark.slow
def test_replicas_fine_tune_as_one_device_does(strategy, rng):
    x, y = rng.normal(size=(16, 4)).astype("float32"), np.arange(16) % 3
    trained = []
    for scope in (contextlib.nullcontext(), strategy.scope()):
        keras.utils.set_random_seed(3)
        with scope:
            encoder = keras.Sequential(
                [keras.Input((4,)), keras.layers.Dense(5), keras.layers.BatchNormalization()]
            )
            model = LinearClassifier(encoder, 3, trainable_encoder=True)
            model.compile(
                optimizer=keras.optimizers.SGD(0.5), loss="sparse_categorical_crossentropy"
            )
        model.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0)
        trained.append(model.get_weights())
    for one, other in zip(*trained, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_a_frozen_encoder_is_not_warned_of(strategy, recwarn):
    with strategy.scope():
        encoder = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(4), keras.layers.BatchNormalization()]
        )
        model = LinearClassifier(encoder, 2)
        model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy", run_eagerly=True)
    model.fit(np.zeros((4, 4), "float32"), np.zeros(4, "int32"), batch_size=4, verbose=0)
    assert not [warning for warning in recwarn if "replicas" in str(warning.message)]


@pytest.mark.parametrize(
    ("outside", "message"),
    [
        (
            "model",
            "The model should be made within `strategy.scope\\(\\)`. Received: .* made outside, "
            "under the 2 replicas",
        ),
        (
            "encoder",
            "The trained weights, .* should be made within .* Received: '.*kernel' from outside "
            "of the scope",
        ),
        (
            "compile",
            "The optimizer, .* should be made within .* Received: '(sgd|SGD).*/iteration' from "
            "outside of the scope",
        ),
    ],
)
def test_what_was_made_outside_of_the_scope_is_refused(strategy, outside, message):
    def scope_of(part):
        return contextlib.nullcontext() if outside == part else strategy.scope()

    with scope_of("encoder") if outside != "model" else scope_of("model"):
        encoder = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    with scope_of("model"):
        model = ContrastiveModel(encoder, ProjectionHead(4, ()))
    with scope_of("compile") if outside != "model" else scope_of("model"):
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss=SupConLoss())
    with strategy.scope(), pytest.raises(ValueError, match=message):
        model.fit(np.zeros((4, 4), "float32"), np.zeros(4, "int32"), batch_size=4, verbose=0)


@pytest.mark.slow
def test_replicas_drop_differently_and_keep_one_seed_state(strategy):
    seen = []

    class Collect(keras.layers.Layer):
        def call(self, x, training=False):
            if training:
                seen.append(x.numpy())
            return x

    with strategy.scope():
        dropout = keras.layers.Dropout(0.5, seed=3)
        model = ContrastiveModel(
            keras.Sequential([keras.Input((64,)), dropout, Collect(), keras.layers.Dense(2)]),
            ProjectionHead(4, ()),
            num_views=1,
        )
        model.compile(optimizer="sgd", loss=SupConLoss(), run_eagerly=True)
    model.fit(np.ones((4, 64), "float32"), np.zeros(4), batch_size=4, verbose=0)
    first, second = seen
    assert not np.array_equal(first, second)
    states = strategy.experimental_local_results(dropout.seed_generator.state.value)
    np.testing.assert_array_equal(*(state.numpy() for state in states))


@pytest.mark.slow
def test_layers_and_generators_of_a_user_are_left_as_they_were(strategy):
    """What is wrapped within a step is restored, so that copies, files and other users see none."""

    class Fails(keras.layers.Layer):
        fails = False

        def call(self, x):
            if type(self).fails:
                raise KeyError("on purpose")
            return x

    with strategy.scope():
        dropout, batch_norm = keras.layers.Dropout(0.5, seed=3), keras.layers.BatchNormalization()
        inputs = keras.Input((4,))
        outputs = keras.layers.Dense(2)(Fails()(batch_norm(dropout(inputs))))
        model = type("Model", (DistributedFit, keras.Model), {})(inputs, outputs)
        model.compile(optimizer="sgd", loss="mse")
    parts = (dropout, batch_norm, dropout.seed_generator)
    before = [{*vars(part)} for part in parts]
    model.fit(np.ones((3, 4)), np.ones((3, 2)), batch_size=2, verbose=0)  # the last has one row
    model.make_train_function(force=True)
    Fails.fails = True
    with pytest.raises(KeyError, match="on purpose"):
        model.fit(np.ones((3, 4)), np.ones((3, 2)), batch_size=2, verbose=0)
    assert [{*vars(part)} for part in parts] == before
    assert type(dropout.seed_generator) is keras.random.SeedGenerator


@pytest.mark.slow
def test_replicas_draw_differently_in_a_loop_of_the_user(strategy):
    import tensorflow as tf

    with strategy.scope():
        inputs = keras.Input((64,))
        model = type("Model", (DistributedFit, keras.Model), {})(
            inputs, keras.layers.Dropout(0.5, seed=3)(inputs)
        )
    run = tf.function(lambda: strategy.run(lambda: model(np.ones((2, 64)), training=True)))
    first, second = (rows.numpy() for rows in strategy.experimental_local_results(run()))
    assert not np.array_equal(first, second)


def test_eager_steps_may_use_numbers(rng):
    def accuracy(y_true, y_pred):
        return float(np.mean(y_pred.numpy()))

    inputs = keras.Input((4,))
    model = type("Model", (DistributedFit, keras.Model), {})(inputs, keras.layers.Dense(1)(inputs))
    model.compile(optimizer="sgd", loss="mse", metrics=[accuracy], run_eagerly=True)
    model.fit(rng.normal(size=(8, 4)), np.zeros((8, 1)), verbose=0)


@pytest.mark.parametrize("drop_remainder", [True, False])
def test_a_batch_size_that_replicas_or_micro_batches_cannot_share_is_refused(
    strategy, drop_remainder
):
    with pytest.raises(
        ValueError,
        match="`batch_size` should be divisible by the number of replicas, 2. Received: batch_size=5",
    ):
        fit(strategy, batch_size=5, drop_remainder=drop_remainder)
    message = "The batch size on each of 2 replicas should be divisible by `micro_batch_size`. Received: micro_batch_size=3"
    with pytest.raises(ValueError, match=message):
        fit(strategy, batch_size=8, micro_batch_size=3, drop_remainder=drop_remainder)


@pytest.mark.slow
def test_a_first_batch_that_is_shared_out_unevenly_trains(strategy):
    import tensorflow as tf

    with strategy.scope():
        encoder = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
        model = ContrastiveModel(encoder, ProjectionHead(4, ()))
        model.compile(optimizer="sgd", loss=SupConLoss())
    rows = np.random.default_rng(0).normal(size=(7, 4)).astype("float32")
    # One batch of seven: Keras alone stops at it.
    dataset = tf.data.Dataset.from_tensor_slices((rows, np.arange(7) % 2)).batch(8)
    assert np.isfinite(model.fit(dataset, verbose=0).history["loss"][0])


class CountingModel(ContrastiveModel):
    """Counts how often its step is traced."""

    traced = 0

    def train_step(self, data):
        self.traced += 1
        return super().train_step(data)


def counting_model():
    encoder = keras.Sequential(
        [keras.layers.Dense(4), keras.layers.Dense(3)]
    )  # unbuilt, as a user's may be
    model = CountingModel(encoder, ProjectionHead(4, ()), num_views=1)
    model.compile(optimizer="adam", loss=SupConLoss(), metrics=[ContrastiveAccuracy()])
    return model


def test_without_a_strategy_the_first_step_is_traced_once(rng):
    """Keras' own way is to make the variables in it, and then TensorFlow traces it again."""
    rows, labels = rng.normal(size=(16, 4)).astype("float32"), np.arange(16) % 2
    by_fit, by_batch, unlabelled = counting_model(), counting_model(), counting_model()
    by_fit.fit(rows, labels, batch_size=8, verbose=0)
    by_batch.train_on_batch(rows, labels)
    unlabelled.fit(rows, batch_size=8, verbose=0)
    assert (by_fit.traced, by_batch.traced, unlabelled.traced) == (1, 1, 1)


def test_sparse_data_train_as_keras_trains_them(rng):
    import tensorflow as tf

    inputs = keras.Input((4,), sparse=True)
    rows = rng.normal(size=(16, 4)).astype("float32") * rng.integers(0, 2, (16, 4))
    weights = {}
    for bases in ((DistributedFit, keras.Model), (keras.Model,)):
        outputs = keras.layers.Dense(
            3, kernel_initializer=keras.initializers.GlorotUniform(seed=0)
        )(inputs)
        model = type("Model", bases, {})(inputs, outputs)
        model.compile(optimizer="sgd", loss=SupConLoss())
        model.fit(
            tf.data.Dataset.from_tensors((tf.sparse.from_dense(rows), np.arange(16) % 2)), verbose=0
        )
        weights[bases] = model.get_weights()[0]
    np.testing.assert_array_equal(*weights.values())


def test_rows_gathered_by_a_sum_are_those_gathered(rng, strategy):
    """The form for XLA and TPUs, with the same gradient."""
    import tensorflow as tf

    from keras_supcon.distribution.gather import _gather_by_sum, gather_across_replicas

    rows = rng.normal(size=(2, 3, 4)).astype("float32")
    weights = rng.normal(size=(6, 4)).astype("float32")

    def step(own):
        results = []
        for by_sum in (True, False):
            with tf.GradientTape() as tape:
                tape.watch(own)
                context = tf.distribute.get_replica_context()
                gathered = (
                    _gather_by_sum(context, own) if by_sum else gather_across_replicas(own)[0][0]
                )
                value = tf.reduce_sum(tf.sin(gathered) * weights)
            results.append((gathered, tape.gradient(value, own)))
        return results

    own = strategy.experimental_distribute_values_from_function(
        lambda c: tf.constant(rows[c.replica_id_in_sync_group])
    )
    summed, gathered = tf.function(lambda own: strategy.run(step, (own,)))(own)
    for actual, expected in zip(summed, gathered, strict=True):
        for one, other in zip(
            strategy.experimental_local_results(actual),
            strategy.experimental_local_results(expected),
            strict=True,
        ):
            np.testing.assert_allclose(one, other, rtol=1e-6)

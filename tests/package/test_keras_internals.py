"""Each private name of Keras and TensorFlow that the package uses exists and behaves as expected.

These tests run with the oldest and the newest supported Keras and TensorFlow. Where one fails, its
function in `keras_supcon/_keras_internals.py` is what to change.
"""

import inspect
import pathlib
import pickle
import threading

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon import _keras_internals as internals

BACKEND = keras.backend.backend()
of_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow")

ROWS, TARGETS = np.ones((4, 3), "float32"), np.zeros((4, 2), "float32")


class Wrapper(keras.layers.Layer):
    """Holds a layer that `model.layers` does not show."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, x, training=False):
        return self.inner(x, training=training)


def model_of(*layers, bases=(keras.Model,), **compiling):
    inputs = x = keras.Input((3,))
    for layer in layers:
        x = layer(x)
    model = type("Model", bases, {})(inputs, x)
    model.compile(**{"optimizer": "sgd", "loss": "mse", "jit_compile": False, **compiling})
    return model


@pytest.mark.neutral
def test_nested_layers():
    dropout = keras.layers.Dropout(0.5)
    model = model_of(Wrapper(dropout), keras.layers.Dense(2))
    assert dropout in internals.nested_layers(model)
    assert model in internals.nested_layers(model)
    assert model not in internals.nested_layers(model, include_self=False)


class Adds(keras.layers.Layer):
    def call(self, x):
        self.add_loss(ops.mean(x))
        return x


@pytest.mark.neutral
def test_added_losses_are_forgotten_of_a_layer_alone():
    kept, forgotten = Adds(), model_of(Wrapper(Adds()))
    model = model_of(kept, forgotten)
    x = ops.ones((2, 3))

    def losses(forget):
        model(x)
        if forget:
            internals.forget_added_losses(forgotten)
        return len(model.losses)

    assert (losses(False), losses(True)) == (2, 1)
    with keras.StatelessScope(collect_losses=True):
        assert (losses(False), len(model.losses)) == (2, 2)
        internals.forget_added_losses(forgotten)
        assert len(model.losses) == 1


@pytest.mark.neutral
def test_seed_generators():
    dropout = keras.layers.Dropout(0.5, seed=1)
    assert internals.seed_generators(dropout) == [dropout.seed_generator]
    assert internals.seed_generators(Wrapper(dropout)) == []


@pytest.mark.neutral
def test_masks():
    embedded = keras.layers.Embedding(3, 2, mask_zero=True)(np.array([[0, 1]]))
    mask = internals.mask_of(embedded)
    assert ops.convert_to_numpy(mask).tolist() == [[False, True]]
    assert internals.mask_of(ops.ones((1, 2))) is None


@of_tensorflow
def test_an_attached_mask_reaches_the_next_layer():
    rows = ops.ones((1, 2, 3))
    internals.attach_mask(rows, ops.convert_to_tensor([[True, False]]))
    pooled = keras.layers.GlobalAveragePooling1D()(rows * 1.0)
    masked = keras.layers.LSTM(1, return_sequences=True)(rows)
    assert internals.mask_of(masked) is not None
    assert pooled.shape == (1, 3)


def penalized():
    """Makes a model with an activity regularizer, an added loss and a penalty of weights."""

    class Adds(keras.layers.Layer):
        def call(self, x):
            self.add_loss(3.0 * ops.mean(ops.ones_like(x)))
            return x

    regular = keras.layers.Dense(2, kernel_initializer="ones", activity_regularizer="l1")
    heavy = keras.layers.Dense(2, kernel_initializer="ones", kernel_regularizer="l2")
    return model_of(heavy, Wrapper(regular), Adds())


@pytest.mark.neutral
def test_own_trainable():
    dense = keras.layers.Dense(2)
    dense.build((None, 3))
    mark = np.bool_(False)
    internals.set_own_trainable(dense, mark)
    assert dense.trainable is mark
    assert internals.own_trainable(dense) is mark
    assert dense.kernel.trainable
    dense.trainable = True
    assert internals.own_trainable(dense) is True


@pytest.mark.neutral
def test_weights_made_trainable():
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2), keras.layers.BatchNormalization()]
    )
    for trainable in (True, False):
        model.trainable = trainable
        weights = internals.weights_made_trainable(model)
        assert [one.path.split("/")[-1] for one in weights] == ["kernel", "bias", "gamma", "beta"]


@pytest.mark.neutral
def test_default_mark():
    class WithArguments(keras.layers.Layer):
        def __init__(self, width, **kwargs):
            super().__init__(**kwargs)

    for layer, is_default in ((WithArguments(2), True), (keras.layers.Dense(2), False)):

        def get_config(layer=layer):
            return type(layer).get_config(layer)

        internals.keep_default_mark(layer, get_config)
        assert get_config._is_default == is_default
    assert getattr(keras.layers.Layer.get_config, "_is_default", None), "Keras marks it no more"


@pytest.mark.neutral
def test_is_in_symbolic_scope():
    seen = []

    class Asks(keras.layers.Layer):
        def call(self, x):
            seen.append(internals.is_in_symbolic_scope())
            return x

    with keras.SymbolicScope():
        assert internals.is_in_symbolic_scope()
    model = model_of(Asks())
    model.predict(ROWS, verbose=0)
    assert seen[0] is True
    assert seen[-1] is False


@pytest.mark.neutral
def test_outermost_call_is_one_for_all_layers_of_a_call():
    seen = []

    class Asks(keras.layers.Layer):
        def call(self, x):
            seen.append(internals.outermost_call())
            return x

    assert internals.outermost_call() is None
    outer = keras.Sequential([Asks(), Asks()])
    outer.build((None, 3))
    seen.clear()
    outer(ROWS), outer(ROWS)
    assert seen[0] is seen[1]
    assert seen[2] is seen[3]
    assert seen[0] is not seen[2]


class Doubled(keras.layers.Layer):
    def call(self, x):
        return 2.0 * x


def added_one(layer, call):
    return lambda x: call(x) + 1.0


@pytest.mark.neutral
def test_a_wrapped_method_is_called_and_restored():
    layer = Doubled()
    with internals.wrapped_methods([layer], "call", added_one):
        assert float(ops.convert_to_numpy(layer(ROWS))[0, 0]) == 3.0
        with internals.wrapped_methods([layer], "call", added_one):  # once is enough
            assert float(ops.convert_to_numpy(layer(ROWS))[0, 0]) == 3.0
        assert float(ops.convert_to_numpy(layer(ROWS))[0, 0]) == 3.0
    assert "call" not in vars(layer)
    assert float(ops.convert_to_numpy(layer(ROWS))[0, 0]) == 2.0


@pytest.mark.neutral
def test_a_wrapped_method_is_restored_after_an_error_and_to_what_a_user_had_set():
    layer = Doubled()
    layer.call = of_user = lambda x: 5.0 * x
    with pytest.raises(KeyError), internals.wrapped_methods([layer], "call", added_one):
        raise KeyError(float(ops.convert_to_numpy(layer(ROWS))[0, 0]))
    assert vars(layer)["call"] is of_user

    def fails(owner, method):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), internals.wrapped_methods([layer], "call", fails):
        pass
    assert vars(layer)["call"] is of_user


@pytest.mark.neutral
def test_threads_that_are_inside_at_the_same_time_wrap_a_method_once():
    generator, inside, outside = keras.random.SeedGenerator(1), threading.Barrier(4), []

    def enter():
        with internals.wrapped_methods([generator], "next", lambda owner, draw: lambda: 7):
            inside.wait()
            outside.append(generator.next())

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outside == [7] * 4
    assert "next" not in vars(generator)
    pickle.dumps(generator.get_config())


CALLS = []


class Shift(internals.ImageLayer):
    """Adds a random number to each image."""

    def __init__(self, seed=3, **kwargs):
        super().__init__(**kwargs)
        self.seed, self.generator = seed, keras.random.SeedGenerator(seed)

    def call(self, images, training=True):
        CALLS.append((self.entry_layer(), self.backend.name))
        return super().call(images, training=training)

    def get_random_transformation(self, data, training=True, seed=None):
        return self.backend.random.uniform((), seed=self.generator)

    def transform_images(self, images, transformation, training=True):
        return self.backend.cast(images, "float32") + transformation

    def compute_output_shape(self, input_shape):
        return input_shape


IMAGES = np.zeros((2, 4, 4, 1), "uint8")


@pytest.mark.neutral
def test_an_image_layer_knows_its_backend_and_its_entry():
    layer = Shift()
    outer = keras.layers.Pipeline([layer])
    shifted = ops.convert_to_numpy(outer(IMAGES))
    assert 0.0 < shifted.min() == shifted.max() < 1.0
    assert CALLS[-1] == (outer, BACKEND)


@of_tensorflow
def test_an_image_layer_gets_integers_inside_tf_data():
    import tensorflow as tf

    dtypes = []

    class Looks(Shift):
        def transform_images(self, images, transformation, training=True):
            dtypes.append(images.dtype)
            return super().transform_images(images, transformation)

    layer = Looks()
    (shifted,) = tf.data.Dataset.from_tensors(IMAGES).map(layer.call_on_tensorflow)
    assert 0.0 < float(shifted[0, 0, 0, 0]) < 1.0
    assert dtypes[0] == tf.uint8
    assert CALLS[-1] == (layer, "tensorflow")
    assert float(layer(IMAGES)[0, 0, 0, 0]) > 0.0  # it converts again


@pytest.mark.neutral
def test_inputs_as_they_are():
    given = []

    class Looks(keras.layers.Layer):
        def call(self, x):
            given.append(x)
            return ops.convert_to_tensor(x)

    layer = Looks()
    layer.build((2,))
    internals.take_inputs_as_they_are(layer)
    array = np.zeros(2, "float64")
    layer(array)
    assert given[-1] is array


@of_tensorflow
def test_strategy_of(strategy):
    with strategy.scope():
        inside = model_of(keras.layers.Dense(2))
        other = keras.layers.Dense(2)
    assert internals.strategy_of(inside) is strategy
    outside = model_of(keras.layers.Dense(2))
    with strategy.scope():
        assert internals.strategy_of(outside) is None
    assert internals.strategy_of(other) is None
    assert internals.strategy_of(None) is None


@pytest.mark.neutral
@pytest.mark.skipif(BACKEND == "tensorflow", reason="of the other backends")
def test_other_backends_have_no_strategy():
    assert internals.strategy_of(model_of(keras.layers.Dense(2))) is None


@pytest.mark.neutral
def test_build_symbolically():
    model = model_of(keras.layers.Dense(2), metrics=["mae"])
    batch = (keras.KerasTensor((4, 3)), keras.KerasTensor((4, 2)))
    internals.build_symbolically(model, batch)
    assert model.optimizer.built
    assert "mae" in [metric.name for metric in model.metrics[1].metrics]


@of_tensorflow
def test_builds_for_batches():
    seen = []

    class Base(internals.BuildsForBatches):
        def build_for_batches(self, specs, build):
            seen.append((keras.tree.flatten(specs), build))

    model = model_of(keras.layers.Dense(2), bases=(Base, keras.Model))
    model.fit(ROWS, TARGETS, batch_size=2, verbose=0)
    specs, build = seen.pop()
    assert [tuple(spec.shape) for spec in specs] == [(2, 3), (2, 2)]
    assert build is None
    model.train_on_batch(ROWS, TARGETS)
    batch, build = seen.pop()
    assert [tuple(part.shape) for part in batch if part is not None] == [(4, 3), (4, 2)]
    build()
    model.evaluate(ROWS, TARGETS, verbose=0)
    assert len(seen) == 1


@of_tensorflow
def test_make_step_function():
    import tensorflow as tf

    model = model_of(keras.layers.Dense(2))
    function = internals.make_step_function(model, lambda data: {"sum": tf.reduce_sum(data[0])})
    batches = iter(tf.data.Dataset.from_tensors((ROWS, TARGETS)))
    assert float(function(batches)["sum"]) == 12.0


@pytest.mark.neutral
def test_the_compiled_loss_and_the_added_losses_are_the_loss_of_a_step():
    model = penalized()
    y_pred = model(ROWS)
    compiled = internals.compiled_loss(model, TARGETS, y_pred, None)
    mean = np.square(ops.convert_to_numpy(y_pred)).mean()
    assert float(ops.convert_to_numpy(compiled)) == pytest.approx(mean, rel=1e-6)
    added = [float(ops.convert_to_numpy(one)) for one in internals.added_losses(model)]
    # l1 of 6 in two columns, the l2 penalty, and a loss of a layer. Keras divides activity losses
    # by the rows.
    assert len(added) == 3
    whole = model.compute_loss(y=TARGETS, y_pred=y_pred)
    assert float(ops.convert_to_numpy(whole)) == pytest.approx(mean + sum(added), rel=1e-6)


@pytest.mark.neutral
def test_name_loss():
    def own(y_true, y_pred):
        return ops.mean(y_pred - y_true, axis=-1)

    internals.name_loss("loss_of_test", own)
    assert keras.losses.get("loss_of_test") is own
    internals.name_loss("mse", own)
    assert keras.losses.get("mse") is not own


@of_tensorflow
def test_added_losses_are_scaled_for_replicas(strategy):
    with strategy.scope():
        model = model_of(keras.layers.Dense(2, kernel_regularizer="l2", kernel_initializer="ones"))
        (added,) = internals.added_losses(model)
    assert float(added) == pytest.approx(0.01 * 6 / 2)


@pytest.mark.neutral
def test_without_autocast():
    class Reads(keras.layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=(), initializer="ones")

        def call(self, x):
            cast = ops.copy(self.scale)
            with internals.without_autocast():
                own = ops.copy(self.scale)
            dtypes.append([keras.backend.standardize_dtype(one.dtype) for one in (cast, own)])
            return x

    dtypes = []
    Reads(dtype="mixed_float16")(ROWS)
    assert dtypes[-1] == ["float16", "float32"]


@pytest.mark.neutral
def test_own_metrics_are_part_of_the_model():
    model = model_of(keras.layers.Dense(2))
    metric = keras.metrics.Mean(name="mine")
    internals.own_metrics(model).append(metric)
    assert metric in model.metrics
    assert all(
        any(own is variable for variable in model.metrics_variables) for own in metric.variables
    )


@pytest.mark.neutral
def test_is_validation_of_fit():
    seen = []

    class Base:
        def evaluate(self, *args, **kwargs):
            seen.append(internals.is_validation_of_fit(kwargs))
            return super().evaluate(*args, **kwargs)

    model = model_of(keras.layers.Dense(2), bases=(Base, keras.Model))
    model.fit(ROWS, TARGETS, validation_data=(ROWS, TARGETS), verbose=0)
    model.evaluate(ROWS, TARGETS, verbose=0)
    assert seen == [True, False]


@pytest.mark.neutral
def test_name_scope_path():
    assert internals.name_scope_path() == ""
    with keras.name_scope("outer"), keras.name_scope("inner"):
        assert internals.name_scope_path() == "outer/inner"


@pytest.mark.neutral
def test_variable_index_and_variables_in_training():
    variables = [keras.Variable(np.zeros(2, "float32")) for _ in range(3)]
    optimizer = keras.optimizers.SGD()
    optimizer.build(variables)
    assert [internals.variable_index(optimizer, one) for one in variables] == [0, 1, 2]
    in_training = internals.variables_in_training(optimizer)
    assert all(ours is one for ours, one in zip(in_training, variables, strict=True))


@pytest.mark.neutral
def test_leave_out_of_weight_decay_adds_to_what_was_left_out():
    variables = [keras.Variable(np.ones(2, "float32")) for _ in range(3)]
    optimizer = keras.optimizers.SGD(1.0, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=[variables[0]])
    internals.leave_out_of_weight_decay(optimizer, variables[1])
    optimizer.apply([ops.zeros(2)] * 3, variables)
    assert [float(ops.convert_to_numpy(one)[0]) for one in variables] == [1.0, 1.0, 0.5]


@of_tensorflow
def test_is_tracing_for_xla():
    import tensorflow as tf

    def ask():
        seen.append(internals.is_tracing_for_xla())
        return tf.constant(0)

    seen = []
    ask()
    tf.function(ask)()
    tf.function(ask, jit_compile=True)()
    tf.function(lambda: tf.function(ask)(), jit_compile=True)()
    assert seen == [False, False, True, True]


@of_tensorflow
def test_spec_of_replica(strategy):
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((ROWS, TARGETS)).batch(4, drop_remainder=True)
    distributed = strategy.experimental_distribute_dataset(dataset)
    specs = [internals.spec_of_replica(spec) for spec in distributed.element_spec]
    assert [tuple(spec.shape) for spec in specs] == [(2, 3), (2, 2)]
    plain = tf.TensorSpec((None, 3))
    assert internals.spec_of_replica(plain) is plain


@pytest.mark.neutral
def test_each_function_and_class_says_why_and_is_tested():
    tested = pathlib.Path(__file__).read_text()
    for name, member in vars(internals).items():
        is_ours = getattr(member, "__module__", None) == internals.__name__
        if is_ours and not name.startswith("_"):
            assert "Reason: " in inspect.getdoc(member), name
            assert f"internals.{name}" in tested, name

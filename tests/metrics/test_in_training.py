"""Metrics with sums of their own follow Keras' loops, files, precisions, XLA and replicas."""

import functools

import keras
import numpy as np
import pytest

from keras_supcon import metrics

pytestmark = pytest.mark.neutral

BACKEND = keras.backend.backend()
BATCH_SIZE = 8
# All of them take class ids and probabilities of classes, rows of as many dimensions.
METRICS = {
    "alignment": metrics.Alignment,
    "effective_rank": metrics.EffectiveRank,
    "expected_calibration_error": metrics.ExpectedCalibrationError,
    "recall_at_k": functools.partial(metrics.RecallAtK, 2),
    "uniformity": metrics.Uniformity,
}
RISE = {"effective_rank", "recall_at_k"}

needs_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow alone")


@pytest.fixture
def data(rng):
    return rng.normal(size=(20, 3)).astype("float32"), rng.integers(0, 4, 20)


def classifier(**options):
    keras.utils.set_random_seed(0)
    output = keras.layers.Dense(4, activation="softmax", kernel_initializer="random_normal")
    model = keras.Sequential([keras.Input((3,)), output])
    model.compile(
        "sgd",
        "sparse_categorical_crossentropy",
        metrics=[metric() for metric in METRICS.values()],
        **options,
    )
    return model


def of_predictions(model, images, labels) -> dict[str, float]:
    """Returns the metrics of the batches of what a model predicts."""
    predictions = keras.ops.convert_to_numpy(model(images))
    results = {}
    for name, make in METRICS.items():
        metric = make()
        for start in range(0, len(labels), BATCH_SIZE):
            batch = slice(start, start + BATCH_SIZE)
            metric.update_state(labels[batch], predictions[batch])
        results[name] = float(metric.result())
    return results


def evaluated(model, images, labels) -> dict[str, float]:
    results = model.evaluate(images, labels, batch_size=BATCH_SIZE, verbose=0, return_dict=True)
    return {name: results[name] for name in METRICS}


@pytest.mark.slow
def test_fit_and_evaluate_log_them_and_files_keep_them(data, tmp_path):
    model = classifier()
    stopping = {
        name: keras.callbacks.EarlyStopping(monitor=f"val_{name}", patience=9) for name in METRICS
    }
    history = model.fit(
        *data,
        batch_size=BATCH_SIZE,
        epochs=2,
        validation_data=data,
        validation_batch_size=BATCH_SIZE,
        callbacks=list(stopping.values()),
        verbose=0,
    ).history
    expected = pytest.approx(of_predictions(model, *data), rel=1e-4)
    assert {name: history[f"val_{name}"][-1] for name in METRICS} == expected
    for name, callback in stopping.items():
        rises = callback.monitor_op == keras.ops.greater
        assert rises == (name in RISE), name
        assert np.isfinite(history[name]).all()
    model.save(tmp_path / "model.keras")
    assert evaluated(keras.saving.load_model(tmp_path / "model.keras"), *data) == expected


@needs_tensorflow
@pytest.mark.slow
def test_xla_compiles_them(data):
    """On JAX `fit` is compiled by XLA anyway."""
    images, labels = data[0][:16], data[1][:16]
    plain, compiled = classifier(jit_compile=False), classifier(jit_compile=True)
    for model in (plain, compiled):
        model.fit(images, labels, batch_size=BATCH_SIZE, verbose=0)
    assert evaluated(compiled, images, labels) == pytest.approx(
        evaluated(plain, images, labels), rel=1e-4
    )


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_that_of_its_values_in_float32(rng, name, dtype):
    labels = rng.integers(0, 4, 12)
    half = keras.ops.softmax(keras.ops.cast(rng.normal(size=(12, 4)), dtype))
    rounded, whole = METRICS[name](), METRICS[name]()
    rounded.update_state(labels, half)
    whole.update_state(labels, keras.ops.cast(half, "float32"))
    assert float(rounded.result()) == float(whole.result())


@pytest.mark.parametrize("name", ["alignment", "recall_at_k", "uniformity"])
def test_lengths_of_rows_change_nothing(rng, name):
    """Beyond the range of float32 too, whose rows JAX takes for infinite."""
    labels, rows = rng.integers(0, 4, 12), rng.normal(size=(12, 4))
    unit, long = METRICS[name](), METRICS[name]()
    unit.update_state(labels, rows)
    long.update_state(labels, rows * 10.0 ** rng.uniform(-20, 200, (12, 1)))
    assert float(long.result()) == pytest.approx(float(unit.result()), rel=1e-5)


@pytest.mark.parametrize("name", METRICS)
def test_a_reset_forgets(rng, name):
    labels, rows = rng.integers(0, 4, 12), rng.dirichlet(np.ones(4), 12).astype("float32")
    metric, new = METRICS[name](), METRICS[name]()
    assert float(metric.result()) == 0
    metric.update_state(labels, rows[::-1])
    assert abs(float(metric.result())) > 0
    metric.reset_state()
    assert float(metric.result()) == 0
    for one in (metric, new):
        one.update_state(labels, rows)
    assert float(metric.result()) == float(new.result())


@needs_tensorflow
@pytest.mark.parametrize("shares", [(5, 7), (12, 0)])
def test_uneven_replicas_add_up_to_one(rng, strategy, shares):
    import tensorflow as tf

    whole = rng.integers(0, 4, 12), rng.dirichlet(np.ones(4), 12).astype("float32")
    weights = rng.uniform(size=12).astype("float32")
    options = {"effective_rank": {"dim": 4}}  # no variables are made within a replica
    single = {name: make(**options.get(name, {})) for name, make in METRICS.items()}
    with strategy.scope():
        mirrored = {name: make(**options.get(name, {})) for name, make in METRICS.items()}

    def share(context):
        first = sum(shares[: context.replica_id_in_sync_group])
        own = slice(first, first + shares[context.replica_id_in_sync_group])
        return tuple(tf.constant(part[own]) for part in (*whole, weights))

    def step(*batch):
        for metric in mirrored.values():
            metric.update_state(*batch)

    of_replicas = strategy.experimental_distribute_values_from_function(share)
    tf.function(lambda: strategy.run(step, args=of_replicas), autograph=False)()
    for name, metric in single.items():
        metric.update_state(*whole, weights)
        assert float(mirrored[name].result()) == pytest.approx(float(metric.result()), rel=1e-5)

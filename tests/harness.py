"""What every public layer, loss, metric and model has to do, in one function for each kind.

A new class is one line in `tests/public_classes.py`; `tests/package/test_every_class.py` calls
these functions for each line.
"""

import dataclasses
import functools
import inspect
import json
import pathlib
import types
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

BACKEND = keras.backend.backend()
POLICIES = ("mixed_float16", "mixed_bfloat16")


@dataclasses.dataclass(frozen=True)
class Case:
    """A public class with arguments, and what it is called on.

    Attributes:
        cls: The class.
        arguments: Makes arguments of its constructor other than the defaults; layers among them are
            new at each call.
        inputs: Makes the inputs of a call, with the batch as first axis.
        output_dtype: Dtype of the outputs where it is not the compute dtype.
        maps_data: Works in `tf.data.Dataset.map`, on dictionaries too.
        draws: Gives the same image in other ways within a batch and between batches.
    """

    cls: type
    arguments: Callable[[], dict[str, Any]] = dict
    inputs: Callable[[], np.ndarray] | None = None
    output_dtype: str | None = None
    maps_data: bool = False
    draws: bool = False

    def make(self, **options: Any) -> Any:
        return self.cls(**{**self.arguments(), **options})


def check_config(case: Case) -> dict[str, Any]:
    """Checks that the config has every argument, and that JSON gives back the same object.

    Returns:
        The serialized object.
    """
    arguments = case.arguments()
    instance = case.cls(**arguments)
    config = instance.get_config()
    for name, value in arguments.items():
        assert _plain(config[name]) == _plain(value), name
    serialized = json.loads(json.dumps(keras.saving.serialize_keras_object(instance)))
    again = keras.saving.deserialize_keras_object(serialized)
    assert type(again) is case.cls
    assert _plain(again.get_config()) == _plain(config)
    return serialized


def check_layer(case: Case, folder: pathlib.Path) -> None:
    """Checks config, shapes, dtype policies, files and `tf.data` of a layer."""
    inputs = case.inputs()
    serialized = check_config(case)
    first, again = (keras.saving.deserialize_keras_object(serialized) for _ in range(2))
    training = {"training": True} if case.maps_data else {}
    outputs = first(inputs, **training)
    _check_outputs(case, first, inputs, outputs)
    if case.maps_data:  # no rows, as of a replica for which a short last batch leaves nothing
        assert tuple(outputs_or_their_shape(first, inputs[:0], **training).shape) == (
            0,
            *outputs.shape[1:],
        )
    if not first.weights:  # of one seed the draws are the same
        np.testing.assert_array_equal(as_array(again(inputs, **training)), as_array(outputs))
    _check_file(first, inputs, folder)
    for policy in POLICIES:
        half = case.make(dtype=policy)
        symbolic = half(keras.KerasTensor(inputs.shape, str(inputs.dtype)))
        assert symbolic.dtype == (case.output_dtype or policy.removeprefix("mixed_"))
        half_outputs = outputs_or_their_shape(half, inputs, **training)
        assert keras.backend.standardize_dtype(half_outputs.dtype) == symbolic.dtype
        if BACKEND != "jax":
            assert np.all(np.isfinite(as_array(half_outputs)))
    if case.maps_data and BACKEND == "tensorflow":
        _check_data_map(case, inputs)


def check_compiles(layers: Sequence[keras.layers.Layer], inputs: np.ndarray) -> None:
    """Checks that XLA compiles a training step through layers that follow one another."""
    model = keras.Sequential(
        [keras.Input(inputs.shape[1:]), *layers, keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    # Keras compiles torch by torch.compile, which is another matter.
    model.compile(optimizer="sgd", loss="mse", jit_compile=BACKEND != "torch")
    assert np.isfinite(model.train_on_batch(inputs, np.zeros((len(inputs), 1))))


def check_model(case: Case, loss: Any, labels: np.ndarray, folder: pathlib.Path) -> None:
    """Checks that a trained model comes back from a file with loss and optimizer, and goes on as if
    it had not been away.
    """
    check_config(case)
    inputs = case.inputs()
    model = case.make(name="mine")
    model.compile(optimizer="adam", loss=loss)
    model.fit(inputs, labels, batch_size=len(inputs), shuffle=False, verbose=0)
    model.save(folder / "model.keras")
    again = keras.saving.load_model(folder / "model.keras")
    assert _plain(again.get_config()) == _plain(model.get_config())
    assert _plain(again.get_compile_config()) == _plain(model.get_compile_config())
    assert int(again.optimizer.iterations) == 1
    np.testing.assert_array_equal(
        as_array(again(inputs, training=False)), as_array(model(inputs, training=False))
    )
    for one in (model, again):
        one.fit(inputs, labels, batch_size=len(inputs), shuffle=False, verbose=0)
    for ours, theirs in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def check_loss(
    case: Case, class_ids: np.ndarray, projections: np.ndarray, folder: pathlib.Path
) -> None:
    """Checks config, file, reduction, sample weights and precision of a loss."""
    check_config(case)
    required = {
        name: case.arguments()[name]
        for name, parameter in inspect.signature(case.cls).parameters.items()
        if parameter.default is inspect.Parameter.empty
    }
    default = case.cls(**required).get_config()
    for (
        option,
        value,
    ) in case.arguments().items():  # one at a time, so that no two can be mistaken for one another
        config = case.cls(**{**required, option: value}).get_config()
        assert _plain(config) == _plain({**default, option: value})
    loss = case.make(reduction="sum_over_batch_size")
    each = as_array(case.make(reduction=None)(class_ids, projections))
    assert each.shape == (len(projections),)
    weights = np.linspace(0.0, 1.0, len(projections), dtype="float32")
    np.testing.assert_allclose(float(loss(class_ids, projections)), each.mean(), rtol=1e-5)
    np.testing.assert_allclose(
        float(loss(class_ids, projections, sample_weight=weights)),
        (each * weights).mean(),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        float(case.make(reduction="sum")(class_ids, projections)), each.sum(), rtol=1e-5
    )
    for dtype in ("float16", "bfloat16"):
        half = case.make(reduction="sum_over_batch_size", dtype=dtype)
        assert half.get_config()["dtype"] == "float32"
        rounded = ops.cast(projections, dtype)
        value = half(class_ids, rounded)
        assert keras.backend.standardize_dtype(value.dtype) == "float32"
        np.testing.assert_allclose(
            float(value), float(loss(class_ids, ops.cast(rounded, "float32"))), rtol=1e-6
        )
    assert case.make(dtype="mixed_float16").get_config()["dtype"] == "float32"
    loss = case.make()
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(optimizer="sgd", loss=loss)
    model.save(folder / "model.keras")
    reloaded = keras.saving.load_model(folder / "model.keras").loss
    assert type(reloaded) is case.cls
    assert reloaded.get_config() == loss.get_config()


def check_metric(case: Case, *batches: tuple[np.ndarray, np.ndarray]) -> None:
    """Checks the config of a metric, its mean over the samples of several batches, and that a reset
    forgets.
    """
    check_config(case)
    metric = case.make()
    alone = []
    for batch in batches:
        metric.reset_state()
        metric.update_state(*batch)
        alone.append(float(metric.result()))
    metric.reset_state()
    for batch in batches:
        metric.update_state(*batch)
    sizes = [len(class_ids) for class_ids, _ in batches]
    np.testing.assert_allclose(float(metric.result()), np.average(alone, weights=sizes), rtol=1e-6)
    metric.reset_state()
    assert float(metric.result()) == 0


def as_array(tensor: Any) -> np.ndarray:
    """Returns a tensor of any float dtype as a float32 array."""
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def outputs_or_their_shape(layer: keras.layers.Layer, inputs: np.ndarray, **options: Any) -> Any:
    """Calls the layer; on JAX, where a trace tells shape and dtype, nothing is compiled for these
    inputs alone.
    """
    if BACKEND != "jax":
        return layer(inputs, **options)
    import jax

    with keras.StatelessScope():
        return jax.eval_shape(
            functools.partial(layer, **options), jax.ShapeDtypeStruct(inputs.shape, inputs.dtype)
        )


def _check_outputs(case: Case, layer: Any, inputs: np.ndarray, outputs: Any) -> None:
    """Checks shape, dtype and finiteness of outputs, and that a symbolic call says the same of
    them.
    """
    shape, dtype = tuple(outputs.shape), keras.backend.standardize_dtype(outputs.dtype)
    assert shape == tuple(layer.compute_output_shape(inputs.shape))
    assert dtype == (case.output_dtype or layer.compute_dtype)
    assert np.all(np.isfinite(as_array(outputs)))
    symbolic = layer(keras.KerasTensor((None, *inputs.shape[1:]), str(inputs.dtype)))
    assert (tuple(symbolic.shape), symbolic.dtype) == ((None, *shape[1:]), dtype)


def _check_file(layer: keras.layers.Layer, inputs: np.ndarray, folder: pathlib.Path) -> None:
    model = keras.Sequential([keras.Input(inputs.shape[1:], dtype=str(inputs.dtype)), layer])
    model.save(folder / "layer.keras")
    reloaded = keras.saving.load_model(folder / "layer.keras")
    expected = as_array(model(inputs, training=False))
    np.testing.assert_array_equal(as_array(reloaded(inputs, training=False)), expected)


def _check_data_map(case: Case, inputs: np.ndarray) -> None:
    import tensorflow as tf

    labels = np.resize(
        [257, 2049, 2**24 + 1, 2**30 + 1], len(inputs)
    )  # what bfloat16, float16 and float32 cannot hold
    data = tf.data.Dataset.from_tensor_slices({"images": inputs, "labels": labels})
    layer = case.make()
    of_batches = data.batch(len(inputs) - 1).map(functools.partial(layer, training=True))
    shape = tuple(layer.compute_output_shape(inputs.shape)[1:])
    assert tuple(of_batches.element_spec["images"].shape) == (None, *shape)
    elements = list(of_batches)
    assert [len(element["images"]) for element in elements] == [len(inputs) - 1, 1]
    assert elements[0]["images"].dtype == "float32"
    if case.draws:
        assert (
            len({image.numpy().tobytes() for element in elements for image in element["images"]})
            > 1
        )
    assert elements[0]["labels"].dtype == labels.dtype
    np.testing.assert_array_equal(
        np.concatenate([element["labels"] for element in elements]), labels
    )


def _plain(value: Any) -> Any:
    """Returns a config as a file would hold it, without the shapes on which a part was built."""
    if isinstance(
        value,
        (
            keras.layers.Layer,
            keras.losses.Loss,
            keras.optimizers.schedules.LearningRateSchedule,
            types.FunctionType,
        ),
    ):
        value = keras.saving.serialize_keras_object(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key != "build_config"}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value

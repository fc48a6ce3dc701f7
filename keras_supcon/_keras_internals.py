"""Every private name of Keras and TensorFlow that this package uses, each with the reason.

Private names change without notice. So the rest of the package calls the functions and classes
below, whose names and meaning are ours. `tests/package/test_keras_internals.py` checks that each
still works with the oldest and the newest supported version, and that no other file uses a private
name of another library.

TensorFlow is imported inside functions; it may not be installed.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras
from keras.src.backend.common.global_state import get_global_attribute
from keras.src.backend.common.name_scope import current_path
from keras.src.backend.common.stateless_scope import get_stateless_scope, in_stateless_scope
from keras.src.backend.common.symbolic_scope import in_symbolic_scope
from keras.src.backend.common.variables import AutocastScope
from keras.src.layers.preprocessing.image_preprocessing.base_image_preprocessing_layer import (
    BaseImagePreprocessingLayer,
)
from keras.src.losses import ALL_OBJECTS_DICT

from keras_supcon.typing import Strategy, Tensor, TensorTree

# ------------------------------------------------------------------------------------------------
# Keras: layers
# ------------------------------------------------------------------------------------------------


def nested_layers(layer: keras.layers.Layer, include_self: bool = True) -> list[keras.layers.Layer]:
    """Returns a layer and all layers within it, each once.

    Reason: `model.layers` lists the direct parts of a model only, and other layers list none.
    """
    return layer._flatten_layers(include_self=include_self)


def forget_added_losses(layer: keras.layers.Layer) -> None:
    """Takes what the calls of a layer and of the layers within it added to the loss out of it.

    Reason: Keras forgets them for whole models alone, in each step.
    """
    layers = nested_layers(layer)
    if in_stateless_scope():
        dropped = set().union(*(one._loss_ids for one in layers))
        scope = get_stateless_scope()
        scope.losses[:] = [loss for loss in scope.losses if id(loss) not in dropped]
    for one in layers:
        one._losses.clear()
        one._loss_ids.clear()


def seed_generators(layer: keras.layers.Layer) -> list[keras.random.SeedGenerator]:
    """Returns the seed generators of a layer, without those of the layers within it.

    Reason: Keras shows the states of generators among `variables`, but not the generators.
    """
    return layer._seed_generators


def mask_of(tensor: Tensor) -> Tensor | None:
    """Returns the mask that Keras has attached to a tensor, or None.

    Reason: there is no public getter.
    """
    return getattr(tensor, "_keras_mask", None)


def attach_mask(tensor: Tensor, mask: Tensor) -> None:
    """Attaches a mask to a tensor, as a layer with `compute_mask` does.

    Reason: there is no public setter.
    """
    tensor._keras_mask = mask


def without_autocast() -> AutocastScope:
    """Returns a context in which variables are read in their own dtype.

    Reason: within the call of a layer in mixed precision Keras casts each variable that is read.
    """
    return AutocastScope(None)


def own_trainable(layer: keras.layers.Layer) -> Any:
    """Returns the value that `set_own_trainable` or `layer.trainable = ...` has stored.

    Reason: a class that overrides the property `trainable` has no other way to read it.
    """
    return layer._trainable


def set_own_trainable(layer: keras.layers.Layer, value: Any) -> None:
    """Sets what `layer.trainable` returns, without passing it on to parts and variables.

    Reason: the public setter changes all parts, and stores no value but True or False.
    """
    layer._trainable = value


def weights_made_trainable(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Returns the weights of a layer and all layers within it that training may change.

    Reason: `trainable_weights` leaves out those of layers that are frozen at the moment.
    """
    return [one for part in nested_layers(layer) for one in part._trainable_variables]


def keep_default_mark(layer: keras.layers.Layer, get_config: Any) -> None:
    """Marks a replacement of `get_config` as Keras' default, if that of the layer's class is.

    Reason: Keras refuses to save a layer with the default `get_config` that takes arguments, which
    it tells by this mark.
    """
    get_config._is_default = getattr(type(layer).get_config, "_is_default", False)


def is_in_symbolic_scope() -> bool:
    """Checks whether Keras calls layers and losses only to learn shapes and dtypes.

    Reason: `keras.SymbolicScope` is public, but not the question whether one is entered.
    """
    return in_symbolic_scope()


def outermost_call() -> Any | None:
    """Returns an object that stands for the running outermost call of a layer, or None.

    Reason: a layer has no public way to tell the calls of a model apart.
    """
    return get_global_attribute("current_call_ctx")


@contextlib.contextmanager
def wrapped_methods(
    objects: Iterable[Any], name: str, wrap: Callable[[Any, Callable[..., Any]], Callable[..., Any]]
) -> Iterator[None]:
    """Wraps a public method of objects, such as `call` of layers, and restores it afterwards.

    Several threads may be inside at the same time, as the replicas of a `MirroredStrategy` are. The
    first one wraps a method, the last one restores it, and none wraps it twice; so everyone who
    wraps a method of an object must do it with the same function. Copies and files of the objects
    that are made outside of the context are not affected.

    Reason: Keras has no hooks around the call of a layer or the draw of a seed generator.

    Args:
        objects: Layers, seed generators or others that have an attribute dictionary.
        name: Name of the method.
        wrap: Function from an object and its method to the replacement of the method.
    """
    entered = []
    try:
        for one in objects:
            _wrap_method(one, name, wrap)
            entered.append(one)
        yield
    finally:
        for one in entered:
            _unwrap_method(one, name)


_GUARD = threading.Lock()
# How often a method is wrapped, and what the object itself held under that name.
_WRAPPED: dict[tuple[int, str], list[Any]] = {}


def _wrap_method(owner: Any, name: str, wrap: Callable[..., Callable[..., Any]]) -> None:
    key, attributes = (id(owner), name), vars(owner)
    with _GUARD:
        if key in _WRAPPED:
            _WRAPPED[key][0] += 1
            return
        own = {name: attributes[name]} if name in attributes else {}
        # Not by `setattr`: Keras and TensorFlow would look whether they should track the value.
        attributes[name] = wrap(owner, getattr(owner, name))
        _WRAPPED[key] = [1, own]


def _unwrap_method(owner: Any, name: str) -> None:
    key = (id(owner), name)
    with _GUARD:
        _WRAPPED[key][0] -= 1
        count, own = _WRAPPED[key]
        if count == 0:
            del _WRAPPED[key], vars(owner)[name]
            vars(owner).update(own)


class ImageLayer(BaseImagePreprocessingLayer):
    """Base of image layers that run in models and, with every backend of Keras, in `tf.data`.

    Subclasses write `get_random_transformation`, `transform_images` and the other public methods of
    Keras' own image layers, in terms of `self.backend`. They set `seed` and `generator`.

    Reason: Keras does not export the base of its image layers, which alone switches the backend
    inside `tf.data`.
    """

    _USE_BASE_FACTOR = False

    def entry_layer(self) -> keras.layers.Layer:
        """Returns the layer whose call led to this one, for use within `call`."""
        return self._get_call_context().entry_layer

    def call_on_tensorflow(self, images: Tensor, **kwargs: Any) -> Tensor:
        """Calls the layer on tensors of a TensorFlow graph, with any backend of Keras.

        Unlike Keras' own way it does not cast the whole input first.
        """
        self.backend.set_backend("tensorflow")
        converts, self._convert_input_args = self._convert_input_args, False
        try:
            images = self.backend.convert_to_tensor(images)
            return keras.layers.Layer.__call__(self, images, **kwargs)
        finally:
            self.backend.reset()
            self._convert_input_args = converts


def take_inputs_as_they_are(layer: keras.layers.Layer) -> None:
    """Makes a layer get its inputs unconverted, TensorFlow's tensors inside `tf.data` included.

    Reason: as `keras.layers.Pipeline` does it; other layers convert to the backend of Keras.
    """
    layer._convert_input_args = False
    layer._allow_non_tensor_positional_args = True


# ------------------------------------------------------------------------------------------------
# Keras: models and their training
# ------------------------------------------------------------------------------------------------


def strategy_of(model: Any) -> Strategy | None:
    """Returns the `tf.distribute` strategy that a model was made under, or None.

    Reason: `distribute_strategy` falls back to the present strategy, so that it does not tell
    whether the model belongs to it. Keras keeps it on the TensorFlow backend alone.
    """
    return getattr(model, "_distribute_strategy", None)


def build_symbolically(model: keras.Model, batch: TensorTree) -> None:
    """Creates the variables of a compiled model, its metrics, loss and optimizer.

    Reason: `build` creates neither those of the metrics nor those of the optimizer.

    Args:
        model: A compiled model.
        batch: A batch of `fit` as `keras.KerasTensor`s.
    """
    model._symbolic_build(data_batch=batch)


class BuildsForBatches:
    """Mix-in for models that calls `build_for_batches` where Keras builds them on TensorFlow.

    That is once per `fit` or `evaluate`, before the first step. Goes before `keras.Model`.

    Reason: the hook is private, and Keras' own version works for one strategy of several.

    Attributes:
        is_built_symbolically: Whether Keras is calling the model and its loss on symbols, to create
            variables.
    """

    is_built_symbolically = False

    def build_for_batches(self, specs: Any, build: Callable[[], None] | None) -> None:
        """Builds the model for batches.

        Args:
            specs: A batch, or the element spec of the distributed data set that gives them.
            build: Keras' own way to build by that batch; None for a data set.
        """
        raise NotImplementedError

    def prepare_weights(self) -> None:
        """Prepares the weights once they have been created, or restored from a checkpoint.

        Does nothing unless overridden.
        """

    def _symbolic_build(self, *args: Any, **kwargs: Any) -> None:
        was_built = self.built
        self.is_built_symbolically = True
        try:
            super()._symbolic_build(*args, **kwargs)
        finally:
            self.is_built_symbolically = False
        if self._compile_loss is not None:
            # It is not, where a step calls the parts of it: Keras would begin again in each batch.
            self._compile_loss.built = True
        if not was_built:
            self.prepare_weights()

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        if iterator is None:
            build = super()._maybe_symbolic_build
            self.build_for_batches(data_batch, lambda: build(data_batch=data_batch))
        else:
            # Iterating it would drop the first batch.
            self.build_for_batches(iterator._distributed_dataset.element_spec, None)


def make_step_function(model: keras.Model, step: Callable[..., Any]) -> Callable[..., Any]:
    """Makes the function of another step for `model.train_function` or `model.test_function`.

    TensorFlow only.

    Reason: `make_train_function` takes no step, and the `train_step` of a subclass may not call
    ours.
    """
    return model._make_function(step)


def compiled_loss(model: keras.Model, y: Any, y_pred: Any, sample_weight: Any) -> Tensor:
    """Computes the loss that a model was compiled with, without what its layers add.

    Reason: `compute_loss`, which is public, adds both.
    """
    loss = model._compile_loss
    if loss._flat_losses is None:
        loss.built = False  # see `BuildsForBatches._symbolic_build`
    return loss(y, y_pred, sample_weight)


def name_loss(name: str, loss: Callable[..., Any]) -> None:
    """Makes a loss known to `keras.losses.get` by a name, unless Keras has a loss of that name.

    Reason: `keras.losses.get` looks strings up in a private dictionary, and registered objects by
    their full names alone.
    """
    ALL_OBJECTS_DICT.setdefault(name, loss)


def added_losses(model: keras.Model) -> list[Tensor]:
    """Returns the losses that layers and weights add, as they enter the loss of a step.

    Reason: Keras scales them for replicas inside `compute_loss` alone.
    """
    return [model._aggregate_additional_loss(loss) for loss in model.losses]


def is_validation_of_fit(arguments: Mapping[str, Any]) -> bool:
    """Checks whether `fit` calls `evaluate`, by the keyword arguments of that call.

    Reason: `evaluate` of a subclass cannot tell otherwise that `fit` has checked the data.
    """
    return bool(arguments.get("_use_cached_eval_dataset"))


def own_metrics(model: keras.Model) -> list[keras.metrics.Metric]:
    """Returns the metrics of a model that are not part of `compile`, as a list that may be changed.

    Reason: only a subclass can add a metric publicly, and only before the model is built.
    """
    return model._metrics


def name_scope_path() -> str:
    """Returns the names of the `keras.name_scope`s that are entered, joined by slashes.

    Reason: there is no public way to ask, nor to ask who calls a loss.
    """
    return current_path()


# ------------------------------------------------------------------------------------------------
# Keras: optimizers
# ------------------------------------------------------------------------------------------------


def variable_index(optimizer: keras.optimizers.Optimizer, variable: Any) -> int:
    """Returns the index of a variable among those that the optimizer was built for.

    Reason: `update_step` receives TensorFlow's variables, per replica, instead of those given to
    `build`. All optimizers of Keras ask this way.
    """
    return optimizer._get_variable_index(variable)


def variables_in_training(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """Returns the variables that the optimizer was built for.

    Reason: `variables` holds the state of the optimizer alone.
    """
    return optimizer._trainable_variables


def leave_out_of_weight_decay(
    optimizer: keras.optimizers.Optimizer, variable: keras.Variable
) -> None:
    """Adds a variable to those that do not decay.

    Reason: a call of `exclude_from_weight_decay` forgets the variables of earlier calls.
    """
    excluded = getattr(optimizer, "_exclude_from_weight_decay", ())
    optimizer._exclude_from_weight_decay = {*excluded, optimizer._var_key(variable)}
    optimizer._exclude_from_weight_decay_cache = {}


# ------------------------------------------------------------------------------------------------
# TensorFlow
# ------------------------------------------------------------------------------------------------


def is_tracing_for_xla() -> bool:
    """Checks whether TensorFlow traces a function that XLA will compile.

    Such are functions with `jit_compile=True`, and those for TPUs.

    Reason: TensorFlow has no public way to ask.
    """
    import tensorflow as tf
    from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext

    if tf.executing_eagerly():
        return False
    return GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


def spec_of_replica(spec: Any) -> Any:
    """Returns what the first replica gets of a spec of distributed tensors; other specs unchanged.

    Reason: the spec of per-replica values is not exported.
    """
    return spec._value_specs[0] if hasattr(spec, "_value_specs") else spec

"""Keras' `fit`, `evaluate` and `predict` on TensorFlow, under every `tf.distribute` strategy.

This file holds all that is needed because Keras 3.15 trains under `MultiWorkerMirroredStrategy` no
more (https://github.com/keras-team/keras/issues/20585), and stops at a first batch that is shared
out unevenly. It overrides two methods that Keras does not document, `_maybe_symbolic_build` and
`_make_function`; a test tells when Keras can do without. What a last batch needs that leaves
replicas without rows is in `empty_shares.py`.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import tree

from keras_supcon.distribution.batch_normalization import batch_normalizations
from keras_supcon.distribution.empty_shares import call_on_a_row_at_least
from keras_supcon.distribution.seeds import ReplicaSeedGenerator
from keras_supcon.user_lines import stacklevel_of_user


class DistributedFit:
    """Mix-in for Keras models that are trained under a `tf.distribute` strategy: `class
    Model(DistributedFit, keras.Model)`.

    Makes `fit`, `evaluate` and `predict` work under `MultiWorkerMirroredStrategy` and with batches
    that cannot be shared out evenly, or leave some replicas nothing; gives the replicas different
    random numbers; refuses what Keras cannot run under a strategy before training begins, and warns
    of what would not be the same as on one device. Without a strategy it builds a model before its
    first step, which TensorFlow then traces once and not twice. On JAX and PyTorch it changes
    nothing. `ContrastiveModel` and `LinearClassifier` have it.

    A functional model has it by `Model(inputs, outputs)` of such a class.

    Raises:
        ValueError: By `fit`, `evaluate` and `predict`, under a strategy with several replicas: for
            `jit_compile=True`, `steps_per_execution` above 1 (not on TPUs),
            `gradient_accumulation_steps` and `ema_overwrite_frequency`; and if the model, weights
            that are trained or the optimizer were made outside of the scope of the strategy.

    Warns:
        UserWarning: For batch normalization that is not synchronized and gradient clipping, which
            then happen in each replica.

    Example:

    >>> import keras
    >>> from keras_supcon.distribution import DistributedFit
    >>> class Model(DistributedFit, keras.Model):
    ...     pass
    >>> inputs = keras.Input((4,))
    >>> Model(inputs, keras.layers.Dense(2)(inputs)).output_shape
    (None, 2)
    """

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        call = super().__call__
        return call_on_a_row_at_least(lambda inputs: call(inputs, *args, **kwargs), inputs, self)

    def make_train_function(self, force: bool = False) -> Any:
        if self.train_function is None or force:
            strategy = _strategy_to_run(self)
            if strategy is not None:
                warn_of_what_replicas_do_alone(self, strategy)
                let_replicas_draw_apart(self)
            if _is_multi_worker(strategy):
                self.train_function = self._make_function(_with_vectors(self.train_step))
                return self.train_function
        return super().make_train_function(force)

    def make_test_function(self, force: bool = False) -> Any:
        if self.test_function is None or force:
            strategy = _strategy_to_run(self)
            if _is_multi_worker(strategy):
                self.test_function = self._make_function(_with_vectors(self.test_step))
                return self.test_function
        return super().make_test_function(force)

    def make_predict_function(self, force: bool = False) -> Any:
        if self.predict_function is None or force:
            _strategy_to_run(self)
        return super().make_predict_function(force)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        if _strategy_to_run(self) is not None:
            refuse_what_was_made_elsewhere(self)
        strategy = _strategy_of(self)
        specs = data_batch if iterator is None else iterator._distributed_dataset.element_spec
        if strategy is None:
            # Keras leaves it to the first step, which TensorFlow then traces twice: once to make
            # variables, once without. Eager steps are not traced, and may call what wants numbers.
            if _are_dense(specs) and not self.run_eagerly:
                self._symbolic_build(data_batch=tree.map_structure(_symbolic_share, specs))
        elif iterator is None:
            super()._maybe_symbolic_build(data_batch=data_batch)
        else:
            # Keras takes a batch and averages it over the replicas, which cannot be done with
            # shares of different lengths nor across workers. The shapes are all that it needs.
            with strategy.scope():
                self._symbolic_build(data_batch=tree.map_structure(_symbolic_share, specs))


def refuse_what_keras_cannot_run(model: keras.Model, strategy: Any) -> None:
    """Raises `ValueError` for the options of a compiled model that fail, late and unclearly, with
    several replicas.
    """
    import tensorflow as tf

    optimizer = _inner_optimizer(model)
    refused = {
        "jit_compile": (False, model.jit_compile),
        "gradient_accumulation_steps": (
            None,
            getattr(optimizer, "gradient_accumulation_steps", None),
        ),
        "ema_overwrite_frequency": (None, getattr(optimizer, "ema_overwrite_frequency", None)),
    }
    if not isinstance(strategy, tf.distribute.TPUStrategy):
        refused["steps_per_execution"] = (1, model.steps_per_execution)
    for argument, (allowed, received) in refused.items():
        if received not in (allowed, None, False):
            raise ValueError(
                f"`{argument}` should be {allowed} under a strategy with several replicas: Keras "
                "cannot run it there. "
                f"Received: {argument}={received!r}, {strategy.num_replicas_in_sync} replicas of "
                f"{type(strategy).__name__}"
            )


def refuse_what_was_made_elsewhere(model: keras.Model) -> None:
    """Raises `ValueError` for variables that replicas would change one after the other, since they
    are not their strategy's.

    TensorFlow refuses most of them, late and unclearly; the steps of SGD it counts once in each
    replica.
    """
    strategy = _strategy_of(model)
    made = {
        "trained weights, and so the encoder or layer that they belong to,": model.trainable_variables,
        "optimizer, and so the call of `compile`,": []
        if model.optimizer is None
        else [model.optimizer.iterations],
    }
    for what, variables in made.items():
        elsewhere = [
            one for one in variables if not strategy.extended.variable_created_in_scope(one.value)
        ]
        if elsewhere:
            raise ValueError(
                f"The {what} should be made within `strategy.scope()`, as the model was. "
                f"Received: {elsewhere[0].path!r} from outside of the scope of "
                f"{type(strategy).__name__}"
            )


def warn_of_what_replicas_do_alone(model: keras.Model, strategy: Any) -> None:
    """Warns where training with several replicas would not be the same as with one."""
    replicas = strategy.num_replicas_in_sync
    trained = {
        id(weight) for weight in model.trainable_weights
    }  # an encoder that is frozen for this model has none there
    in_inference_mode = {id(layer) for layer in getattr(model, "layers_in_inference_mode", ())}
    single = [
        layer.name
        for layer in batch_normalizations(model)
        if id(layer) not in in_inference_mode
        and not layer.synchronized
        and any(id(weight) in trained for weight in layer.trainable_weights)
    ]
    if single:
        warnings.warn(
            f"Batch normalization takes its statistics from each of {replicas} replicas alone in "
            f"{', '.join(single[:3])}{' and others' if len(single) > 3 else ''}; "
            "`synchronized=True` takes them from the "
            "global batch, as one device does.",
            stacklevel=stacklevel_of_user(),
        )
    names = ("clipnorm", "global_clipnorm", "clipvalue")
    clipping = [name for name in names if getattr(_inner_optimizer(model), name, None) is not None]
    if clipping:
        warnings.warn(
            f"`{clipping[0]}` clips the gradients of each of {replicas} replicas before they are "
            "added, so that training is "
            "not the same as on one device.",
            stacklevel=stacklevel_of_user(),
        )


def let_replicas_draw_apart(model: keras.Model) -> None:
    """Makes the seed generators of all layers such that differ between replicas; the states stay
    what they are.
    """
    for layer in model._flatten_layers():
        for generator in layer._seed_generators:
            if type(generator) is keras.random.SeedGenerator:
                generator.__class__ = ReplicaSeedGenerator


def _inner_optimizer(model: keras.Model) -> Any:
    return getattr(model.optimizer, "inner_optimizer", model.optimizer)


def _strategy_of(model: Any) -> Any | None:
    """The strategy that a model was built under; Keras keeps it on the TensorFlow backend alone."""
    return getattr(model, "_distribute_strategy", None)


def _strategy_to_run(model: Any) -> Any | None:
    """The strategy of a model if it has several replicas, after the checks that any use of the
    model needs.

    Raises:
        ValueError: If the model is not that of the present scope, or cannot be run by its strategy.
    """
    strategy = _strategy_of(model)
    if strategy is None:
        _refuse_the_scope_of_others(model)
        return None
    if strategy.num_replicas_in_sync == 1:
        return None
    refuse_what_keras_cannot_run(model, strategy)
    return strategy


def _refuse_the_scope_of_others(model: Any) -> None:
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    present = tf.distribute.get_strategy()
    if present.num_replicas_in_sync > 1:
        raise ValueError(
            f"The model should be made within `strategy.scope()`. Received: {model.name!r}, made "
            "outside, under the "
            f"{present.num_replicas_in_sync} replicas of {type(present).__name__}"
        )


def _is_multi_worker(strategy: Any) -> bool:
    if strategy is None:
        return False
    import tensorflow as tf

    return (
        isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        and strategy.extended._in_multi_worker_mode()
    )


def _with_vectors(step: Callable[..., Any]) -> Callable[..., Any]:
    """A step whose scalar results have one axis, since Keras averages over the first axis across
    workers.
    """

    @functools.wraps(step)
    def step_with_vectors(*args: Any) -> Any:
        return tree.map_structure(lambda value: value[None], step(*args))

    return step_with_vectors


def _are_dense(batch: Any) -> bool:
    """Whether a batch, or what is known of batches, is of tensors of known rank; data from a
    generator may not be.
    """
    import tensorflow as tf

    dense = (np.ndarray, tf.Tensor, tf.TensorSpec)
    return all(
        part is None or (isinstance(part, dense) and tf.TensorShape(part.shape).rank is not None)
        for part in tree.flatten(batch)
    )


def _symbolic_share(part: Any) -> keras.KerasTensor | None:
    """What one replica sees of a distributed tensor, or of one that need not be shared."""
    part = part._value_specs[0] if hasattr(part, "_value_specs") else part
    return (
        None
        if part is None
        else keras.KerasTensor(part.shape, keras.backend.standardize_dtype(part.dtype))
    )

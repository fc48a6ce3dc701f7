"""Keras' `fit`, `evaluate` and `predict` on TensorFlow, under every `tf.distribute` strategy.

Keras 3.15 cannot train under `MultiWorkerMirroredStrategy`
(https://github.com/keras-team/keras/issues/20585), and fails on a first batch that does not divide
over the replicas. This file works around both; a test fails when Keras no longer needs it.
`empty_replicas.py` handles a last batch that leaves replicas without rows.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import tree

from keras_supcon._keras_internals import (
    BuildsForBatches,
    build_symbolically,
    make_step_function,
    spec_of_replica,
    strategy_of,
)
from keras_supcon.arguments import name_some
from keras_supcon.distribution.batch_normalization import batch_normalizations
from keras_supcon.distribution.empty_replicas import call_with_placeholder_row
from keras_supcon.distribution.replica_seed_generator import replica_seeds
from keras_supcon.distribution.replicas import replica_context
from keras_supcon.distribution.strategies import worker
from keras_supcon.typing import Strategy, TensorTree
from keras_supcon.user_lines import stacklevel_of_user

_MOST_NAMED = 3


class DistributedFit(BuildsForBatches):
    """Mix-in for Keras models that are trained under a `tf.distribute` strategy.

    Goes before `keras.Model`: `class Model(DistributedFit, keras.Model)`. A functional model gets
    it as `Model(inputs, outputs)` of such a class. `ContrastiveModel` and `LinearClassifier` have
    it. Under a strategy

    - `fit`, `evaluate` and `predict` work with `MultiWorkerMirroredStrategy`, and with batches that
      do not divide over the replicas or leave some of them empty;
    - replicas draw different random numbers;
    - options that Keras cannot run there are refused before training begins;
    - a warning names what would differ from training on one device.

    Without a strategy the model is built before its first step, so that TensorFlow traces the step
    once and not twice. On JAX and PyTorch nothing changes.

    Raises:
        ValueError: By `fit`, `evaluate` and `predict`, under a strategy with several replicas: for
            `jit_compile=True`, `steps_per_execution` above 1 (except on TPUs),
            `gradient_accumulation_steps` and `ema_overwrite_frequency`; and if the model, trained
            weights or the optimizer were created outside of the scope of the strategy.

    Warns:
        UserWarning: For batch normalization that is not synchronized and for gradient clipping,
            both of which are then per-replica.

    Example:

    >>> import keras
    >>> from keras_supcon.distribution import DistributedFit
    >>> class Model(DistributedFit, keras.Model):
    ...     pass
    >>> inputs = keras.Input((4,))
    >>> Model(inputs, keras.layers.Dense(2)(inputs)).output_shape
    (None, 2)
    """

    def __call__(self, inputs: TensorTree, *args: Any, **kwargs: Any) -> TensorTree:
        call = super().__call__
        if replica_context() is None:
            return call(inputs, *args, **kwargs)
        with replica_seeds(self):
            return call_with_placeholder_row(
                lambda inputs: call(inputs, *args, **kwargs), inputs, self
            )

    def make_train_function(self, force: bool = False) -> Any:
        if self.train_function is None or force:
            strategy = _strategy_to_run(self)
            if strategy is not None:
                warn_per_replica_behavior(self, strategy)
                # A step need not call the model itself.
                step = _with_replica_seeds(self, self.train_step)
                self.train_function = make_step_function(self, _reducible(step, strategy))
                return self.train_function
        return super().make_train_function(force)

    def make_test_function(self, force: bool = False) -> Any:
        if self.test_function is None or force:
            strategy = _strategy_to_run(self)
            if strategy is not None:
                self.test_function = make_step_function(self, _reducible(self.test_step, strategy))
                return self.test_function
        return super().make_test_function(force)

    def make_predict_function(self, force: bool = False) -> Any:
        if self.predict_function is None or force:
            _strategy_to_run(self)
        return super().make_predict_function(force)

    def build_for_batches(self, specs: Any, build: Callable[[], None] | None) -> None:
        if _strategy_to_run(self) is not None:
            check_created_in_scope(self)
        strategy = strategy_of(self)
        if strategy is None:
            # Keras leaves it to the first step, which TensorFlow then traces twice: once to make
            # variables, once without. Eager steps are not traced, and may call what needs numbers.
            if _are_dense(specs) and not self.run_eagerly:
                build_symbolically(self, tree.map_structure(_symbolic_shard, specs))
        elif build is not None:
            build()
        else:
            # Keras averages a batch over the replicas, which fails for shards of different lengths
            # and across workers. Shapes are all that it needs.
            with strategy.scope():
                build_symbolically(self, tree.map_structure(_symbolic_shard, specs))


def check_supported_options(model: keras.Model, strategy: Strategy) -> None:
    """Checks that a compiled model has no option that Keras cannot run with several replicas.

    Such options would fail late and unclearly.

    Raises:
        ValueError: If it has one.
    """
    import tensorflow as tf

    optimizer = _inner_optimizer(model)
    accumulation = getattr(optimizer, "gradient_accumulation_steps", None)
    overwriting = getattr(optimizer, "ema_overwrite_frequency", None)
    options = {
        "jit_compile": (False, model.jit_compile),
        "gradient_accumulation_steps": (None, accumulation),
        "ema_overwrite_frequency": (None, overwriting),
    }
    if not isinstance(strategy, tf.distribute.TPUStrategy):
        options["steps_per_execution"] = (1, model.steps_per_execution)
    for argument, (allowed, received) in options.items():
        if received not in (allowed, None, False):
            raise ValueError(
                f"`{argument}` should be {allowed} under a strategy with several replicas: Keras "
                f"cannot run it there. Received: {argument}={received!r}, "
                f"{strategy.num_replicas_in_sync} replicas of {type(strategy).__name__}"
            )


def check_created_in_scope(model: keras.Model) -> None:
    """Checks that the variables that training changes belong to the strategy of the model.

    Otherwise the replicas would change them one after the other. TensorFlow refuses most of them,
    late and unclearly, and counts the steps of SGD once per replica.

    Raises:
        ValueError: If some were created outside of the scope of the strategy.
    """
    strategy = strategy_of(model)
    iterations = [] if model.optimizer is None else [model.optimizer.iterations]
    created = {
        "trained weights, and so the encoder or layer that they belong to,": (
            model.trainable_variables
        ),
        "optimizer, and so the call of `compile`,": iterations,
    }
    for what, variables in created.items():
        for variable in variables:
            if not strategy.extended.variable_created_in_scope(variable.value):
                raise ValueError(
                    f"The {what} should be made within `strategy.scope()`, as the model was. "
                    f"Received: {variable.path!r} from outside of the scope of "
                    f"{type(strategy).__name__}"
                )


def warn_per_replica_behavior(model: keras.Model, strategy: Strategy) -> None:
    """Warns where training with several replicas differs from training with one."""
    replicas = strategy.num_replicas_in_sync
    # A frozen encoder has none among them.
    trained = {id(weight) for weight in model.trainable_weights}
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
            f"BatchNormalization layers use per-replica statistics ({replicas} replicas) in "
            f"{name_some(single, _MOST_NAMED)}; pass `synchronized=True` for statistics of the "
            "global batch, as on one device.",
            stacklevel=stacklevel_of_user(),
        )
    names = ("clipnorm", "global_clipnorm", "clipvalue")
    clipping = [name for name in names if getattr(_inner_optimizer(model), name, None) is not None]
    if clipping:
        warnings.warn(
            f"`{clipping[0]}` clips per-replica gradients ({replicas} replicas) before they are "
            "summed, so that training differs from training on one device.",
            stacklevel=stacklevel_of_user(),
        )


def _inner_optimizer(model: keras.Model) -> Any:
    return getattr(model.optimizer, "inner_optimizer", model.optimizer)


def _strategy_to_run(model: Any) -> Strategy | None:
    """Returns the strategy of a model if it has several replicas, after the checks that any use of
    the model needs.

    Raises:
        ValueError: If the model was created outside of the present scope, or cannot be run by its
            strategy.
    """
    strategy = strategy_of(model)
    if strategy is None:
        check_in_scope(model)
        return None
    if strategy.num_replicas_in_sync == 1:
        return None
    check_supported_options(model, strategy)
    return strategy


def check_in_scope(model: Any) -> None:
    """Checks that a model without a strategy is not used in the scope of one.

    Raises:
        ValueError: If it is, and the strategy has several replicas.
    """
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    present = tf.distribute.get_strategy()
    if present.num_replicas_in_sync > 1:
        raise ValueError(
            f"The model should be made within `strategy.scope()`. Received: {model.name!r}, made "
            f"outside, under the {present.num_replicas_in_sync} replicas of "
            f"{type(present).__name__}"
        )


def _with_replica_seeds(model: keras.Model, step: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(step)
    def step_with_replica_seeds(*args: Any) -> Any:
        with replica_seeds(model):
            return step(*args)

    return step_with_replica_seeds


def _reducible(step: Callable[..., Any], strategy: Strategy) -> Callable[..., Any]:
    """Returns a step whose results Keras can average over all replicas.

    Across workers it averages over the first axis, which scalars lack.
    """
    import tensorflow as tf

    is_mirrored = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    if not is_mirrored or worker(strategy)[1] == 1:
        return step

    @functools.wraps(step)
    def step_with_vectors(*args: Any) -> Any:
        return tree.map_structure(lambda value: value[None], step(*args))

    return step_with_vectors


def _are_dense(batch: Any) -> bool:
    """Checks whether a batch, or its spec, is of tensors of known rank; data from a generator may
    not be.
    """
    import tensorflow as tf

    dense = (np.ndarray, tf.Tensor, tf.TensorSpec)
    return all(
        part is None or (isinstance(part, dense) and tf.TensorShape(part.shape).rank is not None)
        for part in tree.flatten(batch)
    )


def _symbolic_shard(spec: Any) -> keras.KerasTensor | None:
    """Returns what one replica sees of a tensor, distributed or not."""
    spec = spec_of_replica(spec)
    if spec is None:
        return None
    return keras.KerasTensor(spec.shape, keras.backend.standardize_dtype(spec.dtype))

"""Networks that follow the trained ones as a moving average of their weights."""

import contextlib
import copy
import json
import math
import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_supcon._keras_internals import (
    forget_added_losses,
    is_in_symbolic_scope,
    nested_layers,
    seed_generators,
    set_own_trainable,
    weights_made_trainable,
    without_autocast,
)
from keras_supcon.arguments import check_between, check_whole_number, is_number
from keras_supcon.layers import ProjectionHead
from keras_supcon.models.callback_lists import with_callback
from keras_supcon.models.pretraining import PretrainingModel
from keras_supcon.models.projection import check_head, encode_and_project
from keras_supcon.seeds import derive_seed
from keras_supcon.typing import Tensor, TensorTree
from keras_supcon.user_lines import stacklevel_of_user

Schedule = keras.optimizers.schedules.LearningRateSchedule


@keras.saving.register_keras_serializable(package="keras_supcon")
class CosineMomentum(Schedule):
    """Rises from a first momentum to 1 by half a wave of the cosine, as BYOL has it.

    The momentum of step `k` is `1 - (1 - m) (cos(pi k / K) + 1) / 2`, and 1 from step `K` on.

    Args:
        initial_momentum: m, in [0, 1].
        total_steps: K, a whole number of at least 1.

    Raises:
        ValueError: For an argument of the wrong kind or out of its range.

    Reference:
        Grill et al., Bootstrap Your Own Latent, NeurIPS 2020, section 3.3.

    Example:

    >>> from keras_supcon.models import CosineMomentum
    >>> schedule = CosineMomentum(0.9, total_steps=4)
    >>> [round(float(schedule(step)), 4) for step in (0, 2, 4, 9)]
    [0.9, 0.95, 1.0, 1.0]
    """

    def __init__(self, initial_momentum: float, total_steps: int) -> None:
        super().__init__()
        self.initial_momentum = check_between("initial_momentum", initial_momentum, 0, 1)
        self.total_steps = check_whole_number("total_steps", total_steps, at_least=1)

    def __call__(self, step: Tensor) -> Tensor:
        share = ops.cast(ops.minimum(step, self.total_steps), "float32") / self.total_steps
        return 1.0 - (1.0 - self.initial_momentum) * (ops.cos(math.pi * share) + 1.0) / 2.0

    def get_config(self) -> dict[str, Any]:
        return {"initial_momentum": self.initial_momentum, "total_steps": self.total_steps}


class MomentumCopy(keras.layers.Layer):
    """Copies of networks, of which no weight is trained.

    Batch normalization is trainable where that of the networks is, so that it uses the statistics
    of the batch in training. Seeds of dropout are others than those of the networks.

    Args:
        networks: The networks.
        **kwargs: `name` and the other arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If a network cannot be copied.
    """

    def __init__(self, networks: list[keras.layers.Layer], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.copies = [_copy(network) for network in networks]
        _draw_other_numbers(self.copies)
        for layer, follower in zip(_layers(networks), _layers(self.copies), strict=False):
            if isinstance(layer, keras.layers.Normalization) and layer.built:
                _adapt(follower, layer)
        self.built = True

    # Keras would pass it on to the copies and their weights.
    @property
    def trainable(self) -> bool:
        return True

    @trainable.setter
    def trainable(self, value: bool) -> None:
        del value

    def freeze(self) -> None:
        """Leaves the weights that the copies have out of training."""
        for weight in self.weights:
            weight.trainable = False

    def check_alike(self, networks: list[keras.layers.Layer]) -> None:
        """Raises `ValueError` if the copies, once built, are of other layers than the networks.

        That happens where a `get_config` leaves arguments out.
        """
        for network, follower in zip(networks, self.copies, strict=True):
            if _description(network) != _description(follower):
                raise _cannot_be_copied(network)

    def finalize_state(self) -> None:
        """Gives layers that normalize by what `adapt` has seen the numbers of their weights."""
        for layer in _layers(self.copies):
            if isinstance(layer, keras.layers.Normalization):
                layer.finalize_state()

    def follow(
        self, networks: list[keras.layers.Layer], momentum: Tensor | float, is_first: Tensor
    ) -> None:
        """Moves the weights towards those of the networks.

        Statistics of batch normalization and other weights that are never trained are those of the
        copies' own passes. The first time all weights become those of the networks.

        Args:
            networks: The networks that were copied.
            momentum: Share of the copies that is kept, in [0, 1].
            is_first: Whether it is the first time, a bool scalar.
        """
        for layer, follower in zip(_layers(networks), _layers(self.copies), strict=True):
            if isinstance(layer, keras.layers.BatchNormalization):
                set_own_trainable(follower, layer.trainable)
        with without_autocast():
            for network, follower in zip(networks, self.copies, strict=True):
                # Also of layers that are frozen: what follows them comes to where they are.
                averaged = {id(weight) for weight in weights_made_trainable(network)}
                for weight, slow in zip(network.weights, follower.weights, strict=True):
                    share = 1.0 - momentum if id(weight) in averaged else 0.0
                    self._move(slow, weight, share, is_first)

    def _move(self, slow: Any, weight: Any, share: Tensor | float, is_first: Tensor) -> None:
        moved, target = ops.convert_to_tensor(slow), ops.convert_to_tensor(weight)
        if "float" in keras.backend.standardize_dtype(weight.dtype) and not _is_zero(share):
            moved = moved + ops.cast(share, moved.dtype) * (target - moved)
        slow.assign(ops.where(is_first, target, moved))


def _check_momentum(momentum: Any) -> float | Schedule:
    if not isinstance(momentum, Schedule):
        if is_number(momentum):
            return check_between("momentum", momentum, 0, 1)
        raise ValueError(
            "`momentum` should be a number between 0 and 1 or a "
            "`keras.optimizers.schedules.LearningRateSchedule`, such as "
            f"`keras_supcon.models.CosineMomentum`. Received: momentum={momentum!r}"
        )
    first = float(ops.convert_to_numpy(momentum(0)))
    if not 0 <= first <= 1:
        raise ValueError(
            f"`momentum` should be between 0 and 1 at each step. Received: {momentum!r}, which is "
            f"{first:g} at the first step"
        )
    return momentum


def _is_zero(share: Tensor | float) -> bool:
    return isinstance(share, float) and share == 0.0


def _layers(networks: list[keras.layers.Layer]) -> list[keras.layers.Layer]:
    return [layer for network in networks for layer in nested_layers(network)]


def _adapt(follower: keras.layers.Layer, layer: keras.layers.Normalization) -> None:
    """Gives a layer what another one has seen, before a graph would keep symbols of it."""
    if isinstance(follower, keras.layers.Normalization) and not follower.built:
        follower.build_from_config(layer.get_build_config())
        for slow, weight in zip(follower.weights, layer.weights, strict=True):
            slow.assign(weight)
        follower.finalize_state()


def _draw_other_numbers(copies: list[keras.layers.Layer]) -> None:
    """Gives the seed generators of copies other numbers than the copied ones have."""
    for place, layer in enumerate(_layers(copies)):
        for number, generator in enumerate(seed_generators(layer)):
            seed, count = ops.convert_to_numpy(generator.state).tolist()
            other = derive_seed(int(seed), "momentum copy", place, number)
            generator.state.assign(np.array([other, count], generator.state.dtype))


def _copy(network: keras.layers.Layer) -> keras.layers.Layer:
    """Returns a network with the configuration, and the state if it can be saved, of another."""
    try:
        return copy.deepcopy(network)  # as Keras saves and loads it, with what `adapt` has seen
    except Exception:
        pass
    try:
        if isinstance(network, keras.Model):
            return keras.models.clone_model(network)
        return type(network).from_config(network.get_config())
    except Exception as error:
        raise _cannot_be_copied(network) from error


def _cannot_be_copied(network: keras.layers.Layer) -> ValueError:
    return ValueError(
        "The encoder and the heads should be layers that Keras can copy: with a `get_config` from "
        "which their class makes them again. "
        f"Received: {type(network).__name__} named {network.name!r}"
    )


def _description(network: keras.layers.Layer) -> list[Any]:
    """Returns what a copy has in common with a network: shapes of weights, classes of layers, and
    the options of those layers of Keras and of this package that hold no others.
    """
    parts: list[Any] = [tuple(weight.shape) for weight in network.weights]
    for layer in nested_layers(network):
        parts.append(type(layer))
        is_known = type(layer).__module__.partition(".")[0] in ("keras", "keras_supcon")
        if is_known and not nested_layers(layer, include_self=False):
            with contextlib.suppress(Exception):  # of a layer that cannot be saved
                options = keras.saving.serialize_keras_object(layer)["config"]
                parts.append(json.dumps(_without_names(options), sort_keys=True, default=_class_of))
    return parts


def _class_of(value: Any) -> str:
    return type(value).__name__


def _without_names(config: Any) -> Any:
    if isinstance(config, Mapping):
        left_out = ("name", "seed", "trainable")
        return {key: _without_names(one) for key, one in config.items() if key not in left_out}
    if isinstance(config, (list, tuple)):
        return [_without_names(one) for one in config]
    return config


class _WarnOfMoreSteps(keras.callbacks.Callback):
    """Warns once if training takes more steps than a schedule has.

    That is before the first step, where Keras knows the steps of an epoch, else when it happens.
    """

    def __init__(self, total_steps: int, initial_epoch: int) -> None:
        super().__init__()
        self._total_steps, self._first_epoch = total_steps, initial_epoch
        self._has_warned = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        steps, epochs = (self.params.get(name) for name in ("steps", "epochs"))
        if steps is not None and epochs is not None:
            self._check((epochs - self._first_epoch) * steps)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._check(0)

    def _check(self, coming_steps: int) -> None:
        steps = int(ops.convert_to_numpy(self.model.steps)) + coming_steps
        steps //= self.model.batches_of_update
        if steps > self._total_steps and not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"`{self.model.name}` takes {steps} steps, more than `total_steps`: its momentum "
                f"stays 1, so that the second networks stand still. Received: "
                f"total_steps={self._total_steps}",
                stacklevel=stacklevel_of_user(),
            )


class MomentumModel(PretrainingModel):
    """Base of methods with a second encoder and head, a moving average of the trained ones.

    A subclass runs all of them in `build_networks`. An image has two views.

    Args:
        encoder: As for `PretrainingModel`.
        projection_head: Layer from features to projections, or a class that makes one, or None.
        momentum: Share of the second networks that a step keeps, in [0, 1], or a schedule of it
            over steps, whose later values are clipped to that range.
        **kwargs: Arguments of `PretrainingModel`.

    Attributes:
        momentum_encoder: The second encoder.
        momentum_head: The second head, or None.
        steps: int32 weight, the number of batches of training that have begun.
    """

    def __init__(
        self,
        encoder: keras.layers.Layer,
        projection_head: keras.layers.Layer | type[keras.layers.Layer] | None = ProjectionHead,
        *,
        momentum: float | Schedule,
        **kwargs: Any,
    ) -> None:
        momentum = _check_momentum(momentum)
        head = check_head("projection_head", projection_head)
        networks = {"projection_head": head, **kwargs.pop("networks", {})}
        super().__init__(encoder, networks=networks, num_views=2, **kwargs)
        self.momentum = momentum
        self._followed = [encoder] if head is None else [encoder, head]
        self.momentum_copy = MomentumCopy(self._followed, name="momentum_copy")
        self.steps = self.add_weight(
            (),
            "zeros",
            dtype="int32",
            name="steps",
            trainable=False,
            aggregation="only_first_replica",
        )

    @property
    def momentum_encoder(self) -> keras.layers.Layer:
        return self.momentum_copy.copies[0]

    @property
    def momentum_head(self) -> keras.layers.Layer | None:
        return self.momentum_copy.copies[1] if self.projection_head is not None else None

    @property
    def step_num_views(self) -> int:
        return 2

    @property
    def batches_of_update(self) -> int:
        """Batches after which the optimizer updates the weights, its `gradient_accumulation_steps`
        or 1.
        """
        optimizer = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        return getattr(optimizer, "gradient_accumulation_steps", None) or 1

    def begin_step(self) -> None:
        step = ops.convert_to_tensor(self.steps)
        momentum, batches = self.momentum, self.batches_of_update
        if callable(momentum):
            # The update that follows the step before.
            update = ops.maximum(step // batches - 1, 0)
            momentum = ops.clip(ops.cast(momentum(update), "float32"), 0.0, 1.0)
        if batches > 1:  # the weights have not changed in between
            momentum = ops.where(ops.equal(step % batches, 0), momentum, 1.0)
        self.momentum_copy.follow(self._followed, momentum, ops.equal(step, 0))
        self.steps.assign(step + 1)

    def prepare_fit(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if isinstance(self.momentum, CosineMomentum):
            warning = _WarnOfMoreSteps(
                self.momentum.total_steps, arguments.get("initial_epoch") or 0
            )
            callbacks = with_callback(self, warning, arguments.get("callbacks"))
            arguments = {**arguments, "callbacks": callbacks}
        return super().prepare_fit(arguments)

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        try:
            self.momentum_copy.check_alike(self._followed)
        except ValueError:
            self.built = False  # Keras on PyTorch tries a second time
            raise
        self.momentum_copy.freeze()
        if not is_in_symbolic_scope():
            self.prepare_weights()

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        if self.built:
            self.prepare_weights()
        return super().evaluate(*args, **kwargs)

    def prepare_weights(self) -> None:
        """Gives the second networks the weights that training would begin with."""
        if not int(ops.convert_to_numpy(self.steps)):
            self.momentum_copy.follow(self._followed, 0.0, True)
        self.momentum_copy.finalize_state()

    def project(self, view: TensorTree, training: bool) -> TensorTree:
        return encode_and_project(self.encoder, self.projection_head, view, training)

    def project_by_copy(self, view: TensorTree, training: bool) -> Tensor:
        """Runs the second networks on one view, without gradient and without what their layers add
        to the loss.
        """
        keys = encode_and_project(self.momentum_encoder, self.momentum_head, view, training)
        forget_added_losses(self.momentum_copy)
        return ops.stop_gradient(keys)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["num_views"]
        return {
            **config,
            "projection_head": keras.saving.serialize_keras_object(self.projection_head),
            "momentum": keras.saving.serialize_keras_object(self.momentum),
        }

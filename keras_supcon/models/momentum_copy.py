"""Copies of networks that follow them as a moving average of their weights."""

import contextlib
import copy
import json
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_supcon._keras_internals import (
    nested_layers,
    seed_generators,
    set_own_trainable,
    weights_made_trainable,
    without_autocast,
)
from keras_supcon.seeds import derive_seed
from keras_supcon.typing import Tensor


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

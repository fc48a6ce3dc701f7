"""Copies of networks that are not trained themselves."""

import contextlib
import copy
import json
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_supcon._keras_internals import (
    forget_added_losses,
    nested_layers,
    seed_generators,
)
from keras_supcon.models.projection import encode_and_project
from keras_supcon.seeds import derive_seed
from keras_supcon.typing import Tensor, TensorTree


class NetworkCopy(keras.layers.Layer):
    """Copies of an encoder and its head, of which no weight is trained.

    Seeds of dropout are others than those of the networks.

    Args:
        networks: The encoder, and the head if there is one.
        **kwargs: `name` and the other arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If a network cannot be copied.
    """

    def __init__(self, networks: list[keras.layers.Layer], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.copies = [_copy(network) for network in networks]
        _draw_other_numbers(self.copies)
        for layer, follower in zip(layers_of(networks), layers_of(self.copies), strict=False):
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

    @property
    def encoder(self) -> keras.layers.Layer:
        """The copy of the encoder."""
        return self.copies[0]

    @property
    def head(self) -> keras.layers.Layer | None:
        """The copy of the head, or None."""
        return self.copies[1] if len(self.copies) > 1 else None

    def finish_build(self, model: keras.Model, networks: list[keras.layers.Layer]) -> None:
        """Leaves the weights out of training, once the copies are built.

        Args:
            model: The model that has been built with the copies in it.
            networks: The networks that were copied.

        Raises:
            ValueError: If the copies are of other layers than the networks. That happens where a
                `get_config` leaves arguments out.
        """
        for network, follower in zip(networks, self.copies, strict=True):
            if _description(network) != _description(follower):
                model.built = False  # Keras on PyTorch tries a second time
                raise _cannot_be_copied(network)
        for weight in self.weights:
            weight.trainable = False

    def finalize_state(self) -> None:
        """Gives layers that normalize by what `adapt` has seen the numbers of their weights."""
        for layer in layers_of(self.copies):
            if isinstance(layer, keras.layers.Normalization):
                layer.finalize_state()

    def project(self, view: TensorTree, training: bool) -> Tensor:
        """Runs the copies on one view, without gradient and without what their layers add to the
        loss.
        """
        projections = encode_and_project(self.encoder, self.head, view, training)
        forget_added_losses(self)
        return ops.stop_gradient(projections)

    def take_weights(self, networks: list[keras.layers.Layer]) -> None:
        """Gives all weights the values of the networks that were copied. Not for use in a step."""
        for network, follower in zip(networks, self.copies, strict=True):
            for weight, own in zip(network.weights, follower.weights, strict=True):
                # A copy, since the variables may share the memory of what they are given.
                own.assign(ops.copy(weight))
        self.finalize_state()


def layers_of(networks: list[keras.layers.Layer]) -> list[keras.layers.Layer]:
    """Returns all layers of networks, in the same order for a network and its copy."""
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
    for place, layer in enumerate(layers_of(copies)):
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

"""Calls, saves and loads any Keras layer as an augmenter.

Layers of packages that do not follow the rules of Keras are called by their adapter.
"""

import inspect
from typing import Any

import keras

from keras_supcon.augmentation.adapters import (
    adapter_of,
    adapter_of_config,
    adapter_within,
    is_library_layer,
    layers_within,
)
from keras_supcon.typing import TensorTree


def as_augmenter(augmenter: Any) -> keras.layers.Layer | None:
    """Returns the augmenter as a layer that a model can hold.

    That is the layer itself, or another that does the same where Keras can neither track nor save
    the layer, such as `keras_cv.layers.Augmenter`.

    Args:
        augmenter: A layer, or None.

    Raises:
        ValueError: If it is neither a Keras layer nor None.
    """
    if augmenter is None:
        return None
    if not isinstance(augmenter, keras.layers.Layer):
        raise ValueError(
            f"`augmenter` should be a Keras layer, or None. Received: augmenter={augmenter!r}"
        )
    adapter = adapter_of(augmenter)
    augmenter = augmenter if adapter is None else adapter.as_trackable(augmenter)
    if adapter_within(augmenter) is not None:
        # Keras asks every layer: one that fails under XLA is enough.
        augmenter.supports_jit = False
    return augmenter


def call_augmenter(augmenter: keras.layers.Layer, images: TensorTree, training: bool) -> TensorTree:
    """Calls any layer as an augmenter, or in its inference form when not training.

    The inference form is the call with `training=False`. A layer without a `training` argument is
    skipped, since it would augment at inference too. Of a `keras.layers.Pipeline` or
    `keras.Sequential` that holds layers with an adapter, the layers without one are called, and
    the adapter decides about the others.

    Args:
        augmenter: A layer as `as_augmenter` returns it.
        images: A batch or one image.
        training: Whether to augment.

    Returns:
        The output of the layer, or `images` themselves.
    """
    if training or takes_training(augmenter) or adapter_within(augmenter) is not None:
        return _call(augmenter, images, training)
    return images


def _call(layer: keras.layers.Layer, images: TensorTree, training: bool) -> TensorTree:
    adapter = adapter_within(layer)
    if adapter is None:
        return layer(images, training=training) if takes_training(layer) else layer(images)
    if isinstance(layer, (keras.layers.Pipeline, keras.Sequential)):
        for part in layer.layers:
            images = _call(part, images, training)
        return images
    return adapter.call(layer, images, training)


def takes_training(layer: keras.layers.Layer) -> bool:
    """Returns whether a layer has a `training` argument."""
    return "training" in inspect.signature(layer.call).parameters


def draws_outside_keras(augmenter: Any) -> bool:
    """Returns whether an augmenter may draw from generators that Keras does not know.

    A second pass cannot repeat such draws. Layers are found within Keras' containers and ours.
    """
    return adapter_within(augmenter) is not None


def keras_layers_within(augmenter: Any) -> list[Any]:
    """Returns the layers of Keras and of adapted packages in an augmenter, without containers."""
    return [
        part
        for part in layers_within(augmenter)
        if is_library_layer(part)
        and not isinstance(part, (keras.Sequential, keras.layers.Pipeline))
    ]


def deserialize_augmenter(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Deserializes an augmenter, with the repairs of adapters to the configs of their layers.

    Args:
        config: A form made by `keras.saving.serialize_keras_object`.
        custom_objects: As in `keras.saving.deserialize_keras_object`.
    """
    return keras.saving.deserialize_keras_object(
        _restore(config, custom_objects), custom_objects=custom_objects
    )


def _restore(config: Any, custom_objects: dict[str, Any] | None) -> Any:
    if isinstance(config, (list, tuple)):
        return [_restore(part, custom_objects) for part in config]
    if not isinstance(config, dict):
        return config
    config = {key: _restore(part, custom_objects) for key, part in config.items()}
    adapter = adapter_of_config(config)
    return config if adapter is None else adapter.restore_config(config, custom_objects)

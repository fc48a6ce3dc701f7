"""Adapters for layers of packages whose layers do not follow the rules of Keras.

Such a package has a room here that registers one `LayerAdapter`. Other modules look an adapter up
by the package of a layer's class and name neither the package nor its room: the package need not
be installed, and the room can be removed with its line in `keras_supcon/augmentation/__init__.py`.
That line alone imports the room, since Keras loads a saved class only once it is registered.
"""

from collections.abc import Iterator
from typing import Any

import keras

from keras_supcon.typing import TensorTree


class LayerAdapter:
    """Base of adapters, with the answers for layers that follow the rules of Keras.

    The layers of an adapted package may draw from generators unknown to Keras and may fail under
    XLA.
    """

    # Whether a layer of ours within a layer of the package augments unless it is told otherwise.
    always_augments = False
    # Names of classes that keep the range of pixels, beside those that begin with Random.
    range_keeping: frozenset[str] = frozenset()
    # Names of classes that scale pixels.
    rescaling: frozenset[str] = frozenset()

    def as_trackable(self, layer: keras.layers.Layer) -> keras.layers.Layer:
        """Returns the layer, or one that does the same and that Keras can track and save."""
        return layer

    def call(self, layer: keras.layers.Layer, images: TensorTree, training: bool) -> TensorTree:
        """Calls a layer of the package, or a layer that wraps one, as an augmenter.

        Args:
            layer: A layer other than a `keras.Sequential` or `keras.layers.Pipeline`.
            images: A batch or one image.
            training: Whether to augment.
        """
        raise NotImplementedError

    def restore_config(
        self, config: dict[str, Any], custom_objects: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Returns the serialized form of a layer with what `from_config` expects in it."""
        return config

    def optional_layers(self, layer: keras.layers.Layer) -> list[Any]:
        """Returns the layers that a layer applies to some images only."""
        return []


_ADAPTERS: dict[str, LayerAdapter] = {}


def register_adapter(package: str, adapter: LayerAdapter) -> None:
    """Registers the adapter of a package, named as in `import package`."""
    _ADAPTERS[package] = adapter


def adapter_of(layer: Any) -> LayerAdapter | None:
    """Returns the adapter of the package of a layer's class, or of a class that it extends."""
    for base in type(layer).__mro__:
        if (adapter := _ADAPTERS.get(_package(base.__module__))) is not None:
            return adapter
    return None


def adapter_of_config(config: dict[str, Any]) -> LayerAdapter | None:
    """Returns the adapter of the package of a serialized layer."""
    return _ADAPTERS.get(_package(str(config.get("module"))))


def adapter_within(layer: Any) -> LayerAdapter | None:
    """Returns the adapter of the first layer that has one, of a layer and those within it."""
    return next(filter(None, map(adapter_of, layers_within(layer))), None)


def always_augments(layer: Any) -> bool:
    """Returns whether layers of ours within the layer augment unless told otherwise."""
    adapter = adapter_of(layer)
    return adapter is not None and adapter.always_augments


def is_library_layer(layer: Any) -> bool:
    """Returns whether the class of a layer is one of Keras or of an adapted package."""
    return _package(type(layer).__module__) in ("keras", *_ADAPTERS)


def keeps_range(layer: Any) -> bool:
    """Returns whether a layer of an adapted package keeps the range of pixels."""
    adapter = _ADAPTERS.get(_package(type(layer).__module__))
    return adapter is not None and type(layer).__name__ in adapter.range_keeping


def rescales(layer: Any) -> bool:
    """Returns whether a layer of an adapted package scales pixels."""
    adapter = _ADAPTERS.get(_package(type(layer).__module__))
    return adapter is not None and type(layer).__name__ in adapter.rescaling


def layers_within(layer: Any) -> Iterator[Any]:
    """Yields a layer and those within it, in the order of their calls.

    Layers are found in the attributes of Keras' containers and ours: `layers`, `augmenters` and
    `layer`.
    """
    yield layer
    within = [*getattr(layer, "layers", []), *getattr(layer, "augmenters", [])]
    within += [layer.layer] if hasattr(layer, "layer") else []
    for part in within:
        yield from layers_within(part)


def _package(module: str) -> str:
    return module.partition(".")[0]

"""Works around six incompatibilities of keras-cv 0.9 with Keras 3.15.

Its layers augment whether Keras trains or not; some fail without AutoGraph; `Augmenter` is not a
complete layer; `RandomApply` and `RandomChoice` cannot be loaded from a file; layers that XLA
cannot compile do not say so; and with a global seed all loops of a step draw the same numbers.
"""

import functools
from typing import Any

import keras

from keras_supcon.augmentation.adapters import LayerAdapter
from keras_supcon.augmentation.any_layer import as_augmenter, takes_training
from keras_supcon.seeds import seed_of_trace
from keras_supcon.typing import TensorTree

# Layers that draw nothing. They prepare the images at inference too.
_FIXED = {"AutoContrast", "Equalization", "Grayscale", "Posterization", "Rescaling", "Resizing"}


class KerasCVAdapter(LayerAdapter):
    """Calls, loads and describes layers of keras-cv."""

    always_augments = True
    range_keeping = frozenset(
        {"AugMix", "AutoContrast", "CutMix", "Equalization", "Grayscale", "GridMask", "MixUp"}
        | {"Posterization", "RandAugment", "Resizing", "Solarization"}
    )
    rescaling = frozenset({"Rescaling"})

    def as_trackable(self, layer: keras.layers.Layer) -> keras.layers.Layer:
        """Replaces `keras_cv.layers.Augmenter` by a `keras.layers.Pipeline` of the same layers.

        `Augmenter` never calls the constructor of `keras.layers.Layer`, so that Keras can neither
        track nor save it. The pipeline calls the same layer objects one after the other too.
        """
        if "Augmenter" not in _class_names(layer):
            return layer
        return keras.layers.Pipeline([as_augmenter(part) for part in layer.layers])

    def call(self, layer: keras.layers.Layer, images: TensorTree, training: bool) -> TensorTree:
        """Calls a layer, or what stands for it at inference.

        At inference layers that draw nothing are called, those that crop or set the size resize
        the whole image to it, and the others are skipped.
        """
        names = _class_names(layer)
        if training or names & _FIXED:
            return _call_with_autograph(layer, images)
        height, width = getattr(layer, "height", None), getattr(layer, "width", None)
        size = getattr(layer, "target_size", (height, width)) if names else (None, None)
        return images if None in size else keras.layers.Resizing(*size, antialias=True)(images)

    def restore_config(
        self, config: dict[str, Any], custom_objects: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Gives `RandomApply` and `RandomChoice` layers, where they take configs for layers."""
        if config.get("class_name") in ("RandomApply", "RandomChoice"):
            for name in {"layer", "layers"} & config["config"].keys():
                config["config"][name] = keras.saving.deserialize_keras_object(
                    config["config"][name], custom_objects=custom_objects
                )
        return config

    def optional_layers(self, layer: keras.layers.Layer) -> list[Any]:
        """Returns the layers of a container, which chooses among them for each image."""
        single = [getattr(layer, name, None) for name in ("layer", "_layer")]
        return [*getattr(layer, "layers", []), *single]


def _call_with_autograph(layer: keras.layers.Layer, images: TensorTree) -> TensorTree:
    """Calls a layer of keras-cv, or a wrapper of such layers, with AutoGraph turned on in graphs.

    keras-cv has Python conditions on tensors, as in `Equalization`, hence `RandAugment`, and in
    `RandomApply`. Keras turns AutoGraph off in its training step; `tf.function` turns it on.
    """
    call = functools.partial(layer, training=True) if takes_training(layer) else layer
    if keras.backend.backend() != "tensorflow":
        return call(images)
    import tensorflow as tf

    if tf.executing_eagerly():
        return call(images)
    # TensorFlow numbers the random operations of each graph from 0. After
    # `keras.utils.set_random_seed` the loops of a step, each a graph, would draw the same numbers:
    # crops of one size in both views, strong blur in large crops.
    graph_seed, number = tf.compat.v1.get_seed(None)

    def augment(images: TensorTree) -> TensorTree:
        if graph_seed is not None:
            tf.random.set_seed(seed_of_trace(graph_seed, number))  # of this function alone
        return call(images)

    return tf.function(augment)(images)


def _class_names(layer: Any) -> set[str]:
    """Returns the names of the keras-cv classes that the layer is an instance of."""
    return {
        base.__name__ for base in type(layer).__mro__ if base.__module__.split(".")[0] == "keras_cv"
    }

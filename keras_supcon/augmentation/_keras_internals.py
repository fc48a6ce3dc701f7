"""Private names of Keras that augmentation layers rely on, each with its reason."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

# It alone knows the outermost call of a layer, by which nested layers warn once for one input.
from keras.src.backend.common.global_state import get_global_attribute

# A container that Keras builds on the images of its first call runs once before it is called.
from keras.src.backend.common.symbolic_scope import in_symbolic_scope

# The only base of layers that run both in a model and in `tf.data` on every backend.
from keras.src.layers.preprocessing.image_preprocessing.base_image_preprocessing_layer import (
    BaseImagePreprocessingLayer,
)

__all__ = [
    "BaseImagePreprocessingLayer",
    "call_in_tensorflow_graph",
    "entry_layer",
    "flatten_layers",
    "in_symbolic_scope",
    "keep_inputs_as_they_are",
    "outermost_call",
]


def outermost_call() -> Any:
    """Returns the context of the outermost layer call in progress, or None.

    `Layer._get_call_context` makes a context where there is none; this only reads it.
    """
    return get_global_attribute("current_call_ctx")


def entry_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Returns the outermost layer whose call is in progress.

    Called within `layer.call`. Keras passes on `training`, but not who gave it.
    """
    return layer._get_call_context().entry_layer


def flatten_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Returns a layer and all layers that it tracks, at any depth.

    The public `layers` attribute exists on models and pipelines only.
    """
    return list(layer._flatten_layers())


def keep_inputs_as_they_are(layer: keras.layers.Layer) -> None:
    """Lets inputs reach `layer.call` unconverted, as `keras.layers.Pipeline` does.

    Inside `tf.data` they are TensorFlow's tensors, whatever the backend of Keras.
    """
    layer._convert_input_args = False
    layer._allow_non_tensor_positional_args = True


@contextlib.contextmanager
def call_in_tensorflow_graph(layer: BaseImagePreprocessingLayer) -> Iterator[None]:
    """Lets a layer compute with TensorFlow and keep its inputs as they are.

    `BaseImagePreprocessingLayer.__call__` does the same inside `tf.data`, but casts the whole
    input to the dtype of the layer first.
    """
    layer.backend.set_backend("tensorflow")
    converts, layer._convert_input_args = layer._convert_input_args, False
    try:
        yield
    finally:
        layer.backend.reset()
        layer._convert_input_args = converts

"""Private names of Keras that augmentation layers rely on, each with its reason."""

from typing import Any

import keras
from keras.src.backend.common.global_state import get_global_attribute
from keras.src.backend.common.symbolic_scope import in_symbolic_scope
from keras.src.layers.preprocessing.image_preprocessing.base_image_preprocessing_layer import (
    BaseImagePreprocessingLayer,
)

from keras_supcon.typing import Tensor


def nested_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Returns a layer and all layers within it, each once.

    Reason: `layers` lists the direct parts of models and pipelines; other layers list none.
    """
    return layer._flatten_layers()


def is_in_symbolic_scope() -> bool:
    """Returns whether Keras calls layers only to learn shapes and dtypes.

    Reason: a container that Keras builds on the images of its first call runs once before the call.
    """
    return in_symbolic_scope()


def outermost_call() -> Any | None:
    """Returns an object that stands for the running outermost call of a layer, or None.

    Reason: nested layers warn once for one input. `Layer._get_call_context` would make a context
    where there is none.
    """
    return get_global_attribute("current_call_ctx")


def take_inputs_as_they_are(layer: keras.layers.Layer) -> None:
    """Makes a layer get its inputs unconverted, TensorFlow's tensors inside `tf.data` included.

    Reason: as `keras.layers.Pipeline` does it; other layers convert to the backend of Keras.
    """
    layer._convert_input_args = False
    layer._allow_non_tensor_positional_args = True


class ImageLayer(BaseImagePreprocessingLayer):
    """Base of image layers that run in models and, with every backend of Keras, in `tf.data`.

    Reason: Keras does not export the base of its image layers, which alone switches the backend
    inside `tf.data`.
    """

    _USE_BASE_FACTOR = False

    def entry_layer(self) -> keras.layers.Layer:
        """Returns the layer whose call led to this one, for use within `call`.

        Reason: Keras passes on `training`, but not the layer that it was given to.
        """
        return self._get_call_context().entry_layer

    def call_on_tensorflow(self, images: Tensor, **kwargs: Any) -> Tensor:
        """Calls the layer on tensors of a TensorFlow graph, with any backend of Keras.

        Reason: Keras' own way casts the whole input to the dtype of the layer first.
        """
        self.backend.set_backend("tensorflow")
        converts, self._convert_input_args = self._convert_input_args, False
        try:
            images = self.backend.convert_to_tensor(images)
            return keras.layers.Layer.__call__(self, images, **kwargs)
        finally:
            self.backend.reset()
            self._convert_input_args = converts

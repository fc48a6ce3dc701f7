"""Encoders out of saved models."""

from __future__ import annotations

import os

import keras

from keras_supcon.models import EncoderModel


def load_encoder_of(path: str | os.PathLike[str], argument: str) -> tuple[keras.Model, str]:
    """Loads a saved model, and returns what gives its features.

    Of a functional classifier, whose last layer is dense with softmax, these are the inputs of that
    layer.

    Args:
        path: A `.keras` file.
        argument: Name of the argument that holds the path, for messages.

    Returns:
        `(model, description)`: an `EncoderModel` or an encoder, and what was taken of it.

    Raises:
        ValueError: If there is no such file, it is not a Keras model that can be loaded, or it has
            several outputs.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise ValueError(
            f"`{argument}` should be the file of a saved Keras model. Received: {argument}={path!r}"
        )
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # whatever is wrong with the file
        raise ValueError(
            f"`{argument}` should be the file of a saved Keras model. Received: "
            f"{argument}={path!r}, which cannot be loaded: {error}"
        ) from error
    if isinstance(model, EncoderModel):
        return model, f"the encoder of a {type(model).__name__}"
    outputs = keras.tree.flatten(getattr(model, "outputs", None))
    if len(outputs) > 1:
        raise ValueError(
            f"`{argument}` should be a model of one output. Received: {argument}={path!r}, with "
            f"{len(outputs)} outputs"
        )
    last = model.layers[-1] if getattr(model, "layers", None) else None
    is_classifier = (
        isinstance(last, keras.layers.Dense) and last.activation is keras.activations.softmax
    )
    if is_classifier and isinstance(model, keras.Model) and model.inputs:
        return keras.Model(model.inputs, last.input), "a classifier without its last layer"
    return model, "an encoder"

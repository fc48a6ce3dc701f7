"""What happens to a batch before it reaches the encoder, alike in every model."""

import inspect
from typing import Any

import keras
from keras import ops


def check_encoder(encoder: Any) -> None:
    """Raises `ValueError` if `encoder` is no Keras layer or model, or is known to give something else than features."""
    if not isinstance(encoder, keras.layers.Layer):
        raise ValueError(f"`encoder` should be a Keras model or layer. Received: encoder={encoder!r}")
    outputs = getattr(encoder, "outputs", None)
    if outputs:  # a functional model, which knows its output before it is called
        _check_features(outputs[0])


def check_augmenter(augmenter: Any) -> None:
    """Raises `ValueError` if `augmenter` is neither None nor a Keras layer."""
    if augmenter is not None and not isinstance(augmenter, keras.layers.Layer):
        raise ValueError(f"`augmenter` should be a Keras layer, or None. Received: augmenter={augmenter!r}")


def encoder_features(encoder: keras.layers.Layer, images: keras.KerasTensor) -> keras.KerasTensor:
    """Builds the encoder on symbolic images and returns its symbolic features.

    Raises:
        ValueError: If the features are not of shape (batch, features).
    """
    features = encoder(images)
    _check_features(features)
    return features


def _check_features(features: Any) -> None:
    shape = tuple(getattr(features, "shape", ()))
    if len(shape) != 2:
        raise ValueError(
            "`encoder` should map images to features of shape (batch, features); end a convolutional network with "
            f"global average pooling (`pooling='avg'` in keras.applications). Received: encoder output of shape {shape}"
        )


def prepare_images(images: Any, augmenter: keras.layers.Layer | None, training: bool) -> Any:
    """Augments a batch, or brings it to the form that the encoder was trained on.

    With an augmenter, that layer alone decides on the pixels: it is called with `training`, and a keras-cv layer, which
    knows no `training` and would augment in `predict()` too, only when training. Without one, integer images
    are scaled from 0..255 to [0, 1] and float inputs pass unchanged.

    Args:
        images: `(batch, ...)`.
        augmenter: A layer, or None.
        training: Whether to augment.

    Returns:
        The float batch for the encoder.
    """
    if augmenter is not None:
        if training or not _augments_always(augmenter):
            images = augmenter(images, training=training) if _takes_training(augmenter) else augmenter(images)
        return images if _is_float(images) else ops.cast(images, keras.config.floatx())
    return images if _is_float(images) else ops.cast(images, keras.config.floatx()) / 255.0


def _takes_training(augmenter: keras.layers.Layer) -> bool:
    return "training" in inspect.signature(augmenter.call).parameters


def _augments_always(augmenter: keras.layers.Layer) -> bool:
    """Whether the layer would augment even when told that it is not training."""
    return not _takes_training(augmenter) or _holds_keras_cv(augmenter)


def _holds_keras_cv(layer: keras.layers.Layer) -> bool:
    return type(layer).__module__.split(".")[0] == "keras_cv" or any(map(_holds_keras_cv, getattr(layer, "layers", [])))


def _is_float(tensor: Any) -> bool:
    return "float" in keras.backend.standardize_dtype(tensor.dtype)

"""What happens to a batch before it reaches the encoder, alike in every model."""

from typing import Any

import keras
from keras import ops

from keras_supcon.augmentation import MultiView
from keras_supcon.augmentation.calling import call_augmenter


def check_encoder(encoder: Any) -> None:
    """Raises `ValueError` if `encoder` is no Keras layer or model, or is known to give something else than features."""
    if not isinstance(encoder, keras.layers.Layer):
        raise ValueError(f"`encoder` should be a Keras model or layer. Received: encoder={encoder!r}")
    outputs = getattr(encoder, "outputs", None)
    if outputs:  # a functional model, which knows its output before it is called
        _check_features(outputs[0])


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


def one_view(augmenter: keras.layers.Layer | None) -> keras.layers.Layer | None:
    """What makes a single view where an augmenter makes several: the first recipe of a `MultiView`."""
    return augmenter.augmenters[0] if isinstance(augmenter, MultiView) else augmenter


def prepare_images(images: Any, augmenter: keras.layers.Layer | None, training: bool) -> Any:
    """Augments a batch, or brings it to the form that the encoder was trained on.

    With an augmenter, that layer alone decides on the pixels: it augments when training and gives its inference form
    otherwise, see `call_augmenter`. Without one, integer images are scaled from 0..255 to [0, 1] and float inputs pass
    unchanged.

    Args:
        images: `(batch, ...)`.
        augmenter: A layer, or None.
        training: Whether to augment.

    Returns:
        The float batch for the encoder.
    """
    if augmenter is not None:
        images = call_augmenter(augmenter, images, training)
        return images if _is_float(images) else ops.cast(images, keras.config.floatx())
    return images if _is_float(images) else ops.cast(images, keras.config.floatx()) / 255.0


def _is_float(tensor: Any) -> bool:
    return "float" in keras.backend.standardize_dtype(tensor.dtype)

"""Decides which weights of a shared encoder a classifier trains."""

import functools
from typing import Any

import keras

from keras_supcon._keras_internals import keep_default_mark, set_own_trainable
from keras_supcon.arguments import check_whole_number


class _AsItWas(int):
    """Marks a value of `trainable` that is True and that nobody has assigned since.

    The encoder of a classifier stays trainable for the model that pre-trains it, so assigning
    `True` would leave no trace. On TensorFlow Keras does not even call the setter then. An
    assignment replaces this value by a plain `True` or `False`.
    """

    __class__ = bool  # as Keras asks of it

    def __repr__(self) -> str:
        return "True"


def watch_trainable(encoder: keras.layers.Layer) -> Any:
    """Makes later assignments of `encoder.trainable` visible.

    Returns:
        The value of `encoder.trainable`. After an assignment it is another object.
    """
    if encoder.trainable is True:
        set_own_trainable(encoder, _AsItWas(True))
        # The mark should not get into files.
        get_config = functools.partial(_config_without_mark, encoder)
        keep_default_mark(encoder, get_config)
        encoder.get_config = get_config
    return encoder.trainable


def _config_without_mark(encoder: keras.layers.Layer) -> dict[str, Any]:
    config = type(encoder).get_config(encoder)
    return {**config, "trainable": bool(encoder.trainable)} if "trainable" in config else config


def check_trainable_encoder(trainable_encoder: Any) -> bool | int:
    """Returns the argument, True, False or the number of blocks.

    Raises:
        ValueError: If it is neither a bool nor a positive whole number.
    """
    if isinstance(trainable_encoder, bool):
        return trainable_encoder
    try:
        return check_whole_number("trainable_encoder", trainable_encoder, at_least=1)
    except ValueError as error:
        raise ValueError(
            "`trainable_encoder` should be True, False, or a number of blocks of at least 1. "
            f"Received: trainable_encoder={trainable_encoder!r}"
        ) from error


def trained_weights(encoder: keras.layers.Layer, trainable_encoder: bool | int) -> list[Any]:
    """Returns the weights of the encoder that are trained.

    Args:
        encoder: A layer.
        trainable_encoder: False for none, True for all that are trainable, or the number of its
            last blocks.

    Raises:
        ValueError: If a built encoder has fewer blocks.
    """
    if trainable_encoder is False:
        return []
    if trainable_encoder is True:
        return encoder.trainable_variables
    blocks = _blocks(encoder)
    if encoder.built and trainable_encoder > len(blocks):
        raise ValueError(
            f"`trainable_encoder` should be at most {len(blocks)}, the number of layers with "
            f"weights in `{encoder.name}.layers`, or True for all weights. "
            f"Received: trainable_encoder={trainable_encoder}"
        )
    return [weight for block in blocks[-trainable_encoder:] for weight in block.trainable_variables]


def _blocks(encoder: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Returns the direct layers of an encoder that have weights, in their order.

    A wrapper such as `keras.Sequential([Rescaling(1 / 255), network])` has the blocks of the
    network.
    """
    blocks = [layer for layer in getattr(encoder, "layers", []) if layer.weights]
    return _blocks(blocks[0]) if len(blocks) == 1 and getattr(blocks[0], "layers", []) else blocks

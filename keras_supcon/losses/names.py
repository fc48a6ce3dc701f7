"""Names of losses for `keras.losses.get`, and so for `compile(loss="supcon_loss")`."""

from collections.abc import Callable
from typing import Any

import keras

from keras_supcon._keras_internals import name_loss


def add_names(*losses: Callable[..., Any]) -> None:
    """Registers loss functions for files, and makes functions and classes known by their names.

    A name that Keras itself has stays that of Keras.
    """
    for loss in losses:
        if not isinstance(loss, type):  # classes are registered where they are defined
            keras.saving.register_keras_serializable(package="keras_supcon")(loss)
        name_loss(loss.__name__, loss)

"""Names of losses for `keras.losses.get`, and so for `compile(loss="supcon_loss")`."""

from collections.abc import Callable
from typing import Any

import keras

# Keras has no public way to add a name: `keras.losses.get` looks up strings here alone.
from keras.src.losses import ALL_OBJECTS_DICT


def add_names(*losses: Callable[..., Any]) -> None:
    """Registers loss functions for files, and makes functions and classes known by their names.

    A name that Keras itself has stays that of Keras.
    """
    for loss in losses:
        if not isinstance(loss, type):  # classes are registered where they are defined
            keras.saving.register_keras_serializable(package="keras_supcon")(loss)
        ALL_OBJECTS_DICT.setdefault(loss.__name__, loss)

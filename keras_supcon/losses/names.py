"""Names of losses for `keras.losses.get`, and so for `compile(loss="supcon_loss")`."""

from collections.abc import Callable
from typing import Any

import keras

from keras_supcon._keras_internals import name_loss
from keras_supcon.losses.replica_scaled import ReplicaScaledLoss

_CLASSES: dict[str, type[ReplicaScaledLoss]] = {}


def add_names(*losses: Callable[..., Any]) -> None:
    """Registers loss functions for files, and makes functions and classes known by their names.

    A name that Keras itself has stays that of Keras.
    """
    for loss in losses:
        if isinstance(loss, type):  # registered where it is defined
            _CLASSES[loss.__name__] = _CLASSES[loss.function.__name__] = loss
        else:
            keras.saving.register_keras_serializable(package="keras_supcon")(loss)
        name_loss(loss.__name__, loss)


def loss_from_name(loss: Any) -> Any:
    """Returns a loss object with default options for a name or function of ours.

    Keras would wrap a function, whose labels it rounds to floats.

    Args:
        loss: Argument of `compile`; other losses are returned as they are.
    """
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", "")
    if name in _CLASSES and loss in (name, _CLASSES[name], _CLASSES[name].function):
        return _CLASSES[name]()
    return loss

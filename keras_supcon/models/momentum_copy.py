"""Copies of networks that follow them as a moving average of their weights."""

from typing import Any

import keras
from keras import ops

from keras_supcon._keras_internals import (
    set_own_trainable,
    weights_made_trainable,
    without_autocast,
)
from keras_supcon.models.network_copy import NetworkCopy, layers_of
from keras_supcon.typing import Tensor


class MomentumCopy(NetworkCopy):
    """Copies of an encoder and its head that move towards them.

    Batch normalization is trainable where that of the networks is, so that it uses the statistics
    of the batch in training.
    """

    def follow(
        self, networks: list[keras.layers.Layer], momentum: Tensor | float, is_first: Tensor
    ) -> None:
        """Moves the weights towards those of the networks.

        Statistics of batch normalization and other weights that are never trained are those of the
        copies' own passes. The first time all weights become those of the networks.

        Args:
            networks: The networks that were copied.
            momentum: Share of the copies that is kept, in [0, 1].
            is_first: Whether it is the first time, a bool scalar.
        """
        for layer, follower in zip(layers_of(networks), layers_of(self.copies), strict=True):
            if isinstance(layer, keras.layers.BatchNormalization):
                set_own_trainable(follower, layer.trainable)
        with without_autocast():
            for network, follower in zip(networks, self.copies, strict=True):
                # Also of layers that are frozen: what follows them comes to where they are.
                averaged = {id(weight) for weight in weights_made_trainable(network)}
                for weight, slow in zip(network.weights, follower.weights, strict=True):
                    share = 1.0 - momentum if id(weight) in averaged else 0.0
                    self._move(slow, weight, share, is_first)

    def _move(self, slow: Any, weight: Any, share: Tensor | float, is_first: Tensor) -> None:
        moved, target = ops.convert_to_tensor(slow), ops.convert_to_tensor(weight)
        if "float" in keras.backend.standardize_dtype(weight.dtype) and not _is_zero(share):
            moved = moved + ops.cast(share, moved.dtype) * (target - moved)
        slow.assign(ops.where(is_first, target, moved))


def _is_zero(share: Tensor | float) -> bool:
    return isinstance(share, float) and share == 0.0

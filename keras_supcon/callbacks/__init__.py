"""Callbacks for `fit`."""

from keras_supcon.callbacks.checkpoint import Checkpoint, Position

__all__ = ["Checkpoint", "Position"]

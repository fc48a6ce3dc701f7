"""Heads between the encoder and the loss."""

from keras_supcon.layers.projection_head import ProjectionHead

__all__ = ["ProjectionHead"]

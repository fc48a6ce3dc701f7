"""Heads between the encoder and the loss, and memories of earlier batches."""

from keras_supcon.layers.prediction_head import PredictionHead
from keras_supcon.layers.projection_head import ProjectionHead
from keras_supcon.layers.queue import Queue

__all__ = ["PredictionHead", "ProjectionHead", "Queue"]

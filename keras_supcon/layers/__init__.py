"""Heads between the encoder and the loss, memories of earlier batches, and centers of classes."""

from keras_supcon.layers.class_centers import ClassCenters
from keras_supcon.layers.prediction_head import PredictionHead
from keras_supcon.layers.projection_head import ProjectionHead
from keras_supcon.layers.queue import Queue

__all__ = ["ClassCenters", "PredictionHead", "ProjectionHead", "Queue"]

"""Callbacks for `fit`."""

from keras_supcon.callbacks.checkpoint import Checkpoint, Position
from keras_supcon.callbacks.embedding_map import EmbeddingMap
from keras_supcon.callbacks.embedding_projector import EmbeddingProjector
from keras_supcon.callbacks.knn_probe import KNNProbe
from keras_supcon.callbacks.linear_probe import LinearProbe
from keras_supcon.callbacks.representation_monitor import RepresentationMonitor
from keras_supcon.callbacks.temperature_schedule import TemperatureSchedule

__all__ = [
    "Checkpoint",
    "EmbeddingMap",
    "EmbeddingProjector",
    "KNNProbe",
    "LinearProbe",
    "Position",
    "RepresentationMonitor",
    "TemperatureSchedule",
]

"""Callbacks for `fit`."""

from keras_supcon.callbacks.checkpoint import Checkpoint, Position
from keras_supcon.callbacks.temperature_schedule import TemperatureSchedule

__all__ = ["Checkpoint", "Position", "TemperatureSchedule"]

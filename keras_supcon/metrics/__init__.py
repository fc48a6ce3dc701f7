"""Metrics of contrastive training: chance level of the loss, accuracy, numbers of positives."""

from keras_supcon.metrics.chance_loss import ChanceLoss
from keras_supcon.metrics.contrastive_accuracy import ContrastiveAccuracy
from keras_supcon.metrics.positives import AnchorsWithPositive, PositivesPerAnchor

__all__ = ["AnchorsWithPositive", "ChanceLoss", "ContrastiveAccuracy", "PositivesPerAnchor"]

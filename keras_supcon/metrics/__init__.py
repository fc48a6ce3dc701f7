"""Metrics that tell whether a contrastive loss is normal and what its batches hold."""

from keras_supcon.metrics.chance_loss import ChanceLoss
from keras_supcon.metrics.contrastive_accuracy import ContrastiveAccuracy
from keras_supcon.metrics.positives import AnchorsWithPositive, PositivesPerAnchor

__all__ = ["AnchorsWithPositive", "ChanceLoss", "ContrastiveAccuracy", "PositivesPerAnchor"]

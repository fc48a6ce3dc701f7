"""Metrics of contrastive training: its loss by chance, pairs, geometry, retrieval, calibration."""

from keras_supcon.metrics.alignment import Alignment
from keras_supcon.metrics.chance_loss import ChanceLoss
from keras_supcon.metrics.contrastive_accuracy import ContrastiveAccuracy
from keras_supcon.metrics.effective_rank import EffectiveRank
from keras_supcon.metrics.expected_calibration_error import ExpectedCalibrationError
from keras_supcon.metrics.positives import AnchorsWithPositive, PositivesPerAnchor
from keras_supcon.metrics.recall_at_k import RecallAtK
from keras_supcon.metrics.uniformity import Uniformity

__all__ = [
    "Alignment",
    "AnchorsWithPositive",
    "ChanceLoss",
    "ContrastiveAccuracy",
    "EffectiveRank",
    "ExpectedCalibrationError",
    "PositivesPerAnchor",
    "RecallAtK",
    "Uniformity",
]

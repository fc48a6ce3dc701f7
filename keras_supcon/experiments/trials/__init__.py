"""Trainings that are measured, with several seeds: what claims and studies are made of."""

from keras_supcon.experiments.trials.measurements import (
    MEASUREMENTS,
    NO_SHARES,
    check_measurement,
    numbers_of,
    scale_of,
)
from keras_supcon.experiments.trials.paired import PairedDifference, paired_difference
from keras_supcon.experiments.trials.training import CROSS_ENTROPY, Images, Training
from keras_supcon.experiments.trials.trials import Trial, TrialResults, Trials

__all__ = [
    "CROSS_ENTROPY",
    "MEASUREMENTS",
    "NO_SHARES",
    "Images",
    "PairedDifference",
    "Training",
    "Trial",
    "TrialResults",
    "Trials",
    "check_measurement",
    "numbers_of",
    "paired_difference",
    "scale_of",
]

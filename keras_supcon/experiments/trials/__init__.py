"""Trainings that are measured, with several seeds: what claims and studies are made of."""

from keras_supcon.experiments.trials.measurements import MEASUREMENTS, check_measurement
from keras_supcon.experiments.trials.paired import PairedDifference, paired_difference
from keras_supcon.experiments.trials.training import CROSS_ENTROPY, Images, Training
from keras_supcon.experiments.trials.trials import Trial, TrialResults, Trials

__all__ = [
    "CROSS_ENTROPY",
    "MEASUREMENTS",
    "Images",
    "PairedDifference",
    "Training",
    "Trial",
    "TrialResults",
    "Trials",
    "check_measurement",
    "paired_difference",
]

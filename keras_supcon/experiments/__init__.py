"""Runs that programs share: training by a recipe in a folder, and a comparison over seeds."""

from keras_supcon.experiments.comparison import Comparison, ComparisonResult, list_devices
from keras_supcon.experiments.comparison_settings import ComparisonSettings, Hyperparameters
from keras_supcon.experiments.epoch_log import EpochLog
from keras_supcon.experiments.evaluation import Evaluation, EvaluationResult
from keras_supcon.experiments.evaluation_settings import EvaluationSettings
from keras_supcon.experiments.from_recipe import (
    make_component,
    make_contrastive_model,
    make_optimizer,
    make_pretraining_model,
    make_schedule,
    peak_learning_rate,
    rescale_stage,
)
from keras_supcon.experiments.methods import Methods, MethodsResult
from keras_supcon.experiments.settings import Settings
from keras_supcon.experiments.stopping import StopOnSignal, one_line_errors
from keras_supcon.experiments.two_stage import TwoStage
from keras_supcon.files import make_writable, whole_file

__all__ = [
    "Comparison",
    "ComparisonResult",
    "ComparisonSettings",
    "EpochLog",
    "Evaluation",
    "EvaluationResult",
    "EvaluationSettings",
    "Hyperparameters",
    "Methods",
    "MethodsResult",
    "Settings",
    "StopOnSignal",
    "TwoStage",
    "list_devices",
    "make_component",
    "make_contrastive_model",
    "make_optimizer",
    "make_pretraining_model",
    "make_schedule",
    "make_writable",
    "one_line_errors",
    "peak_learning_rate",
    "rescale_stage",
    "whole_file",
]

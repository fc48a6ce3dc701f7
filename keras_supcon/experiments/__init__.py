"""Runs that programs share: training by a recipe in a folder, and a comparison over seeds."""

from keras_supcon.experiments.claims import Claims, ClaimsSettings
from keras_supcon.experiments.comparison import Comparison, ComparisonResult, list_devices
from keras_supcon.experiments.comparison_settings import ComparisonSettings, Hyperparameters
from keras_supcon.experiments.continual import Continual, ContinualResult
from keras_supcon.experiments.continual_settings import ContinualSettings
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
from keras_supcon.experiments.study import Study, StudyResult
from keras_supcon.experiments.study_settings import FACTORS, StudySettings
from keras_supcon.experiments.trials import (
    CROSS_ENTROPY,
    MEASUREMENTS,
    Images,
    PairedDifference,
    Training,
    Trial,
    TrialResults,
    Trials,
    paired_difference,
)
from keras_supcon.experiments.two_stage import TwoStage
from keras_supcon.files import make_writable, whole_file

__all__ = [
    "CROSS_ENTROPY",
    "FACTORS",
    "MEASUREMENTS",
    "Claims",
    "ClaimsSettings",
    "Comparison",
    "ComparisonResult",
    "ComparisonSettings",
    "Continual",
    "ContinualResult",
    "ContinualSettings",
    "EpochLog",
    "Evaluation",
    "EvaluationResult",
    "EvaluationSettings",
    "Hyperparameters",
    "Images",
    "Methods",
    "MethodsResult",
    "PairedDifference",
    "Settings",
    "StopOnSignal",
    "Study",
    "StudyResult",
    "StudySettings",
    "Training",
    "Trial",
    "TrialResults",
    "Trials",
    "TwoStage",
    "list_devices",
    "make_component",
    "make_contrastive_model",
    "make_optimizer",
    "make_pretraining_model",
    "make_schedule",
    "make_writable",
    "one_line_errors",
    "paired_difference",
    "peak_learning_rate",
    "rescale_stage",
    "whole_file",
]

"""Evaluation of encoders: embeddings once, then protocols on arrays, scores and reports."""

from keras_supcon.evaluation.corruptions import (
    CORRUPTIONS,
    EXTRA_CORRUPTIONS,
    corrupt,
    corrupted,
    corrupted_name,
)
from keras_supcon.evaluation.embedding import classify, embed
from keras_supcon.evaluation.protocols.calibration import CalibrationResult, calibration
from keras_supcon.evaluation.protocols.comparison import PairedComparison, compare
from keras_supcon.evaluation.protocols.continual import ContinualEvaluation, continual_evaluation
from keras_supcon.evaluation.protocols.corruption_robustness import (
    CorruptionResult,
    corruption_robustness,
)
from keras_supcon.evaluation.protocols.few_labels import FewLabelResult, few_label_evaluation
from keras_supcon.evaluation.protocols.fine_tuning import FineTuningResult, fine_tune
from keras_supcon.evaluation.protocols.head_analysis import HeadResult, projection_head_analysis
from keras_supcon.evaluation.protocols.knn import KNNResult, knn_accuracy, knn_evaluation
from keras_supcon.evaluation.protocols.linear import LinearResult, linear_evaluation
from keras_supcon.evaluation.protocols.logistic_regression import LinearProbe
from keras_supcon.evaluation.protocols.multi_label import MultiLabelResult, multi_label_evaluation
from keras_supcon.evaluation.protocols.retrieval import RetrievalResult, retrieval
from keras_supcon.evaluation.protocols.transfer import (
    TRANSFER_DATASETS,
    TransferDataset,
    TransferResult,
    transfer_evaluation,
)
from keras_supcon.evaluation.reporting.report import Report
from keras_supcon.evaluation.reporting.run_report import write_report
from keras_supcon.evaluation.results import Result
from keras_supcon.evaluation.scores.calibration import (
    brier_score,
    classwise_calibration_error,
    expected_calibration_error,
    fit_temperature,
    maximum_calibration_error,
    negative_log_likelihood,
)
from keras_supcon.evaluation.scores.classification import (
    eleven_point_average_precision,
    mean_per_class_accuracy,
)
from keras_supcon.evaluation.scores.continual import backward_transfer, forgetting
from keras_supcon.evaluation.scores.corruption_error import (
    ALEXNET_CLEAN_ERROR,
    ALEXNET_ERRORS,
    mean_corruption_error,
    relative_mean_corruption_error,
)
from keras_supcon.evaluation.scores.geometry import (
    alignment,
    dead_dimensions,
    effective_rank,
    embedding_std,
    mean_cosine,
    uniformity,
    within_class_variance_ratio,
)
from keras_supcon.evaluation.scores.ranking import map_at_r, recall_at_k

__all__ = [
    "ALEXNET_CLEAN_ERROR",
    "ALEXNET_ERRORS",
    "CORRUPTIONS",
    "EXTRA_CORRUPTIONS",
    "TRANSFER_DATASETS",
    "CalibrationResult",
    "ContinualEvaluation",
    "CorruptionResult",
    "FewLabelResult",
    "FineTuningResult",
    "HeadResult",
    "KNNResult",
    "LinearProbe",
    "LinearResult",
    "MultiLabelResult",
    "PairedComparison",
    "Report",
    "Result",
    "RetrievalResult",
    "TransferDataset",
    "TransferResult",
    "alignment",
    "backward_transfer",
    "brier_score",
    "calibration",
    "classify",
    "classwise_calibration_error",
    "compare",
    "continual_evaluation",
    "corrupt",
    "corrupted",
    "corrupted_name",
    "corruption_robustness",
    "dead_dimensions",
    "effective_rank",
    "eleven_point_average_precision",
    "embed",
    "embedding_std",
    "expected_calibration_error",
    "few_label_evaluation",
    "fine_tune",
    "fit_temperature",
    "forgetting",
    "knn_accuracy",
    "knn_evaluation",
    "linear_evaluation",
    "map_at_r",
    "maximum_calibration_error",
    "mean_corruption_error",
    "mean_cosine",
    "mean_per_class_accuracy",
    "multi_label_evaluation",
    "negative_log_likelihood",
    "projection_head_analysis",
    "recall_at_k",
    "relative_mean_corruption_error",
    "retrieval",
    "transfer_evaluation",
    "uniformity",
    "within_class_variance_ratio",
    "write_report",
]

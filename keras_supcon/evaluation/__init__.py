"""Measures of the quality of a trained encoder."""

from keras_supcon.evaluation.embedding import embed
from keras_supcon.evaluation.knn import knn_accuracy
from keras_supcon.evaluation.report import write_report

__all__ = ["embed", "knn_accuracy", "write_report"]

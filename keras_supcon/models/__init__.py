"""Models with the training procedure built in."""

from keras_supcon.models.contrastive import ContrastiveModel
from keras_supcon.models.linear_classifier import LinearClassifier

__all__ = ["ContrastiveModel", "LinearClassifier"]

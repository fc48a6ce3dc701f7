"""Models with the training procedure built in."""

from keras_supcon.models.contrastive import ContrastiveModel
from keras_supcon.models.encoder_model import EncoderModel
from keras_supcon.models.linear_classifier import LinearClassifier
from keras_supcon.models.pretraining import PretrainingModel

__all__ = ["ContrastiveModel", "EncoderModel", "LinearClassifier", "PretrainingModel"]

"""Models with the training procedure built in."""

from keras_supcon.models.byol import BYOL
from keras_supcon.models.co2l import Co2L
from keras_supcon.models.contrastive import ContrastiveModel
from keras_supcon.models.encoder_model import EncoderModel
from keras_supcon.models.head_layers import encoder_with_head
from keras_supcon.models.linear_classifier import LinearClassifier
from keras_supcon.models.moco import MoCo
from keras_supcon.models.momentum import CosineMomentum
from keras_supcon.models.nnclr import NNCLR
from keras_supcon.models.pretraining import PretrainingModel

__all__ = [
    "BYOL",
    "NNCLR",
    "Co2L",
    "ContrastiveModel",
    "CosineMomentum",
    "EncoderModel",
    "LinearClassifier",
    "MoCo",
    "PretrainingModel",
    "encoder_with_head",
]

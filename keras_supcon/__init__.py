"""Supervised contrastive learning as Keras 3 building blocks."""

from keras_supcon import (
    augmentation,
    callbacks,
    data,
    distribution,
    encoders,
    evaluation,
    experiments,
    layers,
    losses,
    metrics,
    models,
    ops,
    optimizers,
    recipes,
)
from keras_supcon.layers import ProjectionHead
from keras_supcon.losses import (
    MaxMarginLoss,
    NPairsLoss,
    NTLogisticLoss,
    NTXentLoss,
    SINCERELoss,
    SpreadLoss,
    SupConLoss,
    TripletLoss,
)
from keras_supcon.models import BYOL, NNCLR, Co2L, ContrastiveModel, LinearClassifier, MoCo
from keras_supcon.version import __version__ as __version__

__all__ = [
    "BYOL",
    "NNCLR",
    "Co2L",
    "ContrastiveModel",
    "LinearClassifier",
    "MaxMarginLoss",
    "MoCo",
    "NPairsLoss",
    "NTLogisticLoss",
    "NTXentLoss",
    "ProjectionHead",
    "SINCERELoss",
    "SpreadLoss",
    "SupConLoss",
    "TripletLoss",
    "augmentation",
    "callbacks",
    "data",
    "distribution",
    "encoders",
    "evaluation",
    "experiments",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "recipes",
]

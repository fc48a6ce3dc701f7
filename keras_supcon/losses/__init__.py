"""Contrastive losses: pure functions that read like the equations, and their Keras classes."""

from keras_supcon.losses.max_margin import MaxMarginLoss, max_margin_loss
from keras_supcon.losses.names import add_names
from keras_supcon.losses.negative_cosine import NegativeCosineLoss, negative_cosine_loss
from keras_supcon.losses.npairs import NPairsLoss, npairs_loss
from keras_supcon.losses.ntlogistic import NTLogisticLoss, ntlogistic_loss
from keras_supcon.losses.ntxent import NTXentLoss, ntxent_loss
from keras_supcon.losses.relation_distillation import (
    RelationDistillationLoss,
    relation_distillation_loss,
)
from keras_supcon.losses.sincere import SINCERELoss, sincere_loss
from keras_supcon.losses.spread import SpreadLoss, spread_loss
from keras_supcon.losses.supcon import SupConLoss, supcon_loss
from keras_supcon.losses.triplet import TripletLoss, triplet_loss

__all__ = [
    "MaxMarginLoss",
    "NPairsLoss",
    "NTLogisticLoss",
    "NTXentLoss",
    "NegativeCosineLoss",
    "RelationDistillationLoss",
    "SINCERELoss",
    "SpreadLoss",
    "SupConLoss",
    "TripletLoss",
    "max_margin_loss",
    "negative_cosine_loss",
    "npairs_loss",
    "ntlogistic_loss",
    "ntxent_loss",
    "relation_distillation_loss",
    "sincere_loss",
    "spread_loss",
    "supcon_loss",
    "triplet_loss",
]

add_names(*(globals()[name] for name in __all__))

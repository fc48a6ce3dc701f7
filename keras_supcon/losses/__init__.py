"""Contrastive losses: pure functions that read like the equations, and their Keras classes."""

from keras_supcon.losses.balanced import BalancedSupConLoss, balanced_supcon_loss
from keras_supcon.losses.logit_adjusted import (
    LogitAdjustedCrossentropy,
    logit_adjusted_crossentropy,
)
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
    "BalancedSupConLoss",
    "LogitAdjustedCrossentropy",
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
    "balanced_supcon_loss",
    "logit_adjusted_crossentropy",
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

# Names stand for losses with their defaults, which this one does not have.
_WITHOUT_DEFAULTS = ("LogitAdjustedCrossentropy", "logit_adjusted_crossentropy")
add_names(*(globals()[name] for name in __all__ if name not in _WITHOUT_DEFAULTS))

"""Contrastive losses: a pure function that reads like the equation, and a `keras.losses.Loss` around it."""

from keras_supcon.losses.supcon import SupConLoss, supcon_loss

__all__ = ["SupConLoss", "supcon_loss"]

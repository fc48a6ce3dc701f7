"""Random image layers: one draw for each sample, whole batches at once, compilable by XLA."""

from keras_supcon.augmentation.color import RandomColorJitter, RandomGrayscale
from keras_supcon.augmentation.crop import RandomResizedCrop
from keras_supcon.augmentation.recipes import SimAugment

__all__ = ["RandomColorJitter", "RandomGrayscale", "RandomResizedCrop", "SimAugment"]

"""Policies built of keras-cv layers, and the adapter through which keras-cv layers are called.

keras-cv is imported when a policy is made, not with this module.
"""

from keras_supcon.augmentation.adapters import register_adapter
from keras_supcon.augmentation.keras_cv.adapter import KerasCVAdapter
from keras_supcon.augmentation.keras_cv.rand_augment import KerasCVRandAugment
from keras_supcon.augmentation.keras_cv.sim_augment import KerasCVSimAugment
from keras_supcon.deprecation import renamed

__all__ = ["KerasCVRandAugment", "KerasCVSimAugment"]

register_adapter("keras_cv", KerasCVAdapter())

__getattr__ = renamed(
    __name__,
    {"KerasCVRecipe": "keras_supcon.augmentation.keras_cv.keras_cv_policy.KerasCVPolicy"},
)

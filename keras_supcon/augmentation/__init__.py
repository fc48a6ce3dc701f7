"""Random image layers: one draw for each sample, whole batches at once, compilable by XLA."""

# Registers its classes and its adapter: Keras loads a saved class only once it is registered.
from keras_supcon.augmentation import keras_cv
from keras_supcon.augmentation.layers.apply import RandomApply
from keras_supcon.augmentation.layers.blur import RandomGaussianBlur
from keras_supcon.augmentation.layers.color import RandomColorJitter, RandomGrayscale
from keras_supcon.augmentation.layers.crop import CenterCropResize, RandomResizedCrop
from keras_supcon.augmentation.layers.multi_view import MultiView
from keras_supcon.augmentation.layers.operations import (
    AutoContrast,
    Brightness,
    Color,
    Contrast,
    Cutout,
    Equalize,
    Invert,
    Posterize,
    Rotate,
    Sharpness,
    ShearX,
    ShearY,
    Solarize,
    SolarizeAdd,
    TranslateX,
    TranslateY,
)
from keras_supcon.augmentation.layers.solarize import RandomSolarize
from keras_supcon.augmentation.layers.warp import RandomWarp
from keras_supcon.augmentation.policies.auto_augment import AutoAugment
from keras_supcon.augmentation.policies.byol_views import byol_views
from keras_supcon.augmentation.policies.rand_augment import RandAugment
from keras_supcon.augmentation.policies.sim_augment import SimAugment
from keras_supcon.augmentation.policies.stacked_rand_augment import StackedRandAugment

__all__ = [
    "AutoAugment",
    "AutoContrast",
    "Brightness",
    "CenterCropResize",
    "Color",
    "Contrast",
    "Cutout",
    "Equalize",
    "Invert",
    "MultiView",
    "Posterize",
    "RandAugment",
    "RandomApply",
    "RandomColorJitter",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomResizedCrop",
    "RandomSolarize",
    "RandomWarp",
    "Rotate",
    "Sharpness",
    "ShearX",
    "ShearY",
    "SimAugment",
    "Solarize",
    "SolarizeAdd",
    "StackedRandAugment",
    "TranslateX",
    "TranslateY",
    "byol_views",
    "keras_cv",
]

"""Random image layers: one draw for each sample, whole batches at once, compilable by XLA."""

from keras_supcon.augmentation import keras_cv
from keras_supcon.augmentation.apply import RandomApply
from keras_supcon.augmentation.auto_augment import AutoAugment
from keras_supcon.augmentation.blur import RandomGaussianBlur
from keras_supcon.augmentation.color import RandomColorJitter, RandomGrayscale
from keras_supcon.augmentation.crop import CenterCropResize, RandomResizedCrop
from keras_supcon.augmentation.operations import (
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
from keras_supcon.augmentation.rand_augment import RandAugment, StackedRandAugment
from keras_supcon.augmentation.sim_augment import SimAugment
from keras_supcon.augmentation.solarize import RandomSolarize
from keras_supcon.augmentation.views import MultiView
from keras_supcon.augmentation.warp import RandomWarp

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
    "keras_cv",
]

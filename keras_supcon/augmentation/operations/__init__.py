"""The operations of AutoAugment and RandAugment."""

from keras_supcon.augmentation.operations.layers import (
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

__all__ = [
    "AutoContrast",
    "Brightness",
    "Color",
    "Contrast",
    "Cutout",
    "Equalize",
    "Invert",
    "Posterize",
    "Rotate",
    "Sharpness",
    "ShearX",
    "ShearY",
    "Solarize",
    "SolarizeAdd",
    "TranslateX",
    "TranslateY",
]

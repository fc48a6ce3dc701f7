"""What runs of several sources share: ImageNet at 224 pixels, and ResNet-50."""

from typing import Any

from keras_supcon.recipes import deviations
from keras_supcon.recipes.recipe import Component, Recipe

CROPS = Component("RandomResizedCrop", {"crop_area": (0.08, 1.0), "flip_probability": 0.5})


def resnet50_on_imagenet(*own_deviations: str, **fields: Any) -> Recipe:
    """Returns a recipe of two views, with the pixels that all sources but SimCLR's have."""
    shared = {
        "dataset": "imagenet2012",
        "num_classes": 1000,
        "num_examples": 1_281_167,
        "image_size": (224, 224),
        "pixel_mean": (0.485, 0.456, 0.406),
        "pixel_deviation": (0.229, 0.224, 0.225),
        "encoder": Component("ResNet", {"depth": 50, "width": 1.0, "stem": "imagenet"}),
        "synchronized_batch_norm": True,
        "num_views": 2,
        "evaluation": Component(
            "CenterCropResize", {"method": "resize_then_crop", "crop_padding": 32}
        ),
        "dtype_policy": "float32",
        "deviations": (deviations.STANDARDIZATION, *own_deviations),
    }
    return Recipe(**{**shared, **fields})

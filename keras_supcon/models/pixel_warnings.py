"""Warnings where an encoder would see other pixels than its user may think."""

import warnings
from typing import Any

import keras

from keras_supcon.augmentation.pixel_range import rescaling_layer, unit_range_layer

# They change nothing that a scale of pixels would matter to.
_KEEP_SCALE = (
    "InputLayer", "ZeroPadding2D", "Flatten", "Reshape", "Permute", "Cropping2D", "CenterCrop", "Resizing",
    "MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D", "Dropout", "SpatialDropout2D", "GaussianDropout",
)  # fmt: skip
_READ_SCALE = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense", "EinsumDense")


def warn_of_unscaled_pixels(model: Any, augmenter: keras.layers.Layer | None, inputs: Any) -> None:
    """Warns where pixels of a range as wide as 0..255 reach weights of the encoder with no layer that scales them.

    Args:
        model: A model with an encoder.
        augmenter: A layer, or None.
        inputs: Symbolic inputs. Without a recipe, which says its range, only uint8 images are known to be 0..255.
    """
    recipe = None if augmenter is None else unit_range_layer(augmenter)
    if recipe is not None:
        low, high = recipe.value_range
    elif augmenter is not None and rescaling_layer(augmenter) is not None:
        return
    elif getattr(inputs, "dtype", None) == "uint8" and len(inputs.shape) == 4:
        low, high = 0, 255
    else:
        return
    reader = _first_reader(model.encoder)
    if reader is not None and high - low > 2:
        warnings.warn(
            f"The encoder of `{model.name}` gets pixels as they come, from {low:g} to {high:g}, and its first layer "
            f"with weights, `{reader.name}`, has nothing before it that scales them. Begin the encoder with "
            "`keras.layers.Rescaling(1 / 255)`, or the preprocessing that it was trained with: models do not scale pixels, "
            "whatever their dtype.",
            stacklevel=2,
        )


def warn_of_rescaling(augmenter: keras.layers.Layer | None) -> None:
    """Warns of an augmenter that rescales the pixels for one stage alone."""
    layer = None if augmenter is None else rescaling_layer(augmenter)
    if layer is not None:
        warnings.warn(
            f"`augmenter` holds `{layer.name}`: the encoder is trained on pixels that it has scaled, and other models of "
            "the same encoder see them unscaled. Move it to the beginning of the encoder, or give "
            "`LinearClassifier(model.encoder, ..., augmenter=model.augmenter)`.",
            stacklevel=3,
        )


def warn_of_older_file(model: Any) -> None:
    """Warns where a file is of a version that scaled pixels to [0, 1], and its encoder tells scales apart."""
    first = next(iter(getattr(model.encoder, "layers", [])), None)
    if type(first).__name__ == "ImageStandardization":  # of our encoders, which no scale matters to
        return
    warnings.warn(
        f"`{model.name}` was saved by a version of keras_supcon that scaled integers, and the pixels of recipes, to [0, 1] "
        "before the encoder. Now pixels reach it as they come. For what it was trained on, use "
        "`keras.Sequential([keras.layers.Rescaling(1 / 255), model.encoder])` as encoder, or give floats in [0, 1].",
        stacklevel=2,
    )


def _first_reader(layer: Any) -> Any:
    """The first layer with weights, if it is reached by pixels whose scale nothing before it has changed; else None.

    Of layers that are not Keras' own, and of operations, nothing is known: they may scale.
    """
    for operation in getattr(layer, "operations", None) or getattr(layer, "layers", None) or [layer]:
        name = type(operation).__name__
        if type(operation).__module__.split(".")[0] != "keras":
            return None
        if name in _READ_SCALE:
            return operation
        if name in ("Functional", "Sequential"):
            return _first_reader(operation)
        if name not in _KEEP_SCALE:
            return None
    return None

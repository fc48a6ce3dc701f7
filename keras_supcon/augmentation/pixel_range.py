"""The range of the pixels that an augmenter gives, and the way back to the range that came in."""

from typing import Any

import keras
from keras import ops, tree

from keras_supcon.augmentation.base import ImageAugmentation
from keras_supcon.augmentation.calling import layers_within

_RESCALING = ("Rescaling", "Normalization")


def restore_pixel_range(augmenter: keras.layers.Layer, images: Any) -> Any:
    """Brings what an augmenter gave in [0, 1] back to the `value_range` of what it was given.

    Recipes and `CenterCropResize` end in [0, 1], other layers keep the range. An augmenter that also holds `Rescaling` or
    `Normalization` has a range that its user chose, which stays.

    Args:
        augmenter: A layer.
        images: What it gave, floats of any shape.

    Returns:
        Floats of the same shape and dtype.
    """
    layer = unit_range_layer(augmenter)
    if layer is None or rescaling_layer(augmenter) is not None:
        return images
    low, high = layer.value_range
    if (low, high) == (0, 1):
        return images
    if isinstance(images, dict):
        return {**images, "images": _stretch(images["images"], low, high)}
    return tree.map_structure(lambda part: _stretch(part, low, high), images)


def unit_range_layer(augmenter: keras.layers.Layer) -> ImageAugmentation | None:
    """The first layer of an augmenter that brings pixels from its `value_range` to [0, 1], or None."""
    return next((layer for layer in layers_within(augmenter) if getattr(layer, "ends_in_unit_range", False)), None)


def rescaling_layer(augmenter: keras.layers.Layer) -> keras.layers.Layer | None:
    """The first layer of Keras or keras-cv in an augmenter that scales pixels by numbers of its own, or None."""
    return next((layer for layer in layers_within(augmenter) if _is_rescaling(layer)), None)


def check_one_range(augmenters: list[keras.layers.Layer]) -> None:
    """Raises `ValueError` if the views that several augmenters make of an image are of different ranges."""
    scaling = [unit_range_layer(one) for one in augmenters]
    ranges = [None if layer is None or layer.value_range == (0, 1) else layer.value_range for layer in scaling]
    if len(set(ranges)) > 1:
        raise ValueError(
            "`augmenter` should give pixels of one range in every view: recipes turn their `value_range` into [0, 1], single "
            f"operations keep the range. Received: value_range {ranges} (None: kept) of {[one.name for one in augmenters]}"
        )


def _is_rescaling(layer: Any) -> bool:
    is_known = type(layer).__module__.split(".")[0] in ("keras", "keras_cv")
    return is_known and type(layer).__name__ in _RESCALING


def _stretch(images: Any, low: float, high: float) -> Any:
    stretched = images * (high - low)
    return ops.cast(stretched + low if low else stretched, images.dtype)

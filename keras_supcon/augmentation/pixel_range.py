"""The range of the pixels in the output of an augmenter, and how to restore that of the input."""

from collections.abc import Iterator
from typing import Any

import keras
from keras import ops, tree

from keras_supcon._keras_internals import nested_layers
from keras_supcon.augmentation.adapters import (
    adapter_of,
    is_library_layer,
    keeps_range,
    layers_within,
    rescales,
)
from keras_supcon.augmentation.layers.image_augmentation import ImageAugmentation
from keras_supcon.augmentation.layers.multi_view import MultiView
from keras_supcon.typing import Tensor, TensorTree

# Layers of Keras that keep the range of pixels, beside those whose names begin with Random.
_KEEP_RANGE = {
    "AugMix", "AutoContrast", "CenterCrop", "CutMix", "Dropout", "Equalization", "GaussianNoise",
    "InputLayer", "MixUp", "RandAugment", "Resizing", "Solarization",
}  # fmt: skip
_RESCALE = {"Rescaling", "Normalization"}


def restore_pixel_range(augmenter: keras.layers.Layer, images: TensorTree) -> TensorTree:
    """Maps the output of an augmenter from [0, 1] back to the `value_range` of its input.

    Policies and `CenterCropResize` end in [0, 1], other layers keep the range. See
    `unit_range_layer` for containers.

    Args:
        augmenter: A layer.
        images: Its output, floats of any shape.

    Returns:
        Floats of the same shape and dtype.
    """
    layer = unit_range_layer(augmenter)
    if layer is None or layer.value_range == (0, 1):
        return images
    low, high = layer.value_range
    if isinstance(images, dict):
        return {**images, "images": _stretch(images["images"], low, high)}
    return tree.map_structure(lambda part: _stretch(part, low, high), images)


def unit_range_layer(augmenter: keras.layers.Layer) -> ImageAugmentation | None:
    """Returns the layer of an augmenter whose output is in [0, 1], or None.

    That is the augmenter itself, one view of a `MultiView`, or a step of a `keras.Sequential` or
    `keras.layers.Pipeline` if all later steps are known to keep the range.
    """
    if isinstance(augmenter, MultiView):
        return unit_range_layer(augmenter.augmenters[0])
    for step in reversed(_steps(augmenter)):
        if getattr(step, "ends_in_unit_range", False):
            return step
        if not _keeps_range(step):
            return None
    return None


def readers_of_pixels(augmenter: keras.layers.Layer) -> Iterator[ImageAugmentation]:
    """Yields the layers of this package that get pixels in the range of the augmenter's input."""
    for one in augmenter.augmenters if isinstance(augmenter, MultiView) else [augmenter]:
        for step in _steps(one):
            layers = list(layers_within(step))
            if not all(_keeps_range(layer) for layer in layers if layer is not step):
                break  # the order in which a model calls them is not known
            yield from (layer for layer in layers if isinstance(layer, ImageAugmentation))
            if getattr(step, "ends_in_unit_range", False) or not _keeps_range(step):
                break


def layer_of_other_range(augmenter: keras.layers.Layer) -> keras.layers.Layer | None:
    """Returns a layer after which the range of pixels is known to the user alone, or None.

    That is a layer such as `Rescaling` or `Normalization`; a policy that is followed by layers
    which may scale; or a policy within a layer of the user.
    """
    if isinstance(augmenter, MultiView):
        return next(
            (
                layer
                for one in augmenter.augmenters
                if (layer := layer_of_other_range(one)) is not None
            ),
            None,
        )
    rescaling = (
        layer
        for layer in layers_within(augmenter)
        if _is_of_keras(layer, _RESCALE) or rescales(layer)
    )
    policies = (
        layer for layer in nested_layers(augmenter) if getattr(layer, "ends_in_unit_range", False)
    )
    found = next(rescaling, None) or next(policies, None)
    return None if unit_range_layer(augmenter) is not None else found


def check_pixel_range(augmenter: keras.layers.Layer | None) -> None:
    """Raises `ValueError` if the range of pixels may differ between images or views."""
    if isinstance(augmenter, MultiView):
        units = [unit_range_layer(one) for one in augmenter.augmenters]
        ranges = [
            None if layer is None or layer.value_range == (0, 1) else layer.value_range
            for layer in units
        ]
        if len(set(ranges)) > 1:
            raise ValueError(
                "`augmenter` should give pixels of one range in every view: policies turn their "
                "`value_range` into [0, 1], single operations keep the range. Received: "
                f"value_range {ranges} (None: kept) of {[one.name for one in augmenter.augmenters]}"
            )
    for layer in [] if augmenter is None else layers_within(augmenter):
        adapter = adapter_of(layer)
        if adapter is None or isinstance(layer, (keras.Sequential, keras.layers.Pipeline)):
            continue
        optional = adapter.optional_layers(layer)
        if any(getattr(one, "ends_in_unit_range", False) for one in optional):
            raise ValueError(
                "`augmenter` should give pixels of one range: a policy in a layer that chooses "
                "whether to apply it gives [0, 1] or the range of the input. "
                f"Received: a policy in {layer.name!r}"
            )


def _steps(augmenter: Any) -> list[Any]:
    """Returns the layers of a chain in order, or the augmenter itself if it is none."""
    if not isinstance(augmenter, (keras.Sequential, keras.layers.Pipeline)):
        return [augmenter]
    return [step for layer in augmenter.layers for step in _steps(layer)]


def _keeps_range(layer: Any) -> bool:
    if isinstance(layer, ImageAugmentation):
        return True
    is_random = type(layer).__name__.startswith("Random") and is_library_layer(layer)
    return is_random or _is_of_keras(layer, _KEEP_RANGE) or keeps_range(layer)


def _is_of_keras(layer: Any, names: set[str]) -> bool:
    return type(layer).__module__.split(".")[0] == "keras" and type(layer).__name__ in names


def _stretch(images: Tensor, low: float, high: float) -> Tensor:
    stretched = images * (high - low)
    return ops.cast(stretched + low if low else stretched, images.dtype)

"""The range of the pixels that an augmenter gives, and the way back to the range that came in."""

from collections.abc import Iterator
from typing import Any

import keras
from keras import ops, tree

from keras_supcon.augmentation._keras_internals import flatten_layers
from keras_supcon.augmentation.adapters import (
    adapter_of,
    is_library_layer,
    keeps_range,
    layers_within,
    rescales,
)
from keras_supcon.augmentation.layers.image_augmentation import ImageAugmentation
from keras_supcon.augmentation.layers.multi_view import MultiView

# Layers of Keras that keep the range of pixels, beside those whose names begin with Random.
_KEEP_RANGE = {
    "AugMix", "AutoContrast", "CenterCrop", "CutMix", "Dropout", "Equalization", "GaussianNoise",
    "InputLayer", "MixUp", "RandAugment", "Resizing", "Solarization",
}  # fmt: skip
_RESCALE = {"Rescaling", "Normalization"}


def restore_pixel_range(augmenter: keras.layers.Layer, images: Any) -> Any:
    """Brings what an augmenter gave in [0, 1] back to the `value_range` of what it was given.

    Recipes and `CenterCropResize` end in [0, 1], other layers keep the range. See
    `unit_range_layer` for containers.

    Args:
        augmenter: A layer.
        images: What it gave, floats of any shape.

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
    """The layer of an augmenter after which pixels are in [0, 1] instead of its `value_range`; None
    if there is none.

    That is the augmenter itself, one view of a `MultiView`, or a step of a `keras.Sequential` or
    `keras.layers.Pipeline` of which all later steps are known to keep the range.
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
    """Yields the layers of this package in an augmenter that get pixels of the range in which they
    come to the augmenter.
    """
    for one in augmenter.augmenters if isinstance(augmenter, MultiView) else [augmenter]:
        for step in _steps(one):
            layers = list(layers_within(step))
            if not all(_keeps_range(layer) for layer in layers if layer is not step):
                break  # in what order a model calls them is not known
            yield from (layer for layer in layers if isinstance(layer, ImageAugmentation))
            if getattr(step, "ends_in_unit_range", False) or not _keeps_range(step):
                break


def layer_of_other_range(augmenter: keras.layers.Layer) -> keras.layers.Layer | None:
    """A layer that makes the range of an augmenter one that its user chose and nobody else knows,
    or None.

    That is `Rescaling` or `Normalization` of Keras or keras-cv; a recipe that layers follow which
    may scale; and a recipe in a layer of the user.
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
        layer for layer in flatten_layers(augmenter) if getattr(layer, "ends_in_unit_range", False)
    )
    found = next(rescaling, None) or next(policies, None)
    return None if unit_range_layer(augmenter) is not None else found


def check_pixel_range(augmenter: keras.layers.Layer | None) -> None:
    """Raises `ValueError` if an augmenter gives pixels of one range now and of another one then, or
    in another view.
    """
    if isinstance(augmenter, MultiView):
        units = [unit_range_layer(one) for one in augmenter.augmenters]
        ranges = [
            None if layer is None or layer.value_range == (0, 1) else layer.value_range
            for layer in units
        ]
        if len(set(ranges)) > 1:
            raise ValueError(
                "`augmenter` should give pixels of one range in every view: recipes turn their "
                "`value_range` into [0, 1], "
                f"single operations keep the range. Received: value_range {ranges} (None: kept) of "
                f"{[one.name for one in augmenter.augmenters]}"
            )
    for layer in [] if augmenter is None else layers_within(augmenter):
        adapter = adapter_of(layer)
        if adapter is None or isinstance(layer, (keras.Sequential, keras.layers.Pipeline)):
            continue
        optional = adapter.optional_layers(layer)
        if any(getattr(one, "ends_in_unit_range", False) for one in optional):
            raise ValueError(
                "`augmenter` should give pixels of one range: a recipe in a layer that chooses "
                "whether to apply it gives "
                f"[0, 1] or the range that came in. Received: a recipe in {layer.name!r}"
            )


def _steps(augmenter: Any) -> list[Any]:
    """The layers that an augmenter calls one after the other; itself if it is not known to be such
    a chain.
    """
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


def _stretch(images: Any, low: float, high: float) -> Any:
    stretched = images * (high - low)
    return ops.cast(stretched + low if low else stretched, images.dtype)

"""Warns where an encoder would see other pixels than its user may think."""

import warnings
from typing import Any

import keras

from keras_supcon.augmentation.pixel_range import layer_of_other_range, unit_range_layer
from keras_supcon.typing import TensorTree
from keras_supcon.user_lines import stacklevel_of_user

# Layers that neither scale pixels nor depend on their scale.
_KEEP_SCALE = (
    "InputLayer", "ZeroPadding2D", "Flatten", "Reshape", "Permute", "Cropping2D", "CenterCrop",
    "Resizing", "MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D", "Dropout",
    "SpatialDropout2D", "GaussianDropout",
)  # fmt: skip
_READ_SCALE = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense", "EinsumDense")


def warn_of_unscaled_pixels(
    model: keras.Model, augmenter: keras.layers.Layer | None, inputs: TensorTree
) -> None:
    """Warns if pixels of a range as wide as 0..255 reach weights of the encoder unscaled.

    Args:
        model: A model with an encoder.
        augmenter: A layer, or None.
        inputs: Symbolic inputs. Without a policy, which declares its range, only uint8 images are
            assumed to span 0..255.
    """
    policy = None if augmenter is None else unit_range_layer(augmenter)
    if policy is not None:
        low, high = policy.value_range
    elif augmenter is not None and layer_of_other_range(augmenter) is not None:
        return
    elif (
        getattr(inputs, "dtype", None) == "uint8"
        and len(inputs.shape) == 4
        and inputs.shape[-1] in (1, 3, 4)
    ):
        low, high = 0, 255
    else:
        return
    if isinstance(inputs, dict):  # which layer reads the images is not known
        return
    reader = _first_reader(model.encoder)
    if reader is not None and high - low > 2:
        warnings.warn(
            f"The encoder of `{model.name}` gets pixels as they come, from {low:g} to {high:g}, "
            f"and its first layer with weights, `{reader.name}`, has nothing before it that scales "
            "them. Begin the encoder with `keras.layers.Rescaling(1 / 255)`, or the preprocessing "
            "that it was trained with: models do not scale pixels, whatever their dtype.",
            stacklevel=stacklevel_of_user(),
        )


def warn_of_other_range(augmenter: keras.layers.Layer | None) -> None:
    """Warns of an augmenter that changes the range of the pixels, in one stage only."""
    layer = None if augmenter is None else layer_of_other_range(augmenter)
    if layer is not None:
        warnings.warn(
            f"`augmenter` holds `{layer.name}`: the encoder is trained on pixels of a range that "
            "other models of the same encoder do not see. Move the scaling to the beginning of the "
            "encoder, or use `LinearClassifier(model.encoder, ..., augmenter=model.augmenter)`.",
            stacklevel=stacklevel_of_user(),
        )


def warn_of_older_file(model: keras.Model) -> None:
    """Warns of a file from a version that scaled pixels to [0, 1], if the scale matters."""
    first = next(iter(getattr(model.encoder, "layers", [])), None)
    if type(first).__name__ == "ImageStandardization":  # our encoders, to which no scale matters
        return
    warnings.warn(
        f"`{model.name}` was saved by a version of keras_supcon that scaled integers, and the "
        "pixels of policies, to [0, 1] before the encoder. Now pixels reach it as they come. For "
        "the range of its training, use "
        "`keras.Sequential([keras.layers.Rescaling(1 / 255), model.encoder])` as encoder, or give "
        "floats in [0, 1].",
        stacklevel=stacklevel_of_user(),
    )


def _first_reader(layer: Any) -> Any:
    """Returns the first layer with weights if unscaled pixels reach it, else None.

    Operations and layers that are not Keras' own may scale, subclassed models included.
    """
    if type(layer).__name__ not in ("Functional", "Sequential"):
        return layer if _is_of_keras(layer) and type(layer).__name__ in _READ_SCALE else None
    for operation in getattr(layer, "operations", None) or layer.layers:
        if not _is_of_keras(operation):
            return None
        if type(operation).__name__ not in _KEEP_SCALE:
            return _first_reader(operation)
    return None


def _is_of_keras(operation: Any) -> bool:
    return type(operation).__module__.split(".")[0] == "keras"

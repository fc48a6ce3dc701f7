"""Warnings of images and calls with which a layer would not do what its user expects."""

import warnings

import keras
import numpy as np

from keras_supcon.augmentation.tracing import (
    is_in_tf_data,
    is_symbolic_tensorflow,
    is_torch_compiling,
)
from keras_supcon.typing import Tensor
from keras_supcon.user_lines import stacklevel_of_user

# Images of a batch that are looked at for the range of its pixels.
_LOOKED_AT = 64


def warn_of_dark_pixels(
    images: Tensor, value_range: tuple[float, float], name: str, warned_of: set[tuple[float, float]]
) -> bool:
    """Warns of float pixels within 1 of 0 under a range such as 0..255, if they can be seen.

    Args:
        images: An array, or a tensor of any kind.
        value_range: Lowest and highest pixel that the layer expects.
        name: Name of the layer.
        warned_of: Ranges that the user has been warned of for these images; `value_range` is
            added.

    Returns:
        Whether pixels were seen that tell the range.
    """
    low, high = value_range
    if high - low <= 2:
        return True
    kind = str(getattr(images, "dtype", ""))
    if "int" in kind or "bool" in kind:
        return True
    # A program of PyTorch that slices a batch of any size to look at it takes no other sizes.
    if (
        "float" not in kind
        or isinstance(images, keras.KerasTensor)
        or is_symbolic_tensorflow(images)
        or is_torch_compiling()
    ):
        return False
    try:
        few = images[:_LOOKED_AT] if len(images.shape) > 3 else images
        pixels = few if isinstance(few, np.ndarray) else keras.ops.convert_to_numpy(few)
    # Each backend raises another error for a tensor that it traces or exports.
    except Exception:
        return False
    highest = np.max(np.abs(pixels.astype("float32")), initial=0.0)
    if 0 < highest <= 1 and value_range not in warned_of:
        warned_of.add(value_range)
        warnings.warn(
            f"`{name}` takes its pixels for {low:g} to {high:g}, and got floats of no more than "
            f"{highest:.3g}: nearly black pictures. For pixels in [0, 1] give "
            "`value_range=(0, 1)`.",
            stacklevel=stacklevel_of_user(),
        )
    return bool(highest > 0)


def warn_of_missing_training(layer: keras.layers.Layer) -> None:
    """Warns of a call without `training` in a map of `tf.data`, where nothing else sets it."""
    if is_in_tf_data():
        warnings.warn(
            f"`{layer.name}` does not augment in this map of `tf.data`, which does not say "
            "`training`. For training images write "
            "`data.map(lambda images: layer(images, training=True))`, for others "
            "`training=False`.",
            stacklevel=stacklevel_of_user(),
        )

"""NaN and infinity in images."""

import keras

from keras_supcon.typing import Tensor


def has_floats(images: Tensor) -> bool:
    """Returns whether the dtype of the images allows pixels that are not finite."""
    return keras.backend.is_float_dtype(keras.backend.standardize_dtype(images.dtype))


def nan_unless_finite(images: Tensor) -> Tensor:
    """Returns 0 where a pixel is finite and NaN elsewhere: added to pixels it makes those NaN.

    Boolean masks take TensorFlow and PyTorch several times as long.
    """
    return images - images

"""The first layer of the encoders of this package."""

from typing import Any

import keras
from keras import ops

from keras_supcon.typing import Tensor

# A standard deviation below this fraction of the root mean square is rounding noise.
_FLAT = 1e-3


@keras.saving.register_keras_serializable(package="keras_supcon")
class ImageStandardization(keras.layers.Layer):
    """Gives every image mean 0 and standard deviation 1 over its pixels and channels together.

    The result does not depend on the scale of the pixels: uint8, float 0..255 and float 0..1 images
    give the same output, so that an encoder trained on augmented images in [0, 1] also reads raw
    pipelines. A flat image gives zeros.

    Input and output shape: `(batch, height, width, channels)`. The output has the compute dtype of
    the layer.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.encoders import ImageStandardization
    >>> image = np.array([[[[0], [255]], [[255], [0]]]], "uint8")
    >>> np.asarray(ImageStandardization()(image)).ravel().round(4).tolist()
    [-1.0, 1.0, 1.0, -1.0]
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.built = True

    def call(self, images: Tensor) -> Tensor:
        # float16 cannot hold the sum of squares of 0..255 pixels.
        images = ops.cast(images, "float32")
        centered = images - ops.mean(images, axis=(1, 2, 3), keepdims=True)
        variance = ops.mean(ops.square(centered), axis=(1, 2, 3), keepdims=True)
        mean_square = ops.mean(ops.square(images), axis=(1, 2, 3), keepdims=True)
        floor = ops.maximum(_FLAT**2 * mean_square, 1e-30)
        return ops.cast(centered * ops.rsqrt(ops.maximum(variance, floor)), self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

"""Applies a function to some images of a batch."""

from collections.abc import Callable

from keras_supcon._keras_internals import is_tracing_for_xla
from keras_supcon.typing import Backend, Tensor


def map_where(
    backend: Backend,
    chosen: Tensor,
    function: Callable[..., Tensor],
    images: Tensor,
    *parameters: Tensor,
) -> Tensor:
    """Replaces the chosen images by `function(images, *parameters)`.

    Where shapes may depend on data (TensorFlow outside XLA, torch), the function sees the chosen
    images alone and costs nothing for the others. XLA has no such shapes: there all images are
    computed, in loops that it fuses, and the chosen ones are kept.

    Args:
        backend: Module of backend functions.
        chosen: Boolean `(batch,)`.
        function: Maps images and parameters to images of the same shape, each image by itself.
            TensorFlow's batch may be empty.
        images: Float32 `(batch, height, width, channels)`.
        *parameters: Tensors whose first axis is the batch.

    Returns:
        Images of the same shape.
    """
    if backend.name == "tensorflow" and not is_tracing_for_xla():
        import tensorflow as tf

        index = tf.where(chosen)
        rows = index[:, 0]
        some = function(
            tf.gather(images, rows), *(tf.gather(parameter, rows) for parameter in parameters)
        )
        return tf.ensure_shape(tf.tensor_scatter_nd_update(images, index, some), images.shape)
    if backend.name == "torch" and not images.is_meta:
        index = chosen.nonzero()[:, 0]
        if len(index) == 0:
            return images
        replaced = images.clone()
        replaced[index] = function(images[index], *(parameter[index] for parameter in parameters))
        return replaced
    chosen = backend.numpy.reshape(chosen, (-1, 1, 1, 1))
    return backend.numpy.where(chosen, function(images, *parameters), images)

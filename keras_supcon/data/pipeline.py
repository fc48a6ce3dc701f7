"""From single images to batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from keras_supcon.arguments import check_image_size, check_whole_number

if TYPE_CHECKING:
    import tensorflow as tf

# The shuffle buffer holds the whole data set up to this many bytes, of encoded images where
# `batches` decodes them.
SHUFFLE_BYTES = 512 * 2**20


def check_batching(batch_size: Any, image_size: Any) -> None:
    """Raises `ValueError` unless the batch size is positive and the image size None or (height,
    width) of at least 1.
    """
    check_whole_number("batch_size", batch_size, at_least=1)
    if image_size is not None:
        check_image_size("image_size", image_size)


def check_some_batch(num_examples: int, batch_size: int, drop_remainder: bool) -> None:
    """Raises `ValueError` if the only batch would be left out."""
    if drop_remainder and num_examples < batch_size:
        raise ValueError(
            "`batch_size` should be at most the number of examples with `drop_remainder=True`. "
            f"Received: batch_size={batch_size}, with {num_examples} examples"
        )


def batches(
    examples: tf.data.Dataset,
    num_examples: int,
    class_names: Sequence[str],
    batch_size: int,
    image_size: tuple[int, int] | None,
    shuffle: bool,
    seed: int | None,
    drop_remainder: bool,
    *,
    decode: Callable[[Any], Any] | None = None,
    num_bytes: int | None = None,
) -> tf.data.Dataset:
    """Shuffles, decodes, resizes, batches and prefetches single examples.

    Args:
        examples: uint8 images `(height, width, channels)`, or what `decode` makes them of, with
            integer labels.
        num_examples: How many there are.
        class_names: Becomes the attribute `class_names` of the result, as
            `keras.utils.image_dataset_from_directory` does.
        batch_size: Images in a batch.
        image_size: Size to which the largest centred rectangle of that aspect is resized, or None.
        shuffle: Whether to shuffle, in a new order for every epoch.
        seed: Fixes the orders; None for other ones each time.
        drop_remainder: Whether to leave out a last batch that is not full.
        decode: Function from the first part of an example, such as a file's bytes or its name, to
            the image. It is called after the shuffle buffer, which then holds the examples
            undecoded.
        num_bytes: Size of what `decode` takes; None lets the buffer hold all examples.

    Returns:
        Batches of uint8 `(batch, height, width, channels)` and int64 `(batch,)`.

    Raises:
        ValueError: If the images differ in size and `image_size` is None, or there are fewer than a
            batch and no other batch is kept.
    """
    import tensorflow as tf

    check_some_batch(num_examples, batch_size, drop_remainder)

    def finish(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = image if decode is None else decode(image)
        return image if image_size is None else center_resize(image, image_size), tf.cast(
            label, "int64"
        )

    finished = examples.map(finish, num_parallel_calls=tf.data.AUTOTUNE)
    shape = finished.element_spec[0].shape
    if not shape.is_fully_defined():
        raise ValueError(
            "`image_size` should be given for images of different sizes. Received: "
            f"image_size=None, images of shape {shape}"
        )
    if shuffle:
        num_bytes = num_bytes or (1 if decode else shape.num_elements())
        buffer_size = min(num_examples, max(batch_size, SHUFFLE_BYTES // num_bytes))
        if decode is None:
            finished = finished.shuffle(buffer_size, seed=seed, reshuffle_each_iteration=True)
        else:
            shuffled = examples.shuffle(buffer_size, seed=seed, reshuffle_each_iteration=True)
            finished = shuffled.map(finish, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = finished.batch(
        batch_size, drop_remainder=drop_remainder, num_parallel_calls=tf.data.AUTOTUNE
    )
    dataset = dataset.prefetch(tf.data.AUTOTUNE)
    dataset.class_names = list(class_names)
    return dataset


def center_resize(image: tf.Tensor, image_size: tuple[int, int]) -> tf.Tensor:
    """Cuts the largest centred rectangle of the target's aspect and resizes it, antialiased; uint8
    in and out.
    """
    import tensorflow as tf

    if tuple(image.shape[:2]) == tuple(image_size):
        return image
    begin, size = center_window(tf.shape(image)[:2], image_size, tf)
    window = tf.slice(image, tf.pad(begin, [[0, 1]]), tf.pad(size, [[0, 1]], constant_values=-1))
    window = tf.image.resize(window, image_size, antialias=True)
    return as_pixels(window, (*image_size, image.shape[-1]))


def center_window(whole: Any, image_size: tuple[int, int], numpy: Any) -> tuple[Any, Any]:
    """Returns the largest centered window of an image that has the aspect of a target.

    Args:
        whole: `(height, width)` of the image, or `(n, 2)` of several; whole numbers.
        image_size: `(height, width)` of the target.
        numpy: What computes: `numpy` or `tensorflow`.

    Returns:
        `(begin, size)`: `(top, left)` and `(height, width)` of the window, of the shape of `whole`.
    """
    same_aspect = whole[..., ::-1] * image_size // image_size[::-1]
    size = numpy.minimum(whole, numpy.maximum(same_aspect, 1))
    return (whole - size) // 2, size


def as_pixels(image: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """Rounds floats to uint8 pixels of a static shape."""
    import tensorflow as tf

    return tf.ensure_shape(tf.cast(tf.clip_by_value(tf.round(image), 0, 255), "uint8"), shape)

"""From the bytes of an image file to pixels, without decoding what is not needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras_supcon.arguments import check_image_size, check_range, check_whole_number
from keras_supcon.extras import require_extra

if TYPE_CHECKING:
    import tensorflow as tf

_CROP_ATTEMPTS = 100


def decode(encoded: tf.Tensor, channels: int) -> tf.Tensor:
    """Decodes JPEG, PNG, BMP and GIF (its first frame), by their first bytes, whatever the name of the file.

    Args:
        encoded: Scalar string, the contents of a file.
        channels: 3 for colour, 1 for grey.

    Returns:
        uint8 `(height, width, channels)`; an alpha channel is left out.
    """
    import tensorflow as tf

    # The decoders of BMP and GIF cannot change the number of channels.
    image = tf.io.decode_image(encoded, expand_animations=False)
    is_grey = tf.shape(image)[-1] < 3  # one channel, or one and alpha
    if channels == 1:
        image = tf.cond(is_grey, lambda: image[..., :1], lambda: tf.image.rgb_to_grayscale(image[..., :3]))
    else:
        image = tf.cond(is_grey, lambda: tf.repeat(image[..., :1], 3, axis=-1), lambda: image[..., :3])
    return tf.ensure_shape(image, (None, None, channels))


def decode_and_crop(
    encoded: tf.Tensor,
    seed: tf.Tensor,
    image_size: tuple[int, int],
    crop_area: tuple[float, float] = (0.08, 1.0),
    aspect_ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> tf.Tensor:
    """Random-resized crop of an encoded image; of a JPEG only the window is decoded.

    If no window of the asked area and aspect is found in 100 attempts, it is the whole image.

    Args:
        encoded: Scalar string: JPEG, PNG, BMP or GIF, grey, colour or CMYK.
        seed: Pair of integers `(2,)` that fixes the window.
        image_size: `(height, width)` of the output, to which the window is resized with antialiasing.
        crop_area: Lowest and highest share of the image's area.
        aspect_ratio: Lowest and highest width / height of the window.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        ValueError: If an argument is out of its range.
        ImportError: If TensorFlow is missing (`pip install keras-supcon[tensorflow]`).

    Example:

    >>> import tensorflow as tf
    >>> from keras_supcon import data
    >>> encoded = tf.io.encode_jpeg(tf.zeros((300, 400, 3), "uint8"))
    >>> data.decode_and_crop(encoded, seed=(1, 2), image_size=(32, 32)).shape
    TensorShape([32, 32, 3])
    """
    require_extra("tensorflow", "tensorflow", by="`decode_and_crop`")
    import tensorflow as tf

    image_size = check_image_size("image_size", image_size)
    crop_area, aspect_ratio = check_range("crop_area", crop_area, 0, 1), check_range("aspect_ratio", aspect_ratio, 0)

    def crop(shape: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
            shape,
            tf.zeros((1, 0, 4)),
            seed=seed,
            min_object_covered=0.0,  # the object would be the whole image
            aspect_ratio_range=aspect_ratio,
            area_range=crop_area,
            max_attempts=_CROP_ATTEMPTS,
            use_image_if_no_bounding_boxes=True,
        )
        return begin[:2], size[:2]

    window, _ = _decode_window(encoded, crop)
    window = tf.image.resize(window, image_size, antialias=True)
    return _as_pixels(window, image_size)


def decode_and_centre(encoded: tf.Tensor, image_size: tuple[int, int], crop_padding: int = 32) -> tf.Tensor:
    """Centre of an encoded image for evaluation; of a JPEG only the window is decoded.

    The image is scaled until it covers `image_size` plus `crop_padding`, and the centre of `image_size` is cut out (for
    ImageNet: the short side to 256, the centre 224), in one resampling with antialiasing, as in
    `keras_supcon.augmentation.CenterCropResize`.

    Args:
        encoded: Scalar string: JPEG, PNG, BMP or GIF, grey, colour or CMYK.
        image_size: `(height, width)` of the output.
        crop_padding: A whole number of at least 0, in pixels of the output.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        ValueError: If an argument is out of its range.
        ImportError: If TensorFlow is missing (`pip install keras-supcon[tensorflow]`).

    Example:

    >>> import tensorflow as tf
    >>> from keras_supcon import data
    >>> encoded = tf.io.encode_png(tf.fill((300, 400, 1), tf.constant(7, "uint8")))
    >>> data.decode_and_centre(encoded, image_size=(224, 224))[0, 0].numpy()
    array([7, 7, 7], dtype=uint8)
    """
    require_extra("tensorflow", "tensorflow", by="`decode_and_centre`")
    import tensorflow as tf

    image_size, crop_padding = check_image_size("image_size", image_size), check_whole_number("crop_padding", crop_padding, 0)
    size = tf.constant(image_size, "float32")

    def rectangle(shape: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shape = tf.cast(shape[:2], "float32")
        step = tf.reduce_min(shape / (size + float(crop_padding)))  # input pixels for one output pixel
        return (shape - step * size) / 2, step

    def surround(shape: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The whole pixels that the resampling reads: the rectangle and half a filter around it."""
        start, step = rectangle(shape)
        margin = tf.maximum(step, 1.0)
        begin = tf.maximum(tf.floor(start - margin), 0.0)
        end = tf.minimum(tf.math.ceil(start + step * size + margin), tf.cast(shape[:2], "float32"))
        return tf.cast(begin, "int32"), tf.cast(end - begin, "int32")

    window, shape = _decode_window(encoded, surround)
    start, step = rectangle(shape)
    start -= tf.cast(surround(shape)[0], "float32")
    window = tf.raw_ops.ScaleAndTranslate(
        images=window[None],
        size=image_size,
        scale=tf.stack([1 / step, 1 / step]),
        translation=-start / step,
        kernel_type="triangle",
        antialias=True,
    )[0]
    return _as_pixels(window, image_size)


def _decode_window(encoded: tf.Tensor, choose: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes the window `(begin, size)` that `choose` takes of an image of a shape; returns it and that shape."""
    import tensorflow as tf

    encoded = tf.convert_to_tensor(encoded)

    def of_jpeg() -> tuple[tf.Tensor, tf.Tensor]:
        shape = tf.image.extract_jpeg_shape(encoded)
        return tf.image.decode_and_crop_jpeg(encoded, tf.concat(choose(shape), axis=0), channels=3), shape

    def of_other() -> tuple[tf.Tensor, tf.Tensor]:
        image = decode(encoded, channels=3)
        begin, size = choose(tf.shape(image))
        return tf.slice(image, tf.pad(begin, [[0, 1]]), tf.concat([size, [3]], axis=0)), tf.shape(image)

    window, shape = tf.cond(tf.io.is_jpeg(encoded), of_jpeg, of_other)
    return tf.ensure_shape(window, (None, None, 3)), shape


def _as_pixels(image: tf.Tensor, image_size: tuple[int, int]) -> tf.Tensor:
    import tensorflow as tf

    return tf.ensure_shape(tf.cast(tf.clip_by_value(tf.round(image), 0, 255), "uint8"), (*image_size, image.shape[-1]))

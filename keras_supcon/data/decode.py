"""From the bytes of an image file to pixels, without decoding what is not needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras_supcon.arguments import check_image_size, check_range, check_whole_number, is_whole
from keras_supcon.data.image_files import decode_with_pillow
from keras_supcon.data.orientation import (
    read_orientation,
    split_once,
    stored_begin,
    turn_upright,
    upright_size,
)
from keras_supcon.data.pipeline import as_pixels
from keras_supcon.extras import require_extra

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

_CROP_ATTEMPTS = 100
_PNG_DEPTH_AT = 24
_PNG = b"\x89PNG\r\n\x1a\n"


def decode(encoded: tf.Tensor, background: tuple[int, int, int]) -> tf.Tensor:
    """Decodes an image file of any kind, by its first bytes, whatever its name.

    JPEG and PNG are decoded by TensorFlow, other kinds (BMP, GIF, WebP, TIFF, AVIF, PPM) by Pillow,
    the first frame of several.

    Args:
        encoded: Scalar string, the contents of a file.
        background: Color of transparent pixels, from 0 to 255.

    Returns:
        uint8 `(height, width, 3)`, upright as EXIF says, gray images in color.
    """
    import tensorflow as tf

    def of_jpeg() -> tf.Tensor:
        return turn_upright(tf.io.decode_jpeg(encoded, channels=3), read_orientation(encoded))

    image = tf.cond(tf.io.is_jpeg(encoded), of_jpeg, lambda: decode_other(encoded, background))
    return tf.ensure_shape(image, (None, None, 3))


def decode_other(encoded: tf.Tensor, background: tuple[int, int, int]) -> tf.Tensor:
    """Decodes as `decode` does what is not a JPEG file."""
    import tensorflow as tf

    def of_png() -> tf.Tensor:
        image = tf.io.decode_png(encoded, channels=4)
        opacity = image[..., 3:]
        return tf.cond(
            tf.reduce_all(tf.equal(opacity, 255)),
            lambda: image[..., :3],
            lambda: on_background(image, opacity),
        )

    def on_background(image: tf.Tensor, opacity: tf.Tensor) -> tf.Tensor:
        opacity = tf.cast(opacity, "float32") / 255
        blended = opacity * tf.cast(image[..., :3], "float32") + (1 - opacity) * tf.constant(
            background, "float32"
        )
        return tf.cast(tf.round(blended), "uint8")

    def with_pillow(contents: Any) -> np.ndarray:
        # Outside of a graph it is an array. NumPy's own strings would lose zeros at the end.
        return decode_with_pillow(
            contents if isinstance(contents, bytes) else contents.item(), background
        )

    def of_another() -> tf.Tensor:
        return tf.numpy_function(with_pillow, [encoded], "uint8", stateful=False)

    head = tf.strings.substr(encoded, 0, _PNG_DEPTH_AT + 1)
    is_png = tf.equal(tf.strings.substr(head, 0, len(_PNG)), _PNG)
    is_turned = (
        tf.size(split_once(encoded, b"eXIf")) > 1
    )  # by a chunk of which TensorFlow knows nothing
    depth = tf.strings.substr(
        tf.strings.join([head, b"\0" * _PNG_DEPTH_AT, b"\0"]), _PNG_DEPTH_AT, 1
    )
    is_plain = (
        is_png & tf.reduce_any(tf.equal(depth, [b"\x08", b"\x10"])) & ~is_turned
    )  # fewer bits TensorFlow leaves as they are
    return tf.ensure_shape(tf.cond(is_plain, of_png, of_another), (None, None, 3))


def check_background(value: Any) -> tuple[int, int, int]:
    """Wants a whole number from 0 to 255 or three of them."""
    colors = tuple(value) if isinstance(value, (tuple, list)) else (value,) * 3
    if len(colors) != 3 or not all(is_whole(color, 0) and color <= 255 for color in colors):
        raise ValueError(
            "`background` should be a whole number from 0 to 255, or three of them. Received: "
            f"background={value!r}"
        )
    return tuple(int(color) for color in colors)


def decode_and_crop(
    encoded: tf.Tensor,
    seed: tf.Tensor,
    image_size: tuple[int, int],
    crop_area: tuple[float, float] = (0.08, 1.0),
    aspect_ratio: tuple[float, float] = (3 / 4, 4 / 3),
    *,
    background: int | tuple[int, int, int] = 255,
) -> tf.Tensor:
    """Decodes a random crop of an image file and resizes it; of a JPEG only the window is decoded.

    If no window of the asked area and aspect is found in 100 attempts, it is the whole image.

    Args:
        encoded: Scalar string, the contents of a file: JPEG, PNG, GIF (its first frame), BMP, WebP,
            TIFF, AVIF or PPM; gray, color or CMYK. It is turned as its EXIF orientation says.
        seed: Pair of integers `(2,)` that fixes the window.
        image_size: `(height, width)` of the output, to which the window is resized with
            antialiasing.
        crop_area: Lowest and highest share of the image's area.
        aspect_ratio: Lowest and highest width / height of the window.
        background: Color of transparent pixels, from 0 to 255: a number for gray or three for red,
            green and blue.

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
    require_extra("tensorflow", "tensorflow", "PIL", by="`decode_and_crop`")
    import tensorflow as tf

    image_size = check_image_size("image_size", image_size)
    crop_area, aspect_ratio = (
        check_range("crop_area", crop_area, 0, 1),
        check_range("aspect_ratio", aspect_ratio, 0),
    )
    background = check_background(background)

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

    window, _ = _decode_window(encoded, crop, background)
    window = tf.image.resize(window, image_size, antialias=True)
    return as_pixels(window, (*image_size, 3))


def decode_and_center(
    encoded: tf.Tensor,
    image_size: tuple[int, int],
    crop_padding: int = 32,
    *,
    background: int | tuple[int, int, int] = 255,
) -> tf.Tensor:
    """Decodes the center of an image file for evaluation; of a JPEG only the window is decoded.

    The image is scaled until it covers `image_size` plus `crop_padding`, and the center of
    `image_size` is cut out (for ImageNet: the short side to 256, the center 224), in one resampling
    with antialiasing, as in `keras_supcon.augmentation.CenterCropResize`.

    Args:
        encoded: Scalar string, the contents of a file: JPEG, PNG, GIF (its first frame), BMP, WebP,
            TIFF, AVIF or PPM; gray, color or CMYK. It is turned as its EXIF orientation says.
        image_size: `(height, width)` of the output.
        crop_padding: A whole number of at least 0, in pixels of the output.
        background: Color of transparent pixels, from 0 to 255: a number for gray or three for red,
            green and blue.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        ValueError: If an argument is out of its range.
        ImportError: If TensorFlow is missing (`pip install keras-supcon[tensorflow]`).

    Example:

    >>> import tensorflow as tf
    >>> from keras_supcon import data
    >>> encoded = tf.io.encode_png(tf.fill((300, 400, 1), tf.constant(7, "uint8")))
    >>> data.decode_and_center(encoded, image_size=(224, 224))[0, 0].numpy()
    array([7, 7, 7], dtype=uint8)
    """
    require_extra("tensorflow", "tensorflow", "PIL", by="`decode_and_center`")
    import tensorflow as tf

    image_size, crop_padding = (
        check_image_size("image_size", image_size),
        check_whole_number("crop_padding", crop_padding, 0),
    )
    background = check_background(background)
    size = tf.constant(image_size, "float32")

    def rectangle(shape: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shape = tf.cast(shape[:2], "float32")
        step = tf.reduce_min(
            shape / (size + float(crop_padding))
        )  # input pixels for one output pixel
        return (shape - step * size) / 2, step

    def surround(shape: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The whole pixels that the resampling reads: the rectangle and half a filter around it."""
        start, step = rectangle(shape)
        margin = tf.maximum(step, 1.0)
        begin = tf.maximum(tf.floor(start - margin), 0.0)
        end = tf.minimum(tf.math.ceil(start + step * size + margin), tf.cast(shape[:2], "float32"))
        return tf.cast(begin, "int32"), tf.cast(end - begin, "int32")

    window, shape = _decode_window(encoded, surround, background)
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
    return as_pixels(window, (*image_size, 3))


def _decode_window(
    encoded: tf.Tensor, choose: Any, background: tuple[int, int, int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes the window `(begin, size)` that `choose` takes of an image of a shape; returns it and
    that shape.
    """
    import tensorflow as tf

    encoded = tf.convert_to_tensor(encoded)

    def of_jpeg() -> tuple[tf.Tensor, tf.Tensor]:
        orientation = read_orientation(encoded)
        whole = upright_size(tf.image.extract_jpeg_shape(encoded)[:2], orientation)
        begin, size = choose(tf.concat([whole, [3]], axis=0))
        begin, size = stored_begin(begin, size, whole, orientation), upright_size(size, orientation)
        window = tf.image.decode_and_crop_jpeg(
            encoded, tf.concat([begin, size], axis=0), channels=3
        )
        return turn_upright(window, orientation), tf.concat([whole, [3]], axis=0)

    def of_other() -> tuple[tf.Tensor, tf.Tensor]:
        image = decode_other(encoded, background)
        begin, size = choose(tf.shape(image))
        return tf.slice(image, tf.pad(begin, [[0, 1]]), tf.concat([size, [3]], axis=0)), tf.shape(
            image
        )

    window, shape = tf.cond(tf.io.is_jpeg(encoded), of_jpeg, of_other)
    return tf.ensure_shape(window, (None, None, 3)), shape

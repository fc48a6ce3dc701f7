"""How each file of a folder is brought to one size, worked out before it is decoded from what its
header says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_supcon.data.decode import decode_other
from keras_supcon.data.image_files import Header
from keras_supcon.data.orientation import (
    FIRST_TRANSPOSED,
    MIRRORED_COLUMNS,
    MIRRORED_ROWS,
    turn_upright,
)
from keras_supcon.data.pipeline import center_resize, center_window

if TYPE_CHECKING:
    import tensorflow as tf

# By which TensorFlow's decoder of JPEG divides height and width. A file's way is its place here.
_RATIOS = (1, 2, 4, 8)
# After them come those for windows between pixels.
_OTHER = 2 * len(_RATIOS)
# TensorFlow's own choice is off by up to four levels, and not faster.
_DCT_METHOD = "INTEGER_ACCURATE"


class ReadingPlan:
    """Decodes the files of a folder to one size: each image's largest centered window of the
    target's aspect, resized.

    Of a JPEG file at least twice as large as the target the decoder makes a half, a quarter or an
    eighth, which takes less time than the whole and averages over the pixels. What is left to do,
    less than a factor of two, is bilinear. All that depends on the header alone is worked out once,
    and only what some file needs is in the graph.

    A window that does not begin and end at whole pixels of the reduced image is cut out between
    them, which takes longer.

    Attributes:
        num_bytes: The length of each file, int32: TensorFlow holds no longer strings.

    Args:
        headers: Of each file.
        image_size: (height, width) of the output.
        channels: 3 for color, 1 for gray.
        background: Color of transparent pixels.
        antialias: Whether JPEG files, too, are decoded whole and resized with antialiasing.
    """

    def __init__(
        self,
        headers: Sequence[Header],
        image_size: tuple[int, int],
        channels: int,
        background: tuple[int, int, int],
        antialias: bool,
    ) -> None:
        import tensorflow as tf

        self.image_size, self.channels, self.background, self.antialias = (
            image_size,
            channels,
            background,
            antialias,
        )
        orientations = np.array([header.orientation for header in headers], "int32")
        is_transposed = orientations[:, None] >= FIRST_TRANSPOSED
        is_mirrored = np.stack(
            [np.isin(orientations, numbers) for numbers in (MIRRORED_ROWS, MIRRORED_COLUMNS)],
            axis=1,
        )

        def swap(pairs: np.ndarray) -> np.ndarray:
            """From the upright image to the file, or back."""
            return np.where(is_transposed, pairs[:, ::-1], pairs)

        stored = np.array([(header.height, header.width) for header in headers], "int64")
        whole = swap(stored)
        begins, sizes = center_window(whole, image_size, np)
        begins, sizes = swap(np.where(is_mirrored, whole - sizes - begins, begins)), swap(sizes)
        targets = swap(np.broadcast_to(image_size, stored.shape))

        # Gray of four colors, or of another number, is not made by TensorFlow's decoder.
        is_jpeg = np.array(
            [header.is_jpeg and (channels == 3 or header.channels != 4) for header in headers]
        )
        factors = (sizes // targets).min(axis=1)
        powers = sum((factors >= ratio).astype("int32") for ratio in _RATIOS[1:]) * (not antialias)
        ratios = np.array(_RATIOS)[powers][:, None]
        reduced = -(-stored // ratios)
        # In pixels of the reduced image.
        exact_begins, exact_sizes = begins / ratios, sizes / ratios
        begins = np.floor(exact_begins).astype("int64")
        ends = np.minimum(np.ceil(exact_begins + exact_sizes).astype("int64"), reduced)
        is_whole = ((exact_begins == begins) & (exact_begins + exact_sizes == ends)).all(axis=1)
        is_reduced_again = (ends - begins >= 2 * targets).any(axis=1) & (
            powers > 0
        )  # then a part of a pixel is little
        is_between = ~is_whole & ~is_reduced_again

        ways = np.where(is_jpeg, powers + np.where(is_between, len(_RATIOS), 0), _OTHER)
        self._ways_taken = np.unique(ways).tolist()
        self._is_reduced_again = bool(np.any(is_jpeg & is_reduced_again))
        self._is_turned = bool(np.any(is_jpeg & (orientations != 1)))
        self._ways, self._orientations = tf.constant(ways, "int32"), tf.constant(orientations)
        self._windows = tf.constant(
            np.concatenate([begins, ends - begins], axis=1), "int32"
        )  # that are decoded
        self._targets = tf.constant(targets, "int32")
        self.num_bytes = tf.constant([header.num_bytes for header in headers], "int32")
        # For `CropAndResize`, which counts from the center of the first pixel to that of the last:
        # the centers of the first and the last pixel of the output.
        steps, spans = exact_sizes / targets, np.maximum(ends - begins - 1, 1)
        corners = exact_begins - begins + np.stack([steps / 2, exact_sizes - steps / 2]) - 0.5
        self._boxes = tf.constant(np.clip(np.concatenate(corners / spans, axis=1), 0, 1), "float32")

    def decode(self, encoded: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
        """Decodes the contents of the file at an index.

        Args:
            encoded: Scalar string, the contents.
            index: Scalar whole number.

        Returns:
            uint8 `(height, width, channels)`.
        """
        import tensorflow as tf

        branches = [self._branch(way, encoded, index) for way in self._ways_taken]
        if len(branches) == 1:
            image = branches[0]()
        else:
            # The number of the branch, of those that some file takes.
            way = tf.gather(
                np.searchsorted(self._ways_taken, range(_OTHER + 1)).astype("int32"),
                tf.gather(self._ways, index),
            )
            image = tf.switch_case(way, branches)
        return tf.ensure_shape(image, (*self.image_size, self.channels))

    def is_same(self, encoded: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
        """Whether contents have the length that the file at an index had."""
        import tensorflow as tf

        return tf.equal(tf.strings.length(encoded), tf.gather(self.num_bytes, index))

    def _branch(self, way: int, encoded: tf.Tensor, index: tf.Tensor) -> Callable[[], tf.Tensor]:
        if way == _OTHER:
            return lambda: self._decode_other(encoded)
        power = way % len(_RATIOS)
        return lambda: self._decode_jpeg(encoded, index, _RATIOS[power], is_between=way != power)

    def _decode_jpeg(
        self, encoded: tf.Tensor, index: tf.Tensor, ratio: int, is_between: bool
    ) -> tf.Tensor:
        import tensorflow as tf

        window = tf.gather(self._windows, index)
        image = tf.io.decode_and_crop_jpeg(
            encoded, window, self.channels, ratio, dct_method=_DCT_METHOD
        )
        target = tf.gather(self._targets, index) if self._is_turned else self.image_size
        if is_between:
            image = tf.image.crop_and_resize(
                image[None], tf.gather(self._boxes, index)[None], [0], target
            )[0]
        elif self._is_reduced_again:
            image = tf.cond(
                tf.reduce_any(window[2:] >= 2 * tf.convert_to_tensor(target)),
                lambda: tf.image.resize(image, target, method="area"),
                lambda: tf.image.resize(image, target),
            )
        elif self.antialias:
            image = tf.image.resize(image, target, antialias=True)
        else:  # as `tf.image.resize` does it, with fewer steps, which count for small images
            image = tf.raw_ops.ResizeBilinear(
                images=image[None], size=target, half_pixel_centers=True
            )[0]
        image = tf.cast(image + 0.5, "uint8")
        return (
            turn_upright(image, tf.gather(self._orientations, index)) if self._is_turned else image
        )

    def _decode_other(self, encoded: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        image = center_resize(decode_other(encoded, self.background), self.image_size)
        if self.channels == 3:
            return image
        # The weights of ITU-R BT.601, as those of JPEG. They add up to one, so gray keeps its
        # values.
        image = tf.tensordot(
            tf.cast(image, "float32"), tf.constant([[0.299], [0.587], [0.114]]), axes=1
        )
        return tf.cast(image + 0.5, "uint8")

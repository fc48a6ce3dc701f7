"""How each file of a folder is brought to one size, worked out before it is decoded from what its header says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_supcon.data.decode import decode_other
from keras_supcon.data.image_files import Header
from keras_supcon.data.orientation import FIRST_TRANSPOSED, MIRRORED_COLUMNS, MIRRORED_ROWS, turn_upright
from keras_supcon.data.pipeline import centre_resize

if TYPE_CHECKING:
    import tensorflow as tf

# By which TensorFlow's decoder of JPEG divides height and width. A file's way is its place here, or that of other files.
_RATIOS = (1, 2, 4, 8)
_OTHER = len(_RATIOS)
# TensorFlow's own choice is off by up to four levels, and not faster.
_DCT_METHOD = "INTEGER_ACCURATE"


class ReadingPlan:
    """Decodes the files of a folder to one size: each image's largest centered window of the target's aspect, resized.

    Of a JPEG file at least twice as large as the target the decoder makes a half, a quarter or an eighth, which takes less time
    than the whole and averages over the pixels. What is left to do, less than a factor of two, is bilinear. All that depends on
    the header alone is worked out once, and only what some file needs is in the graph.

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

        self.image_size, self.channels, self.background, self.antialias = image_size, channels, background, antialias
        orientations = np.array([header.orientation for header in headers], "int32")
        is_transposed = orientations[:, None] >= FIRST_TRANSPOSED
        is_mirrored = np.stack([np.isin(orientations, numbers) for numbers in (MIRRORED_ROWS, MIRRORED_COLUMNS)], axis=1)

        def swap(pairs: np.ndarray) -> np.ndarray:
            """From the upright image to the file, or back."""
            return np.where(is_transposed, pairs[:, ::-1], pairs)

        stored = np.array([(header.height, header.width) for header in headers], "int64")
        whole = swap(stored)
        sizes = np.minimum(whole, np.maximum(whole[:, ::-1] * image_size // np.array(image_size[::-1]), 1))
        begins = (whole - sizes) // 2
        begins, sizes = swap(np.where(is_mirrored, whole - sizes - begins, begins)), swap(sizes)
        targets = swap(np.broadcast_to(image_size, stored.shape))

        # Gray of four colors, or of another number, is not made by TensorFlow's decoder.
        is_jpeg = np.array([header.is_jpeg and (channels == 3 or header.channels != 4) for header in headers])
        factors = (sizes // targets).min(axis=1)
        powers = sum((factors >= ratio).astype("int32") for ratio in _RATIOS[1:]) * (not antialias)
        ratios = np.array(_RATIOS)[powers][:, None]
        # Whole pixels of the reduced image: at the edges at most one pixel of the output is lost.
        sizes = np.maximum(sizes // ratios, 1)
        begins = np.minimum((begins + ratios // 2) // ratios, -(-stored // ratios) - sizes)

        ways = np.where(is_jpeg, powers, _OTHER)
        self._ways_taken = np.unique(ways).tolist()
        self._is_reduced_again = bool(np.any(is_jpeg[:, None] & (sizes >= 2 * targets))) and not antialias
        self._is_turned = bool(np.any(is_jpeg & (orientations != 1)))
        self._ways, self._orientations = tf.constant(ways), tf.constant(orientations)
        self._windows = tf.constant(np.concatenate([begins, sizes], axis=1), "int32")  # in the image as it is decoded
        self._targets = tf.constant(targets, "int32")

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
            way = tf.gather(np.searchsorted(self._ways_taken, range(_OTHER + 1)).astype("int32"), tf.gather(self._ways, index))
            image = tf.switch_case(way, branches)
        return tf.ensure_shape(image, (*self.image_size, self.channels))

    def _branch(self, way: int, encoded: tf.Tensor, index: tf.Tensor) -> Callable[[], tf.Tensor]:
        if way == _OTHER:
            return lambda: self._decode_other(encoded)
        return lambda: self._decode_jpeg(encoded, index, _RATIOS[way])

    def _decode_jpeg(self, encoded: tf.Tensor, index: tf.Tensor, ratio: int) -> tf.Tensor:
        import tensorflow as tf

        window = tf.gather(self._windows, index)
        image = tf.io.decode_and_crop_jpeg(encoded, window, self.channels, ratio, dct_method=_DCT_METHOD)
        target = tf.gather(self._targets, index) if self._is_turned else self.image_size
        if self._is_reduced_again:
            image = tf.cond(
                tf.reduce_any(window[2:] >= 2 * tf.convert_to_tensor(target)),
                lambda: tf.image.resize(image, target, method="area"),
                lambda: tf.image.resize(image, target),
            )
        else:
            image = tf.image.resize(image, target, antialias=self.antialias)
        image = tf.cast(image + 0.5, "uint8")
        return turn_upright(image, tf.gather(self._orientations, index)) if self._is_turned else image

    def _decode_other(self, encoded: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        image = centre_resize(decode_other(encoded, self.background), self.image_size)
        if self.channels == 3:
            return image
        # The weights of ITU-R BT.601, as those of JPEG. They add up to one, so gray keeps its values.
        image = tf.tensordot(tf.cast(image, "float32"), tf.constant([[0.299], [0.587], [0.114]]), axes=1)
        return tf.cast(image + 0.5, "uint8")

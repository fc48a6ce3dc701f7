"""The images of a folder, any of which can be read."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_supcon.data.file_checks import reporter
from keras_supcon.data.reading_plan import ReadingPlan

if TYPE_CHECKING:
    import tensorflow as tf

_AT_ONCE = 16  # files that are read and decoded at the same time


class FolderSamples:
    """Reads images of a folder by their numbers, as `load_folder` reads them in order.

    It can be pickled, as for the processes of a `PyDataset` with `use_multiprocessing`.

    Args:
        paths: The files.
        plan: How they are decoded.
        folder: The folder, for messages.
    """

    def __init__(self, paths: Sequence[str | bytes], plan: ReadingPlan, folder: str) -> None:
        self._given, self._plan, self._folder = paths, plan, folder

    def __reduce__(self) -> tuple[type, tuple[Sequence[str | bytes], ReadingPlan, str]]:
        # A function of TensorFlow belongs to its process.
        return type(self), (self._given, self._plan, self._folder)

    def __len__(self) -> int:
        return len(self._given)

    @functools.cached_property
    def _paths(self) -> tf.Tensor:
        # Made when a file is read, which most data sets of folders are not by number.
        import tensorflow as tf

        with tf.init_scope():  # no tensor of the graph that asks first
            return tf.constant([os.fsencode(path) for path in self._given])

    @functools.cached_property
    def _read(self) -> Callable[[np.ndarray], tuple[tf.Tensor, tf.Tensor]]:
        import tensorflow as tf

        return tf.function(self._decode_all, input_signature=[tf.TensorSpec([None], "int64")])

    def __getitem__(self, number: int) -> np.ndarray:
        """Returns uint8 `(height, width, channels)`."""
        if not -len(self) <= number < len(self):
            raise IndexError(number)
        return self.read(np.array([number % len(self)]))[0]

    def read(self, numbers: np.ndarray) -> np.ndarray:
        """Returns several images, uint8 `(n, height, width, channels)`.

        Raises:
            ValueError: For a file that cannot be read, or has changed.
        """
        import tensorflow as tf

        try:
            with tf.device("CPU"):
                are_same, images = self._read(numbers)
        except tf.errors.OpError:
            are_same, images = [self._can_be_read(number) for number in numbers], None
            if all(are_same):
                raise
        report = reporter(self._folder)
        for number in numbers[~np.asarray(are_same, bool)]:
            report(self._paths[number].numpy(), int(self._plan.num_bytes[number]))
        return images.numpy()

    def _can_be_read(self, number: int) -> bool:
        import tensorflow as tf

        try:
            return bool(self._read(np.array([number]))[0])
        except tf.errors.OpError:
            return False

    def _decode_all(self, numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        import tensorflow as tf

        def read(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            encoded = tf.io.read_file(tf.gather(self._paths, number))
            return self._plan.is_same(encoded, number), self._plan.decode(encoded, number)

        shape = (*self._plan.image_size, self._plan.channels)
        specs = (tf.TensorSpec((), "bool"), tf.TensorSpec(shape, "uint8"))
        return tf.map_fn(read, numbers, fn_output_signature=specs, parallel_iterations=_AT_ONCE)

"""Batches of a data set for all hosts that train together, of which each reads its own shard."""

import dataclasses
import os
from collections.abc import Callable

from keras_supcon import data
from keras_supcon.experiments.workers import Workers
from keras_supcon.typing import Dataset, Tensor

MapImage = Callable[[Tensor, Tensor], Tensor]
"""`map_image` of `keras_supcon.data.load_epochs`: from an image and a seed to an image."""


@dataclasses.dataclass(frozen=True)
class ImageBatches:
    """Reads a data set for all hosts.

    Args:
        dataset: Name for `keras_supcon.data.load_epochs`.
        data_dir: Folder of TFDS data sets.
        seed: Seed of the order and of random crops.
        workers: Processes that train together.
    """

    dataset: str
    data_dir: str | os.PathLike[str] | None
    seed: int
    workers: Workers

    def training(
        self,
        split: str,
        batch_size: int,
        epochs: int,
        start: tuple[int, int],
        map_image: MapImage | None,
        one_hot: bool,
    ) -> Dataset:
        """Returns batches of `(images, labels)` from a position on, for `fit`; images in color.

        Args:
            split: Split, as TFDS names it.
            batch_size: Images over all hosts.
            epochs: Epochs in all.
            start: Position of the first batch.
            map_image: `map_image` of `load_epochs`.
            one_hot: Whether labels are one-hot rows instead of class ids.
        """
        import tensorflow as tf

        def of_host(index: int, count: int) -> Dataset:
            batches = self.read(
                split, batch_size // count, map_image, epochs, start, shard=(index, count)
            )
            num_classes = len(batches.class_names)
            batches = in_color(batches)
            if one_hot:
                batches = batches.map(
                    lambda images, labels: (images, tf.one_hot(labels, num_classes))
                )
            return batches

        return self._distribute(of_host, batch_size)

    def evaluation(
        self, split: str, batch_size: int, steps: int, map_image: Callable[[Tensor], Tensor]
    ) -> Dataset:
        """Returns all images of a split with one-hot labels and weight 1, for `evaluate`.

        Blank images with weight 0 fill the last batches.

        Args:
            split: Split, as TFDS names it.
            batch_size: Images over all hosts.
            steps: Batches, enough for all images.
            map_image: Function from the bytes of a file to an image.
        """
        import tensorflow as tf

        files = self.read(split, 1, keep_encoded)
        num_classes = len(files.class_names)

        def decode(encoded: Tensor, label: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            return map_image(encoded), tf.one_hot(label, num_classes), 1.0

        def of_host(index: int, count: int) -> Dataset:
            # All hosts read all files, in the same order, and decode the images of their own shard.
            images = (
                files.unbatch().shard(count, index).map(decode, num_parallel_calls=tf.data.AUTOTUNE)
            )
            blank = tf.data.Dataset.from_tensors(
                tf.nest.map_structure(
                    lambda spec: tf.zeros(spec.shape, spec.dtype), images.element_spec
                )
            )
            size = batch_size // count
            return (
                images.concatenate(blank.repeat())
                .take(steps * size)
                .batch(size, drop_remainder=True)
            )

        return self._distribute(of_host, batch_size)

    def read(
        self,
        split: str,
        batch_size: int,
        map_image: MapImage | None,
        epochs: int = 1,
        start: tuple[int, int] = (0, 0),
        shard: tuple[int, int] = (0, 1),
    ) -> Dataset:
        """Returns `load_epochs` of this data set, which reads nothing before it is iterated."""
        return data.load_epochs(
            self.dataset,
            split,
            batch_size,
            epochs,
            data_dir=self.data_dir,
            seed=self.seed,
            map_image=map_image,
            start=start,
            shard=shard,
        )

    def _distribute(self, of_host: Callable[[int, int], Dataset], batch_size: int) -> Dataset:
        """Returns the batches of all hosts, from a function of a host's index and their count.

        Given a single data set, `tf.distribute` would take it for that of the whole batch, and have
        every host read all of it.
        """
        import tensorflow as tf

        strategy = self.workers.strategy
        if not isinstance(strategy, tf.distribute.Strategy):
            own = of_host(self.workers.index, self.workers.count)
            return own.prefetch(tf.data.AUTOTUNE)

        def of_replicas(context: tf.distribute.InputContext) -> Dataset:
            batches = of_host(context.input_pipeline_id, context.num_input_pipelines)
            if context.num_replicas_in_sync > context.num_input_pipelines:
                batches = batches.rebatch(
                    batch_size // context.num_replicas_in_sync, drop_remainder=True
                )
            return batches.prefetch(tf.data.AUTOTUNE)

        return strategy.distribute_datasets_from_function(of_replicas)


def in_color(batches: Dataset) -> Dataset:
    """Repeats gray images in three channels: the networks of the recipes are for color."""
    import tensorflow as tf

    if batches.element_spec[0].shape[-1] != 1:
        return batches
    return batches.map(lambda images, labels: (tf.image.grayscale_to_rgb(images), labels))


def keep_encoded(image: Tensor, seed: Tensor) -> Tensor:
    """Returns the image as it is stored; a `map_image` of `load_epochs` that decodes nothing."""
    return image


def to_color(image: Tensor, seed: Tensor) -> Tensor:
    """Repeats a gray image in three channels; a `map_image` of `load_epochs` for the digits."""
    import tensorflow as tf

    return tf.image.grayscale_to_rgb(image)


def to_encoded(image: Tensor) -> Tensor:
    """Returns an image as the bytes of a file; the digits are stored as pixels."""
    import tensorflow as tf

    return image if image.dtype == tf.string else tf.io.encode_png(image)

"""Batches of a data set for all hosts that train together: each reads its own part."""

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

import keras_supcon


@dataclasses.dataclass
class ImageBatches:
    """A data set, and who reads it.

    Args:
        dataset: Name for `keras_supcon.data.load_epochs`.
        data_dir: Folder of TFDS data sets.
        seed: Fixes the order and what is drawn.
        strategy: What `keras_supcon.distribution.strategy` gave.
        worker: Number of this process.
        workers: How many there are.
    """

    dataset: str
    data_dir: str | None
    seed: int
    strategy: Any
    worker: int
    workers: int

    @property
    def hosts(self) -> int:
        """Of a TPU pod one process directs the pipelines of all hosts."""
        return getattr(getattr(self.strategy, "extended", None), "num_hosts", self.workers)

    def training(
        self,
        split: str,
        batch_size: int,
        epochs: int,
        start: Any,
        map_image: Callable[[Any, Any], Any] | None,
        one_hot: bool,
    ) -> Any:
        """Batches of `(images, labels)` from a position on, for `fit`.

        Args:
            split: As TFDS names it.
            batch_size: Images over all hosts.
            epochs: Epochs in all.
            start: The position.
            map_image: As that of `load_epochs`.
            one_hot: Whether labels are rows of zeros and a one, or class ids.
        """

        def of_host(index: int, count: int) -> tf.data.Dataset:
            batches = self.read(
                split,
                batch_size // count,
                map_image,
                epochs=epochs,
                start=start,
                shard=(index, count),
            )
            num_classes = len(batches.class_names)
            return (
                batches.map(lambda images, labels: (images, tf.one_hot(labels, num_classes)))
                if one_hot
                else batches
            )

        return self._distribute(of_host, batch_size)

    def evaluation(
        self, split: str, batch_size: int, steps: int, map_image: Callable[[Any], Any]
    ) -> Any:
        """All images of a split with one-hot labels and weight 1, and images with weight 0 that
        fill up the last batches.

        Args:
            split: As TFDS names it.
            batch_size: Images over all hosts.
            steps: Batches, enough for all images.
            map_image: From the bytes of a file to an image.
        """
        files = self.read(split, 1, as_stored)
        num_classes = len(files.class_names)

        def decode(encoded: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            return map_image(encoded), tf.one_hot(label, num_classes), 1.0

        def of_host(index: int, count: int) -> tf.data.Dataset:
            # All hosts read all files, in the same order, and decode the images of their share
            # alone.
            images = (
                files.unbatch().shard(count, index).map(decode, num_parallel_calls=tf.data.AUTOTUNE)
            )
            blank = tf.data.Dataset.from_tensors(
                tf.nest.map_structure(
                    lambda spec: tf.zeros(spec.shape, spec.dtype), images.element_spec
                )
            )
            share = batch_size // count
            return (
                images.concatenate(blank.repeat())
                .take(steps * share)
                .batch(share, drop_remainder=True)
            )

        return self._distribute(of_host, batch_size)

    def read(
        self, split: str, batch_size: int, map_image: Any, epochs: int = 1, **options: Any
    ) -> tf.data.Dataset:
        """`load_epochs` of this data set; nothing is read before the batches are iterated."""
        return keras_supcon.data.load_epochs(
            self.dataset,
            split,
            batch_size,
            epochs,
            data_dir=self.data_dir,
            seed=self.seed,
            map_image=map_image,
            **options,
        )

    def _distribute(self, of_host: Callable[[int, int], tf.data.Dataset], batch_size: int) -> Any:
        """What `fit` and `evaluate` take, from a function of a host's index and their count to that
        host's batches.

        Given a data set, `tf.distribute` would take it for that of the whole batch, and have every
        host read all of it.
        """
        if not isinstance(self.strategy, tf.distribute.Strategy):
            return of_host(self.worker, self.workers).prefetch(tf.data.AUTOTUNE)

        def of_replicas(context: tf.distribute.InputContext) -> tf.data.Dataset:
            batches = of_host(context.input_pipeline_id, context.num_input_pipelines)
            if context.num_replicas_in_sync > context.num_input_pipelines:
                batches = batches.rebatch(
                    batch_size // context.num_replicas_in_sync, drop_remainder=True
                )
            return batches.prefetch(tf.data.AUTOTUNE)

        return self.strategy.distribute_datasets_from_function(of_replicas)


def as_stored(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """A `map_image` of `load_epochs` that decodes nothing."""
    return image


def in_color(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """A `map_image` of `load_epochs` for the digits, which are gray."""
    return tf.image.grayscale_to_rgb(image)


def as_file(image: tf.Tensor) -> tf.Tensor:
    """An encoded image; the digits do not come as files."""
    return image if image.dtype == tf.string else tf.io.encode_png(image)

"""Batches of a `PyDataset` from a position in the training to its end."""

from __future__ import annotations

import collections
import concurrent.futures
import itertools
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

from keras_supcon.typing import Dataset


class EpochReader:
    """Reads the batches of a `PyDataset` in order, epoch by epoch, ahead by its workers.

    Keras 3.15 does not go on after an epoch that was cut short, and gives the first batch last on
    JAX and PyTorch where there are several workers.

    `on_epoch_begin` of the data set is called before the first batch of an epoch is read, and
    `on_epoch_end` once all of them have been handed out. No batch of the next epoch is read before
    that.

    Args:
        batches: The data set. One of `steps_per_epoch` batches is a single epoch: every epoch reads
            all, and the first one those from `position` on. Otherwise its batches follow one
            another from the position to the end of the last epoch, or it has no end.
        position: Epoch, and batch within it, of the first batch.
        epochs: Total number of epochs, more than those that are done.
        steps_per_epoch: Batches in a whole epoch.

    Raises:
        ValueError: If the data set has another number of batches.
    """

    def __init__(
        self,
        batches: keras.utils.PyDataset,
        position: tuple[int, int],
        epochs: int,
        steps_per_epoch: int,
    ) -> None:
        epoch, batch = position
        number, rest = batches.num_batches, (epochs - epoch) * steps_per_epoch - batch
        self._is_one_epoch = number == steps_per_epoch
        if number is not None and number < rest and not self._is_one_epoch:
            raise ValueError(
                f"`dataset` should give the {steps_per_epoch} batches of one epoch, or all {rest} "
                f"from batch {batch} of epoch {epoch} to the end of epochs={epochs}. Received: a "
                f"PyDataset of {number} batches"
            )
        self._batches, self._first, self._steps = batches, batch, steps_per_epoch
        self._num_epochs = epochs - epoch
        self._left = 0  # batches of the present epoch that were not handed out
        self._is_within_epoch = False
        self._mutex = threading.Lock()  # TensorFlow reads in a thread of its own

    def read(self) -> Iterator[Any]:
        """Yields each batch as a tuple, which is what Keras expects of a generator."""
        with concurrent.futures.ThreadPoolExecutor(max(self._batches.workers, 1)) as pool:
            done = 0
            for epoch in range(self._num_epochs):
                first = 0 if epoch else self._first
                self._left = self._steps - first
                begin = first if self._is_one_epoch else done
                numbers = range(begin, begin + self._left)
                done += self._left
                self._is_within_epoch = True
                self._batches.on_epoch_begin()
                for batch in self._read_ahead(pool, numbers):
                    self._left -= 1
                    yield _as_tuple(batch)
                self.end_epoch()

    def end_epoch(self) -> None:
        """Ends the present epoch if all its batches have been handed out, and it has not ended.

        For the last epoch that is trained, after which nothing asks for a batch.
        """
        with self._mutex:
            if self._left or not self._is_within_epoch:
                return
            self._is_within_epoch = False
        self._batches.on_epoch_end()

    def _read_ahead(
        self, pool: concurrent.futures.Executor, numbers: Iterable[int]
    ) -> Iterator[Any]:
        numbers, workers = iter(numbers), max(self._batches.workers, 1)
        ahead = collections.deque(
            pool.submit(self._batches.__getitem__, number)
            for number in itertools.islice(numbers, workers)
        )
        while ahead:
            next_numbers = itertools.islice(numbers, 1)
            ahead.extend(pool.submit(self._batches.__getitem__, number) for number in next_numbers)
            yield ahead.popleft().result()


class ReplayedStart:
    """Batches of an iterator as a `tf.data.Dataset` that begins anew until training has begun.

    Keras 3.15 begins to read twice where a model is in the scope of a strategy: once to look at a
    batch. What `tf.data` had read ahead by then would be lost.

    Args:
        batches: Iterator of tuples, with a batch at least.
    """

    def __init__(self, batches: Iterator[Any]) -> None:
        self._batches = batches
        self._kept = list(itertools.islice(batches, 2))
        self._is_kept = True
        self._newest = 0
        self._mutex = threading.Lock()

    def dataset(self) -> Dataset:
        """Returns the batches as a `tf.data.Dataset`. The newest iteration alone goes on."""
        import tensorflow as tf

        def spec(*batches: Any) -> tf.TensorSpec:
            shapes = [np.shape(one) for one in batches]
            sizes = zip(*shapes, strict=True)
            shape = [size[0] if len(set(size)) == 1 else None for size in sizes]
            return tf.TensorSpec([None, *shape[1:]], np.asarray(batches[0]).dtype)

        signature = keras.tree.map_structure(spec, *self._kept)
        return tf.data.Dataset.from_generator(self._read, output_signature=signature)

    def training_has_begun(self) -> None:
        """Ends the keeping of batches, since none will be read again."""
        self._is_kept = False

    def _read(self) -> Iterator[Any]:
        with self._mutex:
            self._newest += 1
            own = self._newest
        for place in itertools.count():
            with self._mutex:
                if own != self._newest:
                    return
                if place < len(self._kept):
                    batch = self._kept[place]
                else:
                    batch = next(self._batches, None)
                    self._kept = [*self._kept, batch] if self._is_kept else []
            if batch is None:
                return
            yield batch


def _as_tuple(batch: Any) -> tuple[Any, ...]:
    """Returns a batch in the form of those of a generator, with the meaning of a `PyDataset`."""
    return tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)

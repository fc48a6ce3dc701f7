"""Batches that hold positives for every sample, on any backend."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np

from keras_supcon.arguments import check_shard, check_start, check_whole_number, is_pair
from keras_supcon.data.balanced_order import balanced_order
from keras_supcon.data.class_ids import check_class_ids
from keras_supcon.data.folder_samples import FolderSamples
from keras_supcon.data.sample_arrays import check_samples
from keras_supcon.data.sample_store import store_samples
from keras_supcon.seeds import check_seed
from keras_supcon.typing import Dataset


class BalancedBatches(keras.utils.PyDataset):
    """Batches of a few samples of each of a few classes, as `balanced_batches` makes them.

    Attributes:
        epoch: Number of the epoch whose batches these are. It can be set, unless the batches are
            those of several epochs; then it is the first one.
        steps_per_epoch: Batches in a whole epoch.

    Args:
        x: Samples: an array `(n, ...)`, a dictionary or list of them, or anything with a length
            that gives the sample of a number.
        labels: Class ids, int64 `(n,)`.
        classes_per_batch: Different classes in a batch.
        samples_per_class: Samples of each of them.
        seed: Seed.
        epoch: Number of the first epoch.
        shard: Index of this worker, and number of workers that share each batch.
        epochs: Total number of epochs, whose batches follow one another; None for those of one
            epoch at a time.
        start: Epoch, and batch within it, to begin with, where there are `epochs`.
        places: The place in `x` of each label, int64 `(n,)`; None for the same order.
        **kwargs: Arguments of `keras.utils.PyDataset`.
    """

    def __init__(
        self,
        x: Any,
        labels: np.ndarray,
        classes_per_batch: int,
        samples_per_class: int,
        seed: int,
        epoch: int = 0,
        shard: tuple[int, int] = (0, 1),
        *,
        epochs: int | None = None,
        start: tuple[int, int] = (0, 0),
        places: np.ndarray | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._x, self._labels, self._places = x, labels, places
        self._shape, self._seed, self._shard = (classes_per_batch, samples_per_class), seed, shard
        self._orders: dict[int, np.ndarray] = {}
        self._epochs, self._done, self._epoch = epochs, 0, 0
        self.steps_per_epoch = max(len(labels) // (classes_per_batch * samples_per_class), 1)
        if epochs is None:
            self.epoch = epoch
        else:
            first, batch = check_start("start", start, self.steps_per_epoch)
            self._done = min(first * self.steps_per_epoch + batch, epochs * self.steps_per_epoch)
            self._epoch = self._done // self.steps_per_epoch

    @property
    def epoch(self) -> int:
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        if self._epochs is not None:
            raise ValueError(
                "`epoch` should be set for batches of one epoch alone; `start` is where those of "
                f"several begin. Received: epoch={epoch!r}, of epochs={self._epochs}"
            )
        self._epoch = check_whole_number("epoch", epoch, at_least=0)

    def __len__(self) -> int:
        steps = self.steps_per_epoch
        return steps if self._epochs is None else self._epochs * steps - self._done

    def __getitem__(self, number: int) -> tuple[Any, np.ndarray]:
        if not -len(self) <= number < len(self):
            raise IndexError(f"There are {len(self)} batches. Received: {number}")
        number %= len(self)
        if self._epochs is None:
            epoch, batch = self._epoch, number
        else:
            epoch, batch = divmod(self._done + number, self.steps_per_epoch)
        rows = self._order(epoch)[batch]
        places = rows if self._places is None else self._places[rows]
        return self._samples(places), self._labels[rows]

    def _order(self, epoch: int) -> np.ndarray:
        """Returns the rows of each batch of an epoch, of this worker; the last two are kept."""
        orders = self._orders  # which another thread of Keras may replace
        if epoch in orders:
            return orders[epoch]
        index, count = self._shard
        order = balanced_order(self._labels, *self._shape, self._seed, epoch)[:, index::count]
        self._orders = {**dict(list(orders.items())[-1:]), epoch: order}
        return order

    def _samples(self, rows: np.ndarray) -> Any:
        if isinstance(self._x, np.ndarray) or keras.tree.is_nested(self._x):
            return keras.tree.map_structure(lambda array: np.asarray(array[rows]), self._x)
        if isinstance(self._x, FolderSamples):  # which reads several at once
            return self._x.read(rows)
        return np.stack([np.asarray(self._x[int(row)]) for row in rows])

    def on_epoch_end(self) -> None:
        """Goes on to the next epoch, where the batches are those of one at a time."""
        if self._epochs is None:
            self.epoch += 1


def balanced_batches(
    data: tuple[Any, Any] | Dataset,
    classes_per_batch: int,
    samples_per_class: int,
    seed: int = 0,
    *,
    epoch: int = 0,
    shard: tuple[int, int] = (0, 1),
    epochs: int | None = None,
    start: tuple[int, int] = (0, 0),
    cache: str | os.PathLike[str] | None = None,
    **kwargs: Any,
) -> BalancedBatches:
    """Makes batches of a few samples of each of a few classes, so that every anchor has positives.

    In random batches of many classes most anchors have no other sample of their class, see
    `expected_positives`. Here each has `samples_per_class - 1` in every batch. Within an epoch each
    class is drawn as often as any other, or once more, however rare it is, and each sample of a
    class as often as the others, give or take two. A batch has a sample twice only if its class has
    fewer than `samples_per_class`.

    An epoch has as many batches as samples fill: of rare classes it has samples several times, of
    frequent ones some. Batches depend on the labels, the seed and the epoch alone, so that a run
    that begins again has the batches of one without a stop. They are full, and of one size.

    `fit` shuffles the batches of a `PyDataset` itself unless it is told `shuffle=False`.
    `epochs` and `start` give all batches of a training from any position on, as `load_epochs` does,
    for `keras_supcon.callbacks.Checkpoint`, which tells it so.

    A `tf.data.Dataset` can only be read in order, and balanced batches need any sample at any time.
    So it is read once, to its end, and its samples are kept as they come: decoded, with the
    augmentation that they have then, in memory or in `cache`. Augment afterwards, in the model. The
    order in which it gives them does not matter. The data set of `load_folder` is not read before:
    its files are, by batches, and memory holds one of these.

    Args:
        data: `(x, labels)`, or a data set of such pairs.
            `x` is an array `(n, ...)`; a list or tuple of `n` samples of one shape, such as arrays;
            a dictionary or list of several inputs, each of them such an array or list of all `n`
            samples; or anything with a length that gives the sample of a number. A list with as
            many entries as there are labels is always one of samples. Of file names batches hold
            the names; what reads a file in `__getitem__` gives contents. Labels are class ids
            `(n,)` or `(n, 1)`, of samples that all have one.
            A data set, as `load` and `load_folder` return it, is a `tf.data.Dataset` of single
            samples whose labels are scalars, one of batches with class ids `(batch,)`, or a
            `keras.utils.PyDataset` of batches, of one epoch. Where batches of a static size all
            have a single 1 among zeros for labels, these could be the one-hot rows of single
            samples as well, and are refused: after `unbatch` they are scalars.
        classes_per_batch: Different classes in a batch, at most those that there are.
        samples_per_class: Samples of each of them, at least 2 for positives beside a sample's own
            views. With 1 it has these alone, and with one view no positive.
        seed: Whole number that decides what is drawn.
        epoch: Number of the first epoch, of a run that goes on. Not with `epochs`.
        shard: Index of this worker, and number of workers. Each has its rows of every batch, by
            turns; the number should divide the batch. For workers that read their own data; where
            `tf.distribute` is given the whole batch, it divides it itself.
        epochs: Total number of epochs, those before `start` included, for the batches of all of
            them, one after the other. None has those of one epoch, and goes on to the next at its
            end.
        start: Epoch, and batch within it, to begin with, such as a
            `keras_supcon.callbacks.Position`. With `epochs` alone.
        cache: Path of a `.npy` file for the samples of a data set that memory does not hold. It is
            written once, of the size of the decoded samples, and an existing one is read in place
            of the data: remove it after these have changed. Samples of a batch should be quick to
            find in it, as on an SSD. None keeps them in memory.
        **kwargs: Arguments of `keras.utils.PyDataset`, such as `workers`. With several workers
            Keras 3.15 gives the first batch last on JAX and PyTorch.

    Returns:
        A `keras.utils.PyDataset` of `(x, labels)`, for `fit` on every backend, with the attribute
        `steps_per_epoch`. Keras looks at a batch before training, on some backends at the cost of
        an epoch's number: give `epochs`, or set `epoch` in `on_epoch_begin`, where runs should be
        the same to the last bit.

    Raises:
        ValueError: If an argument is out of its range, there are no samples, data and labels differ
            in length, a sample has no label, a data set has another form, two meanings or no end,
            or `cache` is a file of something else.

    Example:

    >>> import numpy as np
    >>> from keras_supcon import data
    >>> images, labels = data.load_arrays("digits", "train")
    >>> batches = data.balanced_batches((images, labels), classes_per_batch=5, samples_per_class=4)
    >>> x, y = batches[0]
    >>> x.shape, len(np.unique(y)), int(np.bincount(y).max()), len(batches)
    ((20, 8, 8, 1), 5, 4, 72)

    The batches of a training of three epochs, from the middle of the second:

    >>> train = data.load("digits", "train", batch_size=256)
    >>> rest = data.balanced_batches(train, 5, 4, epochs=3, start=(1, 36))
    >>> rest.steps_per_epoch, len(rest)
    (72, 108)
    """
    x, labels, places = _read(data, cache)
    classes = len(np.unique(labels))
    samples_per_class = check_whole_number("samples_per_class", samples_per_class, at_least=1)
    classes_per_batch = check_whole_number("classes_per_batch", classes_per_batch, at_least=1)
    if classes_per_batch > classes:
        raise ValueError(
            f"`classes_per_batch` should be at most the number of classes, {classes}. Received: "
            f"classes_per_batch={classes_per_batch}"
        )
    batch_size = classes_per_batch * samples_per_class
    check_shard("shard", shard)
    if batch_size % shard[1]:
        raise ValueError(
            f"`shard` should have a number of workers that divides the {batch_size} samples of a "
            f"batch. Received: shard={shard!r}"
        )
    if epochs is not None:
        epochs = check_whole_number("epochs", epochs, at_least=1)
        if epoch != 0:
            raise ValueError(
                "`epoch` should be 0 with `epochs`; `start` is where they begin. Received: "
                f"epoch={epoch!r}, epochs={epochs}"
            )
    elif not is_pair(start) or tuple(start) != (0, 0):
        raise ValueError(
            "`start` should be (0, 0) without `epochs`, of which it is a position. Received: "
            f"start={start!r}, epochs=None"
        )
    return BalancedBatches(
        x,
        labels,
        classes_per_batch,
        samples_per_class,
        check_seed(seed),
        epoch,
        shard,
        epochs=epochs,
        start=start,
        places=places,
        **kwargs,
    )


def _read(
    data: Any, cache: str | os.PathLike[str] | None
) -> tuple[Any, np.ndarray, np.ndarray | None]:
    """Returns samples, their class ids, and where in the first each of the second is."""
    is_data_set = hasattr(data, "element_spec") or isinstance(data, keras.utils.PyDataset)
    has_samples = isinstance(getattr(data, "samples", None), FolderSamples)
    if cache is not None and (has_samples or not is_data_set):
        raise ValueError(
            "`cache` should be None for data of which any sample can be read. Received: "
            f"cache={os.fspath(cache)!r}"
        )
    if is_data_set and not has_samples:
        return store_samples(data, cache)
    if has_samples:
        data = (data.samples, data.labels)
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise ValueError(
            "`data` should be (x, labels), samples and their class ids, or a data set of them. "
            f"Received: {type(data)}"
        )
    labels = check_class_ids("labels", data[1])
    return check_samples(data[0], len(labels)), labels, None

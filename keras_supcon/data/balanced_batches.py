"""Batches that hold positives for every sample, on any backend."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_supcon.arguments import check_shard, check_whole_number
from keras_supcon.data.balanced_order import balanced_order
from keras_supcon.data.class_ids import check_class_ids
from keras_supcon.seeds import check_seed


class BalancedBatches(keras.utils.PyDataset):
    """Batches of a few samples of each of a few classes, as `balanced_batches` makes them.

    Attributes:
        epoch: Number of the epoch whose batches these are. It can be set.

    Args:
        x: Samples: an array `(n, ...)`, a dictionary or list of them, or anything with a length
            that gives the sample of a number.
        labels: Class ids, int64 `(n,)`.
        classes_per_batch: Different classes in a batch.
        samples_per_class: Samples of each of them.
        seed: Seed.
        epoch: Number of the first epoch.
        shard: Index of this worker, and number of workers that share each batch.
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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._x, self._labels = x, labels
        self._shape, self._seed, self._shard = (classes_per_batch, samples_per_class), seed, shard
        self.epoch = epoch

    @property
    def epoch(self) -> int:
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._epoch = check_whole_number("epoch", epoch, at_least=0)
        order = balanced_order(self._labels, *self._shape, self._seed, self._epoch)
        index, count = self._shard
        self._order = order[:, index::count]

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, number: int) -> tuple[Any, np.ndarray]:
        rows = self._order[number]
        if isinstance(self._x, np.ndarray) or keras.tree.is_nested(self._x):
            x = keras.tree.map_structure(lambda array: array[rows], self._x)
        else:
            x = np.stack([np.asarray(self._x[int(row)]) for row in rows])
        return x, self._labels[rows]

    def on_epoch_end(self) -> None:
        """Goes on to the next epoch."""
        self.epoch += 1


def balanced_batches(
    data: tuple[Any, Any],
    classes_per_batch: int,
    samples_per_class: int,
    seed: int = 0,
    *,
    epoch: int = 0,
    shard: tuple[int, int] = (0, 1),
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
    that begins again with `epoch` has the batches of one without a stop. They are full, and of one
    size.

    Args:
        data: `(x, labels)`. `x` is an array `(n, ...)`, a dictionary or list of them, or anything
            with a length that gives the sample of a number, such as files that are read by
            `__getitem__`. Labels are class ids `(n,)` or `(n, 1)`.
        classes_per_batch: Different classes in a batch, at most those that there are.
        samples_per_class: Samples of each of them; 1 leaves a sample its own views alone.
        seed: Whole number that decides what is drawn.
        epoch: Number of the first epoch, of a run that goes on.
        shard: Index of this worker, and number of workers. Each has its rows of every batch, by
            turns; the number should divide the batch.
        **kwargs: Arguments of `keras.utils.PyDataset`, such as `workers`.

    Returns:
        A `keras.utils.PyDataset` of `(x, labels)`, for `fit` on every backend. Keras looks at a
        batch before training, on some backends at the cost of an epoch's number: set `epoch` in
        `on_epoch_begin` where runs should be the same to the last bit.

    Raises:
        ValueError: If an argument is out of its range, or data and labels differ in length.

    Example:

    >>> import numpy as np
    >>> from keras_supcon import data
    >>> images, labels = data.load_arrays("digits", "train")
    >>> batches = data.balanced_batches((images, labels), classes_per_batch=5, samples_per_class=4)
    >>> x, y = batches[0]
    >>> x.shape, len(np.unique(y)), int(np.bincount(y).max()), len(batches)
    ((20, 8, 8, 1), 5, 4, 72)
    """
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise ValueError(
            f"`data` should be (x, labels), samples and their class ids. Received: {type(data)}"
        )
    x, labels = data[0], check_class_ids("labels", data[1])
    if keras.tree.is_nested(x):
        x = keras.tree.map_structure(np.asarray, x)
    lengths = {len(part) for part in (keras.tree.flatten(x) if keras.tree.is_nested(x) else [x])}
    if lengths != {len(labels)}:
        raise ValueError(
            f"`data` should have a label for each sample. Received: {sorted(lengths)} samples and "
            f"{len(labels)} labels"
        )
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
    return BalancedBatches(
        x, labels, classes_per_batch, samples_per_class, check_seed(seed), epoch, shard, **kwargs
    )

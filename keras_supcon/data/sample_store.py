"""Samples of a data set that can only be read in order, kept so that any of them can be read."""

from __future__ import annotations

import hashlib
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

import keras
import numpy as np

from keras_supcon.array_checks import as_array
from keras_supcon.data.class_ids import check_class_ids
from keras_supcon.files import whole_file
from keras_supcon.typing import Dataset

_BATCH_SIZE = 256  # of single elements, which are read faster together
_LABEL, _DIGEST = "label", "digest"
_PAIR = "`data` should give (x, label), samples and their class ids"


class StoredSamples(NamedTuple):
    """Samples with a class id each, in an order that follows from their contents alone.

    Args:
        x: Array `(n, ...)`, or a structure of arrays, in memory or in a file.
        labels: Class ids in this order, int64 `(n,)`.
        places: The place in `x` of each sample, int64 `(n,)`.
    """

    x: Any
    labels: np.ndarray
    places: np.ndarray


class _Source(NamedTuple):
    structure: Any  # of the samples
    leaves: list[tuple[Any, tuple[int, ...]]]  # dtype and shape of each part of a sample
    read: Callable[[], Iterator[tuple[Any, Any]]]  # batches of arrays
    number: int | None  # of samples, where known
    num_batches: int | None  # where known
    may_be_one_hot: bool = False  # ids of a batch could be 0s and 1s of a single sample

    @property
    def dtype(self) -> np.dtype:
        """The dtype of a record: a sample, its class id and a digest of both."""
        parts = [(f"x{n}", *leaf) for n, leaf in enumerate(self.leaves)]
        return np.dtype([*parts, (_LABEL, "<i8"), (_DIGEST, "<u8")])

    def records(self) -> Iterator[np.ndarray]:
        """Yields the records of each batch.

        Raises:
            ValueError: If there is none, labels and samples do not belong together, or all labels
                can be read in two ways.
        """
        number, may_be_one_hot = 0, self.may_be_one_hot
        for x, labels in self.read():
            ids = check_class_ids("labels", labels)
            number += len(ids)
            may_be_one_hot = may_be_one_hot and bool((ids >= 0).all()) and int(ids.sum()) == 1
            # `keras.tree.flatten` on PyTorch would hold them until the next garbage collection.
            leaves: list[np.ndarray] = []
            keras.tree.map_structure(leaves.append, x)
            for leaf, (_, shape) in zip(leaves, self.leaves, strict=True):
                if leaf.shape != (len(ids), *shape):
                    raise ValueError(
                        f"`data` should give samples of shape {shape}, one for each label. "
                        f"Received: {leaf.shape} for {len(ids)} labels"
                    )
            records = np.zeros(len(ids), self.dtype)
            for n, leaf in enumerate(leaves):
                records[f"x{n}"] = leaf
            records[_LABEL] = ids
            records[_DIGEST] = [_digest(record) for record in records]
            yield records
        if not number:
            raise ValueError("`data` should hold samples. Received: a data set without any")
        if may_be_one_hot:
            raise _of_two_meanings(f"labels of shape {np.shape(labels)}, a 1 among zeros in each")


def store_samples(data: Dataset, cache: str | os.PathLike[str] | None) -> StoredSamples:
    """Reads a data set once, and keeps its samples.

    Args:
        data: A `tf.data.Dataset` of `(x, label)`, of single samples, whose labels are scalars, or
            of batches, or a `keras.utils.PyDataset` of batches. Numbers, of one shape and dtype.
        cache: Path of a file for the samples, `.npy`; an existing one is read in place of the data
            set. None keeps them in memory: the size of the data set decoded, with 16 bytes a sample
            and a batch beside it. Where the number of batches is not known beforehand, or later
            ones are larger than the first, an eighth more while it is read; with NumPy 2.5, and on
            a system that cannot enlarge memory in place, twice the size for moments.

    Raises:
        ValueError: If the data set has another form, one of two meanings, no samples or no end, or
            the file is of another one.
        OSError: If the file cannot be written.
    """
    of_keras = isinstance(data, keras.utils.PyDataset)
    source = _of_py_dataset(data) if of_keras else _of_tf_data(data)
    if cache is None:
        records = _in_memory(source)
    else:
        records = _cached(source, pathlib.Path(os.path.expanduser(os.fspath(cache))))
    # Whatever the order in which they came; samples that are alike may change places.
    labels = np.asarray(records[_LABEL])
    places = np.lexsort((np.asarray(records[_DIGEST]), labels))
    leaves = [records[f"x{n}"] for n in range(len(source.leaves))]
    x = keras.tree.pack_sequence_as(source.structure, leaves)
    return StoredSamples(x, labels[places].astype("int64"), places)


def _of_tf_data(data: Any) -> _Source:
    import tensorflow as tf

    spec = data.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2 or not isinstance(spec[1], tf.TensorSpec):
        raise ValueError(f"{_PAIR}. Received: data.element_spec={spec}")
    is_batched = spec[1].shape.rank != 0
    leaves = []
    for one in keras.tree.flatten(spec[0]):
        shape = one.shape[1:] if is_batched else one.shape
        dtype = np.dtype(one.dtype.as_numpy_dtype)
        if not shape.is_fully_defined() or dtype.kind not in "biuf":
            raise ValueError(
                "`data` should give numbers of one shape, known beforehand. Received: "
                f"data.element_spec={spec}"
            )
        leaves.append((dtype, tuple(shape)))
    if is_batched:
        _check_batches(spec)
    cardinality = int(data.cardinality())
    if cardinality == tf.data.INFINITE_CARDINALITY:
        raise ValueError(f"`data` should have an end, as before `repeat`. Received: data={data!r}")
    steps = getattr(data, "steps_per_epoch", None)
    if steps is not None and cardinality > steps:
        raise ValueError(
            "`data` should be one epoch, as of `load`; `epochs` names how many there are. "
            f"Received: {cardinality} batches, {steps} in an epoch"
        )
    size = spec[1].shape[0] if is_batched else 1  # a static size is that of every batch
    is_known = size is not None and cardinality != tf.data.UNKNOWN_CARDINALITY
    batches = (data if is_batched else data.batch(_BATCH_SIZE)).prefetch(tf.data.AUTOTUNE)
    number = cardinality * size if is_known else None
    # In a batch of static size a 1 among zeros looks like the labels of one sample.
    may_be_one_hot = spec[1].shape.rank == 1 and size is not None
    num_batches = int(batches.cardinality())
    return _Source(
        spec[0],
        leaves,
        batches.as_numpy_iterator,
        number,
        num_batches if num_batches >= 0 else None,
        may_be_one_hot,
    )


def _check_batches(spec: tuple[Any, Any]) -> None:
    """Checks that elements of a `tf.data.Dataset` are batches of samples and their class ids.

    Raises:
        ValueError: If their shapes show that they are not, or could be single samples as well.
    """
    x, label = spec
    if label.shape.rank is None:
        raise ValueError(
            "`data` should have labels of a known rank: scalars of single samples, or class ids "
            f"(batch,). Received: data.element_spec={spec}"
        )
    if label.shape.rank > 2 or (label.shape.rank == 2 and label.shape[1] not in (1, None)):
        raise ValueError(
            "`data` should have class ids as labels; `data.map(lambda x, y: (x, tf.argmax(y, "
            "axis=-1)))` makes them of one-hot rows. Received: labels of shape "
            f"{tuple(label.shape)}"
        )
    for one in keras.tree.flatten(x):
        sizes = {label.shape[0], *one.shape[:1]} - {None}
        if one.shape.rank == 0 or len(sizes) > 1:
            raise ValueError(
                "`data` should give batches of a class id for each sample, or single samples with "
                "a scalar as label; `data.map(lambda x, y: (x, tf.argmax(y)))` makes scalars of "
                f"one-hot rows. Received: data.element_spec={spec}"
            )
    if label.shape == [1]:
        raise _of_two_meanings("labels of shape (1,)")


def _of_two_meanings(received: str) -> ValueError:
    return ValueError(
        "`data` should give single samples with a scalar as label, or labels that can only be the "
        "class ids of a batch. If these are such, give `data.unbatch()`. If they are the one-hot "
        "rows of single samples, give `data.map(lambda x, y: (x, tf.argmax(y)))`; if rows of one "
        f"id each, `data.map(lambda x, y: (x, y[0]))`. Received: {received}"
    )


def _of_py_dataset(data: keras.utils.PyDataset) -> _Source:
    if not data.num_batches:
        raise ValueError(
            f"`data` should have batches, and an end. Received: {data.num_batches} batches"
        )

    def read(number: int) -> tuple[Any, Any]:
        batch = data[number]
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise ValueError(f"{_PAIR}. Received: batches of {type(batch)}")
        return keras.tree.map_structure(as_array, tuple(batch))

    x, _ = read(0)
    leaves = [(leaf.dtype, leaf.shape[1:]) for leaf in keras.tree.flatten(x)]
    numbers = range(data.num_batches)
    return _Source(x, leaves, lambda: map(read, numbers), None, len(numbers))


def _in_memory(source: _Source) -> np.ndarray:
    """Returns the records in an array, which is filled in place."""
    records, filled = np.empty(source.number or 0, source.dtype), 0
    for batch in source.records():
        end = filled + len(batch)
        if end > len(records):
            # As many as there are where no later batch is larger than the first; memory that
            # nothing was written to costs nothing. Otherwise an eighth more each time.
            of_all = 0 if filled else len(batch) * (source.num_batches or 1)
            records.resize(max(end, of_all, len(records) * 9 // 8), refcheck=False)
        records[filled:end] = batch
        filled = end
    return records[:filled]


def _cached(source: _Source, path: pathlib.Path) -> np.ndarray:
    """Returns the records in a file, which is written first if it is not there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as unfinished, unfinished.open("w+b") as stream:
            number = 0
            _write_header(stream, source.dtype, number)  # NumPy leaves room for the number
            for records in source.records():
                stream.write(records.tobytes())
                number += len(records)
            _write_header(stream, source.dtype, number)
    try:
        records = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, IsADirectoryError) as error:  # of no .npy file, one of objects or a cut one
        raise ValueError(
            "`cache` should be a new file, or one that `balanced_batches` wrote: give "
            f"another path. Received: cache={str(path)!r}, which cannot be read as such "
            f"({error})"
        ) from None
    is_same = records.dtype == source.dtype and source.number in (None, records.size)
    if not is_same or not records.size:
        raise ValueError(
            "`cache` should be a new file, or that of the same data; remove it where these have "
            f"changed. Received: cache={str(path)!r} of {records.size} entries of "
            f"{records.dtype}, for {source.number or 'samples'} of {source.dtype}"
        )
    return records


def _digest(record: np.void) -> int:
    return int.from_bytes(hashlib.blake2b(record.tobytes(), digest_size=8).digest(), "little")


def _write_header(stream: BinaryIO, dtype: np.dtype, number: int) -> None:
    stream.seek(0)
    descr = np.lib.format.dtype_to_descr(dtype)
    header = {"descr": descr, "fortran_order": False, "shape": (number,)}
    np.lib.format.write_array_header_1_0(stream, header)

"""Data sets by name: TensorFlow Datasets, and the digits that need no network."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_supcon.data.digits import CLASS_NAMES, read_digits
from keras_supcon.data.pipeline import batches, check_batching
from keras_supcon.data.prepared import prepared_split
from keras_supcon.extras import require_extra
from keras_supcon.seeds import as_int64, check_seed

if TYPE_CHECKING:
    import tensorflow as tf


def load(
    name: str,
    split: str,
    batch_size: int,
    image_size: tuple[int, int] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    seed: int | None = 0,
    *,
    shuffle: bool | None = None,
    drop_remainder: bool = False,
) -> tf.data.Dataset:
    """Loads a labelled image data set in batches.

    `"digits"`, 1,797 images of 8x8 pixels, is part of this package. Every other name goes to
    TensorFlow Datasets, which prepares the data set in `data_dir` (and downloads it) if it is not
    there yet. An example should have one uint8 image and one class label: those of
    `supervised_keys` where the data set has them, else the only ones among its features, nested
    ones included. Examples without a label have -1, as in the "test" of `"imagenet2012"`.

    Shuffling takes 16 files of a data set at a time in a random order, and passes their records,
    still encoded, through a buffer of 512 MB. What is larger and was written in one file in the
    order of its classes stays roughly in that order.

    Args:
        name: `"digits"`, or a name as TFDS takes it: `"cifar10"`, `"imagenet2012"`,
            `"fashion_mnist:3.0.1"`, `"fashion_mnist:3.*.*"`, `"emnist/letters"`. A prepared data
            set may also have the name of its folder: `"mine"` and `"mine:1.0.0"` are
            `data_dir/mine/1.0.0`, `"mine/small"` is the newest of `data_dir/mine/small`.
        split: `"train"` or `"test"`; for TFDS any of its splits, slices such as `"train[:10%]"`
            included.
        batch_size: Images in a batch, at least 1.
        image_size: `(height, width)` to which images are cropped about the centre and resized; None
            keeps their size.
        data_dir: Directory of TFDS data sets, whose folders are `name/version` or
            `name/config/version`; None is TFDS' own default. Not used by the digits.
        seed: Whole number, of any sign and size, that fixes the order of the examples, together
            with `tf.random.set_seed` where that is set; None for another order each time. It does
            not change which examples there are.
        shuffle: Whether to shuffle, in a new order for every epoch; None shuffles the splits that
            begin with "train".
        drop_remainder: Whether to leave out a last batch that is not full. Use True with several
            replicas.

    Returns:
        A `tf.data.Dataset` of uint8 images `(batch, height, width, channels)` and int64 labels
        `(batch,)`, with the attribute `class_names`.

    Raises:
        ValueError: For a name, split, size, seed or batch size that cannot be, for data sets
            without one image and one class label per example, and for fewer examples than a batch
            with `drop_remainder`.
        RuntimeError: If TFDS cannot prepare the data set, or what is prepared is damaged. Without a
            network this comes within seconds where TFDS knows the addresses of the files.
        ImportError: If TensorFlow, or TFDS where it is wanted, is missing (`pip install
            keras-supcon[tensorflow]`).

    Example:

    >>> import keras_supcon
    >>> train = keras_supcon.data.load("digits", "train", batch_size=128)
    >>> images, labels = next(iter(train))
    >>> images.shape, images.dtype.name, len(train.class_names)
    (TensorShape([128, 8, 8, 1]), 'uint8', 10)
    """
    check_batching(batch_size, image_size)
    check_names(name, split)
    seed = as_int64(check_seed(seed, or_none=True))
    require_packages_of(name, by="`load`")
    if shuffle is None:
        shuffle = split.startswith("train")
    if name == "digits":
        import tensorflow as tf

        images, labels = read_digits(split)
        examples = tf.data.Dataset.from_tensor_slices((images, labels))
        return batches(
            examples,
            len(labels),
            CLASS_NAMES,
            batch_size,
            image_size,
            shuffle,
            seed,
            drop_remainder,
        )
    found = prepared_split(name, split, data_dir)
    return batches(
        found.read(shuffle_files=shuffle, seed=seed),
        found.num_examples,
        found.class_names,
        batch_size,
        image_size,
        shuffle,
        seed,
        drop_remainder,
        decode=found.decode,
        num_bytes=found.bytes_per_example,
    )


def load_arrays(
    name: str, split: str, data_dir: str | os.PathLike[str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Loads a labelled image data set that fits in memory as NumPy arrays, in a fixed order.

    The digits need no TensorFlow, so that they can be read with every backend of Keras.

    Args:
        name: As for `load`; all images should have one size.
        split: As for `load`.
        data_dir: As for `load`.

    Returns:
        `(images, labels)`: uint8 `(n, height, width, channels)` and int64 `(n,)`, -1 where there is
        no label.

    Raises:
        ValueError: For a name or split that cannot be, for data sets without one image and one
            class label per example, and for images of several sizes.
        RuntimeError: If TFDS cannot prepare the data set, or what is prepared is damaged.
        ImportError: If TensorFlow or TFDS is missing and the data set is another than the digits
            (`pip install keras-supcon[tensorflow]`).

    Example:

    >>> import keras_supcon
    >>> images, labels = keras_supcon.data.load_arrays("digits", "test")
    >>> images.shape, images.dtype.name, labels.shape
    ((355, 8, 8, 1), 'uint8', (355,))
    """
    check_names(name, split)
    if name == "digits":
        return read_digits(split)
    require_packages_of(name, by="`load_arrays`")
    import tensorflow as tf

    found = prepared_split(name, split, data_dir)
    examples = found.read().map(
        lambda encoded, label: (found.decode(encoded), label), num_parallel_calls=tf.data.AUTOTUNE
    )
    images, labels = zip(*examples.as_numpy_iterator(), strict=True)
    sizes = sorted({image.shape for image in images})
    if len(sizes) > 1:
        raise ValueError(
            f"The images of {name!r} should have one size; `load(..., image_size=(height, "
            "width))` brings them to one. "
            f"Received: images of {len(sizes)} sizes, such as {sizes[0]} and {sizes[-1]}"
        )
    return np.stack(images), np.asarray(labels, "int64")


def check_names(name: Any, split: Any) -> None:
    """Raises `ValueError` unless both are strings."""
    if not isinstance(name, str) or not isinstance(split, str):
        raise ValueError(
            f"`name` and `split` should be strings. Received: name={name!r}, split={split!r}"
        )


def require_packages_of(name: str, by: str) -> None:
    """Raises `ImportError` if what reads a data set of this name as `tf.data` is not installed."""
    require_extra(
        "tensorflow", "tensorflow", *(() if name == "digits" else ("tensorflow_datasets",)), by=by
    )

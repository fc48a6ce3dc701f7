"""Data sets by name: those of TensorFlow Datasets, and the digits that need no network."""

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
    label: str | None = None,
) -> tf.data.Dataset:
    """Loads a labeled image data set in batches.

    `"digits"`, 1,797 images of 8x8 pixels, is part of this package. Every other name is passed to
    TensorFlow Datasets, which prepares the data set in `data_dir` (and downloads it) if it is not
    there yet. An example should have one uint8 image and one class label: those of
    `supervised_keys` where the data set has them, otherwise the only ones among its features,
    nested ones included. `label` chooses another class label. Examples without a label have -1, as
    in the "test" of `"imagenet2012"`.

    Shuffling takes 16 files of a data set at a time in a random order, and passes their records,
    still encoded, through a buffer of 512 MB. A larger data set that was written to one file in the
    order of its classes stays roughly in that order.

    Args:
        name: `"digits"`, or a name as TFDS takes it: `"cifar10"`, `"imagenet2012"`,
            `"fashion_mnist:3.0.1"`, `"fashion_mnist:3.*.*"`, `"emnist/letters"`. A prepared data
            set may also have the name of its folder: `"mine"` and `"mine:1.0.0"` are
            `data_dir/mine/1.0.0`, `"mine/small"` is the newest version in `data_dir/mine/small`.
        split: `"train"` or `"test"`; for TFDS any of its splits, slices such as `"train[:10%]"`
            included.
        batch_size: Images in a batch, at least 1.
        image_size: `(height, width)` to which images are cropped about the center and resized; None
            keeps their size.
        data_dir: Directory of TFDS data sets, whose folders are `name/version` or
            `name/config/version`; None is the default of TFDS. Not used by the digits.
        seed: Whole number, of any sign and size, that determines the order of the examples,
            together with `tf.random.set_seed` where that is set; None for another order each time.
            It does not affect which examples there are.
        shuffle: Whether to shuffle, in a new order for every epoch; None shuffles the splits that
            begin with "train".
        drop_remainder: Whether to drop a last batch that is not full. Use True with several
            replicas.
        label: Which of several class labels to load, such as `"coarse_label"` of `"cifar100"`, with
            the keys of a nested one as in `"answers/kind"`; None for the one of `supervised_keys`,
            or the only one. None for the digits.

    Returns:
        A `tf.data.Dataset` of uint8 images `(batch, height, width, channels)` and int64 labels
        `(batch,)`, with the attribute `class_names`.

    Raises:
        ValueError: For an invalid name, split, size, seed, batch size or label, for data sets
            without one image and one class label per example, and for fewer examples than a batch
            with `drop_remainder`.
        RuntimeError: If TFDS cannot prepare the data set, or the prepared files are damaged.
            Without a network this takes seconds where TFDS knows the addresses of the files.
        ImportError: If TensorFlow, or TFDS where it is needed, is missing (`pip install
            keras-supcon[tensorflow]`).

    Example:

    >>> import keras_supcon
    >>> train = keras_supcon.data.load("digits", "train", batch_size=128)
    >>> images, labels = next(iter(train))
    >>> images.shape, images.dtype.name, len(train.class_names)
    (TensorShape([128, 8, 8, 1]), 'uint8', 10)
    """
    check_batching(batch_size, image_size)
    check_names(name, split, label)
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
    found = prepared_split(name, split, data_dir, label)
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
    name: str,
    split: str,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    label: str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Loads a labeled image data set that fits in memory as NumPy arrays, in a fixed order.

    The digits need no TensorFlow, so that they can be read with every backend of Keras. Calls with
    different labels give the same images in the same order.

    Args:
        name: As for `load`; all images should have one size.
        split: As for `load`.
        data_dir: As for `load`.
        label: As for `load`.

    Returns:
        `(images, labels)`: uint8 `(n, height, width, channels)` and int64 `(n,)`, -1 where there is
        no label.

    Raises:
        ValueError: For an invalid name, split or label, for data sets without one image and one
            class label per example, and for images of several sizes.
        RuntimeError: If TFDS cannot prepare the data set, or the prepared files are damaged.
        ImportError: If TensorFlow or TFDS is missing and the data set is not the digits (`pip
            install keras-supcon[tensorflow]`).

    Example:

    >>> import keras_supcon
    >>> images, labels = keras_supcon.data.load_arrays("digits", "test")
    >>> images.shape, images.dtype.name, labels.shape
    ((355, 8, 8, 1), 'uint8', (355,))
    """
    check_names(name, split, label)
    if name == "digits":
        return read_digits(split)
    require_packages_of(name, by="`load_arrays`")
    import tensorflow as tf

    found = prepared_split(name, split, data_dir, label)
    examples = found.read().map(
        lambda encoded, label: (found.decode(encoded), label), num_parallel_calls=tf.data.AUTOTUNE
    )
    images, labels = zip(*examples.as_numpy_iterator(), strict=True)
    sizes = sorted({image.shape for image in images})
    if len(sizes) > 1:
        raise ValueError(
            f"The images of {name!r} should have one size; `load(..., image_size=(height, width))` "
            f"brings them to one. Received: images of {len(sizes)} sizes, such as {sizes[0]} and "
            f"{sizes[-1]}"
        )
    return np.stack(images), np.asarray(labels, "int64")


def check_names(name: Any, split: Any, label: Any = None) -> None:
    """Checks that a name and a split are strings, and a label one or None.

    Raises:
        ValueError: If one is not, or there is a label for the digits.
    """
    if not isinstance(name, str) or not isinstance(split, str):
        raise ValueError(
            f"`name` and `split` should be strings. Received: name={name!r}, split={split!r}"
        )
    if label is not None and not isinstance(label, str):
        raise ValueError(
            f"`label` should be the name of a class label or None. Received: label={label!r}"
        )
    if label is not None and name == "digits":
        raise ValueError(
            f"`label` should be None for the digits, which have one. Received: label={label!r}"
        )


def require_packages_of(name: str, by: str) -> None:
    """Raises `ImportError` if `tf.data` cannot read a data set of this name."""
    require_extra(
        "tensorflow", "tensorflow", *(() if name == "digits" else ("tensorflow_datasets",)), by=by
    )

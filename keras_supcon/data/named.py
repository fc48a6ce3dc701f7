"""Data sets by name: TensorFlow Datasets, and the digits that need no network."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_supcon.data.digits import CLASS_NAMES, read_digits
from keras_supcon.data.pipeline import batches, check_batching
from keras_supcon.extras import require_extra

if TYPE_CHECKING:
    import tensorflow as tf


def load(
    name: str,
    split: str,
    batch_size: int,
    image_size: tuple[int, int] | None = None,
    data_dir: str | None = None,
    seed: int = 0,
    *,
    shuffle: bool | None = None,
    drop_remainder: bool = False,
) -> tf.data.Dataset:
    """Loads a labelled image data set in batches.

    `"digits"`, 1,797 images of 8x8 pixels, is part of this package. Every other name goes to TensorFlow Datasets, which
    prepares the data set in `data_dir` (and downloads it) if it is not there yet.

    Args:
        name: `"digits"` or a name that TFDS knows, such as `"cifar10"`, `"fashion_mnist"`, `"imagenet2012"`.
        split: `"train"` or `"test"`; for TFDS any of its splits, slices such as `"train[:10%]"` included.
        batch_size: Images in a batch, at least 1.
        image_size: `(height, width)` to which images are cropped about the centre and resized; None keeps their size.
        data_dir: Directory of TFDS data sets; None is TFDS' own default. Not used by the digits.
        seed: Fixes the order of the examples.
        shuffle: Whether to shuffle, in a new order for every epoch; None shuffles the splits that begin with "train".
        drop_remainder: Whether to leave out a last batch that is not full. Use True with several replicas.

    Returns:
        A `tf.data.Dataset` of uint8 images `(batch, height, width, channels)` and int64 labels `(batch,)`, with
        the attribute `class_names`.

    Raises:
        ValueError: For a name, split, size or batch size that cannot be, and for data sets without one image and one class
            label per example.
        RuntimeError: If TFDS cannot prepare the data set.
        ImportError: If TensorFlow, or TFDS where it is wanted, is missing (`pip install keras-supcon[tensorflow]`).

    Example:

    >>> import keras_supcon
    >>> train = keras_supcon.data.load("digits", "train", batch_size=128)
    >>> images, labels = next(iter(train))
    >>> images.shape, images.dtype.name, len(train.class_names)
    (TensorShape([128, 8, 8, 1]), 'uint8', 10)
    """
    check_batching(batch_size, image_size)
    check_names(name, split)
    require_packages_of(name, by="`load`")
    if shuffle is None:
        shuffle = split.startswith("train")
    if name == "digits":
        import tensorflow as tf

        images, labels = read_digits(split)
        examples, num_examples, class_names = tf.data.Dataset.from_tensor_slices((images, labels)), len(labels), CLASS_NAMES
    else:
        import tensorflow_datasets as tfds

        builder, (_, label_key) = prepare_tfds(name, split, data_dir)
        examples = builder.as_dataset(
            split=split,
            shuffle_files=shuffle,
            read_config=tfds.ReadConfig(shuffle_seed=seed, try_autocache=False),
            as_supervised=True,
        )
        num_examples, class_names = builder.info.splits[split].num_examples, builder.info.features[label_key].names
    return batches(examples, num_examples, class_names, batch_size, image_size, shuffle, seed, drop_remainder)


def load_arrays(name: str, split: str, data_dir: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Loads a labelled image data set that fits in memory as NumPy arrays, in a fixed order.

    The digits need no TensorFlow, so that they can be read with every backend of Keras.

    Args:
        name: As for `load`; all images should have one size.
        split: As for `load`.
        data_dir: As for `load`.

    Returns:
        `(images, labels)`: uint8 `(n, height, width, channels)` and int64 `(n,)`.

    Raises:
        ValueError: For a name or split that cannot be, for data sets without one image and one class label per example, and
            for images of several sizes.
        RuntimeError: If TFDS cannot prepare the data set.
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
    import tensorflow_datasets as tfds

    builder, _ = prepare_tfds(name, split, data_dir)
    read_config = tfds.ReadConfig(try_autocache=False)
    examples = builder.as_dataset(split=split, shuffle_files=False, read_config=read_config, as_supervised=True)
    images, labels = zip(*tfds.as_numpy(examples), strict=True)
    sizes = sorted({image.shape for image in images})
    if len(sizes) > 1:
        raise ValueError(
            f"The images of {name!r} should have one size; `load(..., image_size=(height, width))` brings them to one. "
            f"Received: images of {len(sizes)} sizes, such as {sizes[0]} and {sizes[-1]}"
        )
    return np.stack(images), np.asarray(labels, "int64")


def check_names(name: Any, split: Any) -> None:
    """Raises `ValueError` unless both are strings."""
    if not isinstance(name, str) or not isinstance(split, str):
        raise ValueError(f"`name` and `split` should be strings. Received: name={name!r}, split={split!r}")


def require_packages_of(name: str, by: str) -> None:
    """Raises `ImportError` if what reads a data set of this name as `tf.data` is not installed."""
    require_extra("tensorflow", "tensorflow", *(() if name == "digits" else ("tensorflow_datasets",)), by=by)


def prepare_tfds(name: str, split: str, data_dir: str | None) -> tuple[Any, tuple[str, str]]:
    """The TFDS builder of a data set that is on the disk, and its keys of image and label.

    Raises:
        ValueError: If TFDS does not know the name or the split, or there is not one image and one class label per example.
        RuntimeError: If TFDS cannot prepare the data set.
    """
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError, AssertionError) as error:
        known = ["digits", *tfds.list_builders(with_community_datasets=False)]
        similar = difflib.get_close_matches(name, known, n=3)
        hint = f" Did you mean {' or '.join(map(repr, similar))}?" if similar else ""
        raise ValueError(
            "`name` should be 'digits' or an image-classification data set that TensorFlow Datasets knows. "
            f"Received: name={name!r}.{hint} TensorFlow Datasets says: {error}"
        ) from error
    keys = _supervised_keys(builder, name)
    if not builder.is_prepared():
        try:
            builder.download_and_prepare()
        except Exception as error:  # whatever network, disk or parser went wrong below
            raise RuntimeError(
                f"The data set {name!r} is not in {builder.data_dir!r} and TensorFlow Datasets could not prepare it: {error}"
            ) from error
    try:
        builder.info.splits[split]
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"`split` of {name!r} should be one of {tuple(builder.info.splits)} or a slice of them. Received: split={split!r}"
        ) from error
    return builder, keys


def _supervised_keys(builder: Any, name: str) -> tuple[str, str]:
    import tensorflow_datasets as tfds

    keys, features = builder.info.supervised_keys, builder.info.features
    if (
        keys is None
        or len(keys) != 2
        or not all(key in features for key in keys)
        or not isinstance(features[keys[0]], tfds.features.Image)
        or not isinstance(features[keys[1]], tfds.features.ClassLabel)
    ):
        raise ValueError(
            f"`name` should be a data set of images with one class label each. Received: name={name!r}, with {features}"
        )
    return keys

"""All epochs of training as one data set that can begin at any batch."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from keras_supcon.arguments import check_shard, check_start, check_whole_number
from keras_supcon.data.digits import CLASS_NAMES, read_digits
from keras_supcon.data.named import check_names, require_packages_of
from keras_supcon.data.pipeline import SHUFFLE_BYTES, center_resize, check_batching
from keras_supcon.data.prepared import prepared_split
from keras_supcon.seeds import check_seed, fold_in

if TYPE_CHECKING:
    import tensorflow as tf


def load_epochs(
    name: str,
    split: str,
    batch_size: int,
    epochs: int,
    image_size: tuple[int, int] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    *,
    start: tuple[int, int] = (0, 0),
    shard: tuple[int, int] = (0, 1),
    map_image: Callable[[Any, Any], Any] | None = None,
    label: str | None = None,
) -> tf.data.Dataset:
    """Loads the shuffled training batches of all epochs as one data set, from any batch on.

    The order of an epoch depends on `seed`, the number of the epoch and the shard alone: not on
    `tf.random.set_seed`, earlier epochs, or how often the data set was iterated. The batches from
    `start` on are exactly those of a run without a restart. Records before it are read but not
    decoded.

    Every batch is full; the incomplete remainder is dropped, a different one in each epoch. An
    epoch takes 16 files of a TFDS data set at a time, in a different order each time. Their
    examples pass through a shuffle buffer, still encoded; it holds 512 MB, or all of a smaller data
    set.

    Other versions of this package may use other orders: finish a run with the version that began
    it.

    Args:
        name: As in `load`.
        split: As in `load`.
        batch_size: Images in a batch, of this shard.
        epochs: Total number of epochs, those before `start` included.
        image_size: `(height, width)` to which images are cropped about the center and resized; None
            keeps their size. Not with `map_image`.
        data_dir: As in `load`.
        seed: Whole number, of any sign and size, that determines orders and the seeds for
            `map_image`. Not None: a restart needs it.
        start: Epoch, and batch within it, to begin with, such as a
            `keras_supcon.callbacks.Position`.
        shard: Index of this host, and number of hosts that share the data. Each has its own
            examples, and the same number of batches.
        map_image: Function of one image and a seed that makes the part of a batch, such as a random
            crop or several. The image is the bytes of the file for TFDS (see `decode_and_crop`),
            and uint8 `(8, 8, 1)` for the digits. The seed is an int32 pair for stateless random
            operations, which differs for each position in each epoch.
        label: As in `load`.

    Returns:
        A `tf.data.Dataset` of uint8 images `(batch, height, width, channels)`, or batches of the
        results of `map_image`, and int64 labels `(batch,)`. It has the attributes
        `steps_per_epoch`, `num_examples` (of the shard) and `class_names`.

    Raises:
        ValueError: As in `load`; and for `epochs`, `start`, `shard` or `seed` out of range, a shard
            smaller than a batch, or images of different shapes.
        RuntimeError: As in `load`.
        ImportError: If TensorFlow, or TFDS where it is needed, is missing (`pip install
            keras-supcon[tensorflow]`).

    Example:

    >>> import numpy as np
    >>> from keras_supcon import data
    >>> whole = list(data.load_epochs("digits", "train", batch_size=128, epochs=2))
    >>> rest = data.load_epochs("digits", "train", batch_size=128, epochs=2, start=(1, 3))
    >>> rest.steps_per_epoch, len(whole), len(rest)
    (11, 22, 8)
    >>> all(np.array_equal(a, b) for (a, _), (b, _) in zip(whole[14:], rest))
    True
    """
    check_batching(batch_size, image_size)
    check_names(name, split, label)
    epochs = check_whole_number("epochs", epochs, at_least=1)
    seed = check_seed(seed)
    check_shard("shard", shard)
    if map_image is not None and (image_size is not None or not callable(map_image)):
        raise ValueError(
            "`map_image` should be a function that also sets the size, without `image_size`, or "
            f"None. Received: map_image={map_image!r}, image_size={image_size!r}"
        )
    require_packages_of(name, by="`load_epochs`")
    records = (
        _read_digits(split, shard)
        if name == "digits"
        else _read_tfds(name, split, data_dir, shard, label)
    )
    steps = records.num_per_shard // batch_size
    if steps == 0:
        raise ValueError(
            "`batch_size` should be at most the number of examples of a shard. Received: "
            f"batch_size={batch_size}, with {records.num_per_shard} examples"
        )
    check_start("start", start, steps)

    import tensorflow as tf

    done = min(start[0] * steps + start[1], epochs * steps)
    first_epoch, first_batch = divmod(done, steps)
    buffer_size = min(
        records.num_per_shard, max(batch_size, SHUFFLE_BYTES // records.bytes_per_example)
    )

    def of_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        # Of this graph: the seed of the program would enter the order.
        tf.random.set_seed(1)
        order = tf.bitcast(fold_in(seed, epoch, -1 - shard[0]), "int64")
        shuffled = records.read(order).shuffle(
            buffer_size, seed=order, reshuffle_each_iteration=False
        )
        skipped = tf.where(epoch == first_epoch, tf.constant(first_batch * batch_size, "int64"), 0)
        chosen = shuffled.take(steps * batch_size).enumerate().skip(skipped)
        return chosen.map(lambda place, example: (epoch, place, example))

    def make_example(epoch: tf.Tensor, place: tf.Tensor, example: Any) -> Any:
        image, label = example
        if map_image is None:
            image = records.decode(image)
            image = image if image_size is None else center_resize(image, image_size)
        else:
            # No two hosts draw alike.
            image = map_image(image, fold_in(seed, epoch, place * shard[1] + shard[0]))
        return image, tf.cast(label, "int64")

    examples = tf.data.Dataset.range(first_epoch, epochs).flat_map(of_epoch)
    examples = examples.map(make_example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    _check_shapes(examples.element_spec[0], map_image is not None)
    dataset = examples.batch(
        batch_size, drop_remainder=True, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    dataset = dataset.apply(
        tf.data.experimental.assert_cardinality(epochs * steps - done)
    ).prefetch(tf.data.AUTOTUNE)
    dataset.steps_per_epoch, dataset.num_examples, dataset.class_names = (
        steps,
        records.num_examples,
        records.class_names,
    )
    return dataset


class _Records(NamedTuple):
    """Examples of a shard before decoding."""

    read: Callable[[Any], Any]  # of an epoch, in an order that an int64 tensor determines
    decode: Callable[[Any], Any]
    num_examples: int
    num_per_shard: int  # the same for all shards
    bytes_per_example: int
    class_names: list[str]


def _read_digits(split: str, shard: tuple[int, int]) -> _Records:
    import tensorflow as tf

    images, labels = read_digits(split)
    index, count = shard
    own = slice(len(labels) * index // count, len(labels) * (index + 1) // count)
    examples = tf.data.Dataset.from_tensor_slices((images[own], labels[own]))
    num_bytes = max(images[0].nbytes, 1)
    return _Records(
        lambda order: examples,
        lambda image: image,
        len(labels[own]),
        len(labels) // count,
        num_bytes,
        list(CLASS_NAMES),
    )


def _read_tfds(
    name: str,
    split: str,
    data_dir: str | os.PathLike[str] | None,
    shard: tuple[int, int],
    label: str | None,
) -> _Records:
    import tensorflow_datasets as tfds

    found = prepared_split(name, split, data_dir, label)
    index, count = shard
    num_per_shard = found.num_examples // count
    own = (
        found
        if count == 1 or num_per_shard == 0
        else found._replace(split=tfds.even_splits(split, count)[index])
    )

    def read(order: Any) -> Any:
        return own.read(shuffle_files=True, seed=order, reshuffle=False)

    return _Records(
        read,
        found.decode,
        own.num_examples,
        num_per_shard,
        found.bytes_per_example,
        found.class_names,
    )


def _check_shapes(spec: Any, is_mapped: bool) -> None:
    import tensorflow as tf

    for tensor in tf.nest.flatten(spec):
        if not tensor.shape.is_fully_defined():
            what = (
                "`map_image` should give one shape"
                if is_mapped
                else "`image_size` should be given for images of many sizes"
            )
            raise ValueError(f"{what}, known beforehand. Received: images of shape {tensor.shape}")

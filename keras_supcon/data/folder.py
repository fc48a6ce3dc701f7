"""A folder of class folders as a data set."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from keras_supcon.arguments import check_below_1, check_choice, is_whole
from keras_supcon.data.class_folders import ImageFile, list_classes
from keras_supcon.data.decode import check_background
from keras_supcon.data.file_checks import describe_faults, read_headers, reporter
from keras_supcon.data.folder_samples import FolderSamples
from keras_supcon.data.image_files import Header
from keras_supcon.data.pipeline import check_batching, check_some_batch
from keras_supcon.data.reading_plan import ReadingPlan
from keras_supcon.data.splits import SPLITS, assign_splits
from keras_supcon.extras import require_extra
from keras_supcon.seeds import as_int64, check_seed

if TYPE_CHECKING:
    import tensorflow as tf


def load_folder(
    path: str | os.PathLike[str],
    split: str,
    batch_size: int,
    image_size: tuple[int, int],
    test_fraction: float = 0.2,
    seed: int | None = 0,
    *,
    validation_fraction: float = 0.0,
    class_names: Sequence[str] | None = None,
    channels: int = 3,
    background: int | tuple[int, int, int] = 255,
    antialias: bool = False,
    on_unreadable: str = "raise",
    check_contents: bool | None = None,
    shuffle: bool | None = None,
    drop_remainder: bool = False,
) -> tf.data.Dataset:
    """Loads images from a folder that has one folder per class.

    JPEG, PNG, GIF, BMP, WebP, TIFF, AVIF and PPM files (the first frame of several) are read, in
    class folders and the folders below them, links included. Hidden files and folders are ignored,
    as are other files. Images of unsupported kinds are counted in a warning. Images are turned as
    their EXIF orientation says.

    All file names are shuffled anew for every epoch, instead of decoded images: batches of a large
    folder are as mixed as those of a small one, and memory holds only a few batches.

    The split of a file depends on a hash of its name and that of its class, and on `seed`. So a
    file keeps its split when others are added, and the fractions hold on average. If a split would
    have no file of a class, as may happen for a class of ten files and a fraction of 0.1, it gets
    the file with the nearest hash, which may move back when files are added.

    Before the data set is returned, the first and the last bytes of every file of the split are
    checked, so that broken files are named before training begins. A file that cannot be decoded,
    or whose length has changed by then, ends training with an error that names it.
    `check_contents=True` decodes all files beforehand. Decoders notice only a small part of the
    damage within the pixels of a JPEG file; most of it gives an image that is wrong from there on.

    Args:
        path: The folder; the names of its folders become the class names, in alphabetical order.
        split: `"train"`, `"validation"`, `"test"` or `"all"`.
        batch_size: Images in a batch, at least 1.
        image_size: `(height, width)` to which images are cropped about the center and resized.
        test_fraction: Fraction of each class, in [0, 1), that is in "test". Give 0 for a folder
            that is one split.
        seed: Whole number that determines the splits and, together with `tf.random.set_seed` where
            that is set, the order of the examples. None, for `split="all"` only, gives a random
            order.
        validation_fraction: Fraction of each class that is in "validation"; "train" has the
            remainder.
        class_names: Names of the folders in the order of their labels, the same for the folders of
            several splits. Then a class without a folder or without files is allowed.
        channels: 3 for color, 1 for gray.
        background: Color behind transparent pixels, from 0 to 255: a number for gray or three for
            red, green and blue.
        antialias: Whether JPEG files are resized in full precision with antialiasing, as all others
            are. By default the decoder reduces an image that is at least twice as large as the
            target by a half, a quarter or an eighth. The remaining factor, less than two, is
            bilinear. This takes about half the time.
        on_unreadable: `"raise"` raises an error that names the files that cannot be read; `"skip"`
            skips them with a warning.
        check_contents: Whether every file of the split is decoded once beforehand, with a progress
            bar where that takes long. None does so for `on_unreadable="skip"`, which needs it to
            count the images.
        shuffle: Whether to shuffle, in a new order for every epoch; None shuffles "train" only.
        drop_remainder: Whether to drop a last batch that is not full.

    Returns:
        A `tf.data.Dataset` of uint8 images `(batch, height, width, channels)` and int64 labels
        `(batch,)`, with the attributes `class_names`, and in the order of an unshuffled data set
        `file_paths`, `labels` and `samples`, whose item `i` is an image that is read when it is
        asked for.

    Raises:
        ValueError: For an argument out of its range, a path that is not a folder, fewer than two
            classes, a class without images that `class_names` does not name, a split without
            images, and, unless skipped, unreadable images.
        ImportError: If TensorFlow or Pillow is missing (`pip install keras-supcon[tensorflow]`).

    Example:

    >>> import os, tempfile, keras, numpy as np
    >>> import keras_supcon
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("cat", "dog"):
    ...         os.mkdir(os.path.join(folder, name))
    ...         for i in range(5):
    ...             path = os.path.join(folder, name, f"{i}.png")
    ...             keras.utils.save_img(path, np.full((40, 30, 3), 50 * i), scale=False)
    ...     data = keras_supcon.data.load_folder(folder, "all", batch_size=4, image_size=(32, 32))
    ...     [images.shape[0] for images, labels in data], data.class_names
    ([4, 4, 2], ['cat', 'dog'])
    """
    check_batching(batch_size, image_size)
    if image_size is None:
        raise ValueError("`image_size` should be (height, width). Received: image_size=None")
    check_choice("split", split, SPLITS)
    _check_fractions(split, test_fraction, validation_fraction)
    _check_seed_of_split(seed, split)
    if not is_whole(channels) or channels not in (1, 3):
        raise ValueError(f"`channels` should be 1 or 3. Received: channels={channels!r}")
    background = check_background(background)
    if on_unreadable not in ("raise", "skip"):
        raise ValueError(
            "`on_unreadable` should be 'raise' or 'skip'. Received: "
            f"on_unreadable={on_unreadable!r}"
        )
    if check_contents is False and on_unreadable == "skip":
        raise ValueError(
            "`check_contents` should be True or None with on_unreadable='skip'. Received: "
            "check_contents=False"
        )

    require_extra("tensorflow", "tensorflow", "PIL", by="`load_folder`")
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise ValueError(
            f"`path` should be a folder with one folder for each class. Received: path={path!r}"
        )
    # Absolute, since the working directory may change before the files are read.
    folder = os.path.abspath(os.path.expanduser(os.fsdecode(path)))
    names, files = list_classes(folder, class_names)
    files = _choose(files, split, test_fraction, validation_fraction, seed)
    check_contents = on_unreadable == "skip" if check_contents is None else check_contents
    readable = _readable(files, folder, on_unreadable, check_contents)
    lost = {file.label for file in files} - {file.label for file, _ in readable}
    if lost and class_names is None:
        raise ValueError(
            "Every class folder should hold images that can be read; `class_names` allows for "
            f"empty ones. Received: path={folder!r}, with none in "
            f"{[names[label] for label in sorted(lost)]}"
        )
    if not readable:
        raise ValueError(
            f"`split` should leave images to read. Received: split={split!r}, with none in "
            f"{folder!r}"
        )
    shuffle = split == "train" if shuffle is None else shuffle

    plan = ReadingPlan(
        [header for _, header in readable], tuple(image_size), channels, background, antialias
    )
    files = [file for file, _ in readable]
    check_some_batch(len(files), batch_size, drop_remainder)
    dataset = _batches(
        files, plan, folder, batch_size, shuffle, seed if shuffle else 0, drop_remainder
    )
    dataset.class_names = names
    dataset.file_paths, dataset.labels = (
        [file.path for file in files],
        [file.label for file in files],
    )
    dataset.samples = FolderSamples(dataset.file_paths, plan, folder)
    return dataset


def _check_fractions(split: str, test_fraction: float, validation_fraction: float) -> None:
    check_below_1("test_fraction", test_fraction)
    check_below_1("validation_fraction", validation_fraction)
    if test_fraction + validation_fraction >= 1:
        raise ValueError(
            "`test_fraction` and `validation_fraction` should leave images to train on. Received: "
            f"test_fraction={test_fraction!r}, validation_fraction={validation_fraction!r}"
        )
    fraction = {"test": test_fraction, "validation": validation_fraction}.get(split, 1)
    if not fraction:
        raise ValueError(
            f"`{split}_fraction` leaves no images for split={split!r}. Received: "
            f"{split}_fraction={fraction!r}"
        )


def _check_seed_of_split(seed: int | None, split: str) -> None:
    if seed is None and split != "all":
        raise ValueError(
            "`seed` should be a whole number, the same for all splits of a folder: with another "
            f"one, images of one split would be in another. Received: seed=None, split={split!r}"
        )
    check_seed(seed, or_none=split == "all")


def _choose(
    files: list[ImageFile],
    split: str,
    test_fraction: float,
    validation_fraction: float,
    seed: int | None,
) -> list[ImageFile]:
    if split == "all":
        return files
    chosen = []
    for _, members in itertools.groupby(files, lambda file: file.label):
        members = list(members)
        splits = assign_splits(
            [file.name for file in members], test_fraction, validation_fraction, seed
        )
        chosen += [file for file, its in zip(members, splits, strict=True) if its == split]
    return chosen


def _readable(
    files: list[ImageFile], folder: str, on_unreadable: str, check_contents: bool
) -> list[tuple[ImageFile, Header]]:
    found = list(
        zip(files, read_headers([file.path for file in files], check_contents), strict=True)
    )
    faults = {file.path: header.fault for file, header in found if header.fault is not None}
    if not faults:
        return found
    listed = describe_faults(faults, folder)
    message = f"{len(faults)} of {len(files)} images in {folder!r} cannot be read: {listed}"
    if on_unreadable == "raise":
        raise ValueError(
            f"{message}. Repair or remove them, or pass on_unreadable='skip' to skip them"
        )
    warnings.warn(f"Skipped: {message}", stacklevel=3)
    return [(file, header) for file, header in found if header.fault is None]


def _batches(
    files: list[ImageFile],
    plan: ReadingPlan,
    folder: str,
    batch_size: int,
    shuffle: bool,
    seed: int | None,
    drop_remainder: bool,
) -> tf.data.Dataset:
    """Reads and decodes files, shuffled as a whole.

    A file that cannot be decoded ends the iteration with an error that names it.
    """
    import tensorflow as tf

    number = len(files)
    num_batches = number // batch_size if drop_remainder else -(-number // batch_size)
    num_examples = num_batches * batch_size if drop_remainder else number
    paths = tf.constant([os.fsencode(file.path) for file in files])
    labels = tf.constant([file.label for file in files], "int64")
    report = reporter(folder)

    def order(key: tf.Tensor) -> tf.Tensor:
        """Returns the indices of the files in the epoch with this key."""
        indices = tf.range(number, dtype="int64")
        return tf.random.experimental.stateless_shuffle(indices, key) if shuffle else indices

    def of_epoch(key: tf.Tensor) -> tf.data.Dataset:
        """Returns the index of each file, and a mark: its place and the key."""
        places = tf.range(number, dtype="int64")
        marks = tf.concat([places[:, None], tf.tile(key[None], (number, 1))], axis=1)
        return tf.data.Dataset.from_tensor_slices((order(key), marks))

    def read(index: tf.Tensor, mark: tf.Tensor) -> tuple[tf.Tensor, ...]:
        encoded = tf.io.read_file(tf.gather(paths, index))
        return (
            mark,
            plan.is_same(encoded, index),
            plan.decode(encoded, index),
            tf.gather(labels, index),
        )

    def check(
        state: tuple[tf.Tensor, tf.Tensor], batch: tuple[tf.Tensor, ...]
    ) -> tuple[Any, tuple[tf.Tensor, tf.Tensor]]:
        """Compares the places of a batch with the expected ones, and the files with the plan."""
        (begin, key), (marks, are_same, images, its_labels) = state, batch
        size = tf.shape(marks, "int64")[0]
        end = begin + size
        key = tf.concat([marks[:, 1:], key[None]], axis=0)[0]
        is_right = tf.equal(marks[:, 0], tf.range(begin, end)) & are_same
        # There is also a gap behind the last example if more are expected.
        is_short = (size < batch_size) & (end < num_examples)

        def name_missing() -> tf.Tensor:
            missing = begin + tf.argmin(tf.cast(tf.concat([is_right, [False]], axis=0), "int32"))
            index = order(key)[missing]
            return tf.numpy_function(
                report, [tf.gather(paths, index), tf.gather(plan.num_bytes, index)], "bool"
            )

        is_whole = tf.reduce_all(is_right) & ~is_short
        with tf.control_dependencies([tf.cond(is_whole, lambda: tf.constant(True), name_missing)]):
            images, its_labels = tf.identity(images), tf.identity(its_labels)
        if drop_remainder:
            images, its_labels = (
                tf.ensure_shape(part, (batch_size, *part.shape[1:]))
                for part in (images, its_labels)
            )
        return (end, key), (images, its_labels)

    keys = (
        tf.data.Dataset.random(as_int64(seed), rerandomize_each_iteration=True)
        .batch(2, drop_remainder=True)
        .take(1)
    )
    # A decoder cannot name the file that it fails on. So failures are skipped, and the gap is found
    # afterwards. A gap behind the last example is found in an additional batch without examples.
    examples = keys.flat_map(of_epoch).map(
        read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    examples = examples.ignore_errors(log_warning=True)
    dataset = examples.batch(batch_size, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    end = [tf.zeros((0, *spec.shape), spec.dtype) for spec in examples.element_spec]
    dataset = dataset.concatenate(tf.data.Dataset.from_tensors(tuple(end)))
    state = (tf.constant(0, "int64"), tf.zeros(2, "int64"))
    dataset = dataset.scan(state, check).take(num_batches)
    options = tf.data.Options()
    # The Python function has no state, so that an iterator may be saved.
    options.experimental_external_state_policy = tf.data.experimental.ExternalStatePolicy.IGNORE
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(num_batches)).prefetch(
        tf.data.AUTOTUNE
    )
    return dataset.with_options(options)

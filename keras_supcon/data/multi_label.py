"""Data sets whose images show several classes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from keras_supcon.arguments import check_image_size
from keras_supcon.data.named import check_names, require_packages_of
from keras_supcon.data.pipeline import center_resize, check_batching
from keras_supcon.data.prepared import check_split, find_builder, prepare

if TYPE_CHECKING:
    import tensorflow as tf

_CLEAR_LABELS = "labels_no_difficult"


def load_multi_label(
    name: str,
    split: str,
    batch_size: int,
    image_size: tuple[int, int],
    data_dir: str | os.PathLike[str] | None = None,
) -> tf.data.Dataset:
    """Loads images that show several classes in batches, in a fixed order.

    An example should have an `image` and a sequence of class labels, `labels`, as `"voc/2007"` has
    in TensorFlow Datasets. Where it also has `labels_no_difficult`, a class that is only in
    `labels` is hard to see.

    Args:
        name: Name as TFDS takes it.
        split: A split of the data set, or a slice of one.
        batch_size: Images in a batch, at least 1.
        image_size: `(height, width)` to which images are cropped about the center and resized.
        data_dir: Directory of TFDS data sets; None is the default of TFDS.

    Returns:
        A `tf.data.Dataset` of uint8 images `(batch, height, width, channels)` and int64 labels
        `(batch, classes)`: 1 where an image shows a class, 0 where it does not, -1 where it is hard
        to see. It has the attribute `class_names`.

    Raises:
        ValueError: For an invalid name, split, size or batch size, or for a data set without such
            labels.
        RuntimeError: If TFDS cannot prepare the data set, or the prepared files are damaged.
        ImportError: If TensorFlow or TFDS is missing (`pip install keras-supcon[tensorflow]`).

    Example:

    >>> from keras_supcon.data import load_multi_label
    >>> try:
    ...     load_multi_label("mnist", "test", batch_size=1, image_size=(8, 8))
    ... except ValueError as error:
    ...     print(str(error).split(". ")[0])
    `name` should be a data set with an image and several labels per example
    """
    check_batching(batch_size, image_size)
    image_size = check_image_size("image_size", image_size)
    check_names(name, split)
    require_packages_of(name, by="`load_multi_label`")
    import tensorflow as tf
    import tensorflow_datasets as tfds

    builder, data_dir = find_builder(name, data_dir)
    labels = _labels_of(builder)
    if labels is None:
        raise ValueError(
            "`name` should be a data set with an image and several labels per example. Received: "
            f"name={name!r}, with the features {list(builder.info.features)}"
        )
    prepare(builder, name, data_dir)
    check_split(builder, name, split)
    num_classes = labels.num_classes

    def finish(example: dict[str, Any]) -> tuple[tf.Tensor, tf.Tensor]:
        shown = _several_hot(example["labels"], num_classes)
        if _CLEAR_LABELS in example:
            shown = 2 * _several_hot(example[_CLEAR_LABELS], num_classes) - shown
        return center_resize(example["image"], image_size), shown

    examples = builder.as_dataset(
        split=split, read_config=tfds.ReadConfig(try_autocache=False, skip_prefetch=True)
    )
    dataset = examples.map(finish, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.batch(batch_size).prefetch(tf.data.AUTOTUNE)
    dataset.class_names = list(labels.names)
    return dataset


def _labels_of(builder: Any) -> Any:
    """Returns the class label of the sequence of labels, or None."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    labels = getattr(features["labels"], "feature", None) if "labels" in features else None
    is_right = "image" in features and isinstance(labels, tfds.features.ClassLabel)
    return labels if is_right else None


def _several_hot(labels: tf.Tensor, num_classes: int) -> tf.Tensor:
    import tensorflow as tf

    # A label may be there twice, or none may be.
    return tf.cast(
        tf.reduce_any(tf.one_hot(labels, num_classes, True, False, dtype="bool"), 0), "int64"
    )

"""Turns `class_weight` of `fit` into weights of samples, alike for every kind of data.

Keras has one way for arrays and another for `tf.data`. The second fails on a class that the
dictionary does not name, or weighs it by 0 where it runs on a GPU, and both take the first label of
several for the class.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_supcon.arguments import check_not_negative, is_whole
from keras_supcon.array_checks import as_array
from keras_supcon.losses.positives import SUM_TOLERANCE
from keras_supcon.models.batch_checks import holds_samples
from keras_supcon.typing import TensorTree

_IDS = (
    "should go with labels that name one class of a sample: class ids, or rows of shares that sum "
    "to 1. `sample_weight` weighs samples of other labels"
)


def check_class_weight(class_weight: Any, num_classes: int | None = None) -> dict[int, float]:
    """Checks weights of classes.

    Args:
        class_weight: From a class id to a weight of at least 0. Classes that it does not name, and
            unlabeled samples (-1) unless it names them, have the weight 1.
        num_classes: A number that ids should be below; None for no such number.

    Returns:
        The same, with plain numbers.

    Raises:
        ValueError: If it is not as described.
    """
    if not isinstance(class_weight, Mapping) or not all(map(is_whole, class_weight)):
        raise ValueError(
            "`class_weight` should be a dictionary from class ids, whole numbers, to weights. "
            f"Received: class_weight={class_weight!r}"
        )
    too_large = [one for one in class_weight if num_classes is not None and one >= num_classes]
    if too_large:
        raise ValueError(
            f"`class_weight` should have class ids below {num_classes}, the number of classes. "
            f"Received: class_weight of the classes {sorted(too_large)}"
        )
    return {
        int(one): check_not_negative(f"class_weight[{one}]", weight)
        for one, weight in class_weight.items()
    }


def weigh_classes(arguments: dict[str, Any], class_weight: Mapping[int, float]) -> dict[str, Any]:
    """Returns the arguments of `fit` with weights of samples in place of those of classes.

    The loaders of other libraries stay as they are: Keras refuses `class_weight` beside them.
    Validation is not weighed: samples that `validation_split` sets apart have the weight 1.

    Args:
        arguments: Arguments of `fit` by name.
        class_weight: Checked weights of classes.

    Raises:
        ValueError: If the data do not go with them. Batches of `tf.data` with other labels raise
            `InvalidArgumentError`, and others `ValueError`, when they are read.
    """
    x = arguments.get("x")
    if hasattr(x, "element_spec"):
        arguments = {**arguments, "x": _weigh_tf_data(x, class_weight)}
    elif isinstance(x, keras.utils.PyDataset):
        arguments = {**arguments, "x": _WeighedBatches(x, class_weight)}
    elif isinstance(x, types.GeneratorType):
        arguments = {**arguments, "x": (_weighed(batch, class_weight) for batch in x)}
    elif holds_samples(x):
        sample_weight = arguments.get("sample_weight")
        sample_weight = weigh_batch(arguments.get("y"), sample_weight, class_weight)
        sample_weight[_num_trained(len(sample_weight), arguments) :] = 1.0
        arguments = {**arguments, "sample_weight": sample_weight}
    else:
        return arguments
    return {**arguments, "class_weight": None}


def _num_trained(num_samples: int, arguments: Mapping[str, Any]) -> int:
    """Returns how many of the samples `fit` trains on; the rest, the last ones, is validation."""
    share = arguments.get("validation_split") or 0.0
    if arguments.get("validation_data") is not None or not 0.0 < share < 1.0:
        return num_samples
    return math.floor(num_samples * (1.0 - share))  # as Keras rounds it


def weights_of_samples(y: Any, class_weight: Mapping[int, float]) -> np.ndarray:
    """Returns the weights of samples, float `(batch,)`.

    Args:
        y: Class ids `(batch,)` or `(batch, 1)`, or rows `(batch, classes)` of shares that sum to 1,
            whose class is that of the largest share. A row of zeros is unlabeled.
        class_weight: Checked weights of classes.

    Raises:
        ValueError: If the labels are others.
    """
    if keras.tree.is_nested(y) and not isinstance(y, (list, tuple)):
        raise ValueError(f"`class_weight` {_IDS}. Received: y of type {type(y)}")
    y = as_array(y)
    is_of_rows = y.ndim == 2 and y.shape[1] != 1
    if y.ndim not in (1, 2) or y.dtype.kind not in "biuf":
        raise ValueError(f"`class_weight` {_IDS}. Received: y.shape={y.shape}, y.dtype={y.dtype}")
    if is_of_rows:
        rows = y.astype("float32")
        is_empty = (rows == 0).all(axis=1)
        is_shared = (np.abs(rows.sum(axis=1) - 1) <= SUM_TOLERANCE) & (rows >= 0).all(axis=1)
        are_valid, ids = is_empty | is_shared, np.where(is_empty, -1, rows.argmax(axis=1))
    else:
        ids = y.reshape(-1)
        are_valid = ids == np.round(ids) if y.dtype.kind == "f" else np.ones(len(ids), bool)
    if not are_valid.all():
        raise ValueError(f"`class_weight` {_IDS}. Received: y of {y[~are_valid][0]}")
    names, places = np.unique(ids, return_inverse=True)
    weights = [class_weight.get(int(name), 1.0) for name in names]
    return np.asarray(weights, keras.config.floatx())[places.reshape(-1)]


def weigh_batch(y: Any, sample_weight: Any, class_weight: Mapping[int, float]) -> np.ndarray:
    """Returns the weights of the samples of a batch, which should have labels and no weights yet.

    Raises:
        ValueError: If it is another one.
    """
    _check_parts(y is not None, sample_weight is not None)
    return weights_of_samples(y, class_weight)


def _weighed(
    batch: TensorTree, class_weight: Mapping[int, float]
) -> tuple[TensorTree, TensorTree, np.ndarray]:
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
    return x, y, weigh_batch(y, sample_weight, class_weight)


def _check_parts(has_labels: bool, has_weights: bool) -> None:
    if has_weights:
        raise ValueError(
            "`class_weight` should be None for data with weights of samples: one takes the place "
            "of the other. Received: class_weight and sample_weight"
        )
    if not has_labels:
        raise ValueError(
            "`class_weight` should be None for data without labels. Received: samples alone"
        )


class _WeighedBatches(keras.utils.PyDataset):
    """The batches of a `PyDataset` with weights of their samples."""

    def __init__(self, batches: keras.utils.PyDataset, class_weight: Mapping[int, float]) -> None:
        super().__init__(batches.workers, batches.use_multiprocessing, batches.max_queue_size)
        self._batches, self._class_weight = batches, class_weight

    @property
    def num_batches(self) -> int | None:
        return self._batches.num_batches

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, number: int) -> tuple[TensorTree, TensorTree, np.ndarray]:
        return _weighed(self._batches[number], self._class_weight)

    def on_epoch_begin(self) -> None:
        self._batches.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self._batches.on_epoch_end()


def _weigh_tf_data(dataset: Any, class_weight: Mapping[int, float]) -> Any:
    import tensorflow as tf

    spec = dataset.element_spec
    if not isinstance(dataset, tf.data.Dataset):
        raise ValueError(
            "`class_weight` should be None for data that a strategy has distributed; give `fit` "
            f"the `tf.data.Dataset` itself, or weights of samples within. Received: {dataset!r}"
        )
    parts = spec if isinstance(spec, tuple) else (spec,)
    _check_parts(len(parts) > 1, len(parts) > 2)
    shape = getattr(parts[1], "shape", None)
    dtype = getattr(parts[1], "dtype", None)
    is_known = shape is not None and shape.rank in (1, 2) and None not in shape[1:]
    if not is_known or not (dtype.is_integer or dtype.is_floating or dtype.is_bool):
        raise ValueError(f"`class_weight` {_IDS}. Received: y of {parts[1]}")
    names = np.array(sorted(class_weight) or [0], "int64")
    weights = np.array([class_weight.get(int(name), 1.0) for name in names], keras.config.floatx())

    def weigh(x: Any, y: tf.Tensor) -> tuple[Any, tf.Tensor, tf.Tensor]:
        if shape.rank == 2 and shape[1] != 1:
            rows = tf.cast(y, "float32")
            is_empty = tf.reduce_all(rows == 0, axis=1)
            is_shared = tf.abs(tf.reduce_sum(rows, axis=1) - 1) <= SUM_TOLERANCE
            are_valid = is_empty | (is_shared & tf.reduce_all(rows >= 0, axis=1))
            ids = tf.where(is_empty, tf.constant(-1, "int64"), tf.argmax(rows, axis=1))
        else:
            labels = y if shape.rank == 1 else y[:, 0]
            ids = tf.cast(labels, "int64")
            are_valid = tf.cast(ids, y.dtype) == labels
        message = f"`class_weight` {_IDS}. Received: y="
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(are_valid), [message, y])]):
            ids = tf.identity(ids)
        places = tf.minimum(tf.searchsorted(names, ids), len(names) - 1)
        is_named = tf.gather(names, places) == ids
        return x, y, tf.where(is_named, tf.gather(weights, places), tf.ones((), weights.dtype))

    return dataset.map(weigh)

"""The one form in which every loss and metric takes its batch."""

from typing import Any

import keras
import numpy as np
from keras import ops
from keras.src.backend.common.symbolic_scope import in_symbolic_scope

from keras_supcon.ops.normalization import convert_rows

_LARGEST_ID = 2**31 - 1
_LARGEST_FLOAT_ID = 2**24
_ID_SENTENCE = "`y_true` should hold whole class ids from 0 up to 2^31 - 1, or -1 for unlabelled"
_LABEL_FORMS = (
    "class ids of shape (batch,) or (batch, 1), or one-hot rows of shape (batch, classes)"
)


def standardize_batch(y_true: Any, y_pred: Any, ignore_class: int | None = None) -> tuple[Any, Any]:
    """Brings labels and projections to `(batch,)` class ids and `(batch, views, dim)` float
    projections.

    Args:
        y_true: Class ids `(batch,)` or `(batch, 1)`, -1 for unlabelled, or one-hot rows `(batch,
            classes)`.
        y_pred: `(batch, views, dim)`, or `(batch, dim)` for one view.
        ignore_class: A class id that may occur too, also below -1; then labels should be ids. None
            for no further one.

    Returns:
        `(class_ids, projections)`: int32 `(batch,)` and float32 or float64 `(batch, views, dim)`.
        Sums of float64 over a class are of float32 on PyTorch.

    Raises:
        ValueError: If the rank, the shape or, where the values can be seen, the labels themselves
            are not as described. Inside a TensorFlow graph wrong labels raise
            `InvalidArgumentError` with the same sentence. XLA programs cannot raise: with
            `jit_compile=True`, which is the default of `compile` on a GPU, and on JAX the values of
            labels go unchecked.
    """
    y_pred = convert_rows(y_pred)
    projections = _standardize_projections(y_pred)
    class_ids = standardize_labels(y_true, ignore_class)
    batch, labels = projections.shape[0], class_ids.shape[0]
    if batch is not None and labels is not None and batch != labels:
        raise ValueError(
            "`y_true` should have as many rows as `y_pred`. Received: "
            f"y_true.shape={tuple(ops.convert_to_tensor(y_true).shape)}, "
            f"y_pred.shape={tuple(y_pred.shape)}"
        )
    return class_ids, projections


def _standardize_projections(y_pred: Any) -> Any:
    shape = tuple(y_pred.shape)
    if len(shape) not in (2, 3):
        advice = "; end a convolutional network with global pooling" if len(shape) > 3 else ""
        raise ValueError(
            f"`y_pred` should have shape (batch, dim) or (batch, views, dim){advice}. Received: "
            f"y_pred.shape={shape}"
        )
    if any(size is None for size in shape[1:]):
        raise ValueError(
            "`y_pred` should have a known number of views and dimensions. Received: "
            f"y_pred.shape={shape}"
        )
    if 0 in shape[1:]:
        raise ValueError(
            "`y_pred` should have at least one view and one dimension. Received: "
            f"y_pred.shape={shape}"
        )
    if keras.backend.standardize_dtype(y_pred.dtype) != "float64":
        y_pred = ops.cast(y_pred, "float32")
    return ops.expand_dims(y_pred, 1) if len(shape) == 2 else y_pred


def standardize_labels(y_true: Any, ignore_class: int | None = None) -> Any:
    """Brings labels to int32 class ids `(batch,)`.

    Args:
        y_true: As for `standardize_batch`.
        ignore_class: As for `standardize_batch`.

    Returns:
        int32 tensor `(batch,)`.

    Raises:
        ValueError: As `standardize_batch`.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.ops import standardize_labels
    >>> ops.convert_to_numpy(standardize_labels([[0, 1, 0], [0, 0, 1]])).tolist()
    [1, 2]
    """
    if isinstance(y_true, (list, tuple, np.ndarray)):
        array = np.asarray(y_true)
        _refuse_strings(array.dtype.kind in "OSU", array)
        if array.dtype.kind in "iu":
            # JAX drops the upper half of an int64 before anyone can see it.
            _require(
                np.all((array <= _LARGEST_ID) & (array >= -_LARGEST_ID - 1)), array, _ID_SENTENCE
            )
        if array.dtype.kind == "f" and keras.backend.backend() == "jax":
            refuse_large_floats(array)
    y_true = ops.convert_to_tensor(y_true)
    _refuse_strings("string" in str(y_true.dtype), y_true)
    shape = tuple(y_true.shape)
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[1] in (None, 0)):
        raise ValueError(f"`y_true` should hold {_LABEL_FORMS}. Received: y_true.shape={shape}")
    if len(shape) == 2 and shape[1] > 1:
        if ignore_class is not None:
            raise ValueError(
                "`y_true` should hold class ids, not one-hot rows, where `ignore_class` names one "
                "of them. "
                f"Received: ignore_class={ignore_class}, y_true.shape={shape}"
            )
        is_one_hot = ops.logical_and(
            ops.all(ops.logical_or(ops.equal(y_true, 0), ops.equal(y_true, 1))),
            ops.all(ops.equal(ops.sum(ops.cast(y_true, "float32"), axis=1), 1.0)),
        )
        y_true = _require(
            is_one_hot,
            y_true,
            "`y_true` of shape (batch, classes) should hold one-hot rows: a single 1, zeros "
            "elsewhere, sum 1. "
            "Multi-hot, soft and all-zero rows name no single class",
        )
        return ops.cast(ops.argmax(y_true, axis=1), "int32")
    y_true = ops.reshape(y_true, (-1,))
    class_ids = ops.cast(y_true, "int32")
    # An unsigned id above 2^31 would become a negative one, and come back unchanged.
    is_unsigned = keras.backend.standardize_dtype(y_true.dtype).startswith("uint")
    is_allowed, sentence = class_ids >= (0 if is_unsigned else -1), _ID_SENTENCE
    if ignore_class is not None and ignore_class < -1:
        is_allowed = ops.logical_or(is_allowed, class_ids == ignore_class)
        sentence = f"{sentence}, or {ignore_class} for ignored"
    is_id = ops.logical_and(ops.equal(ops.cast(class_ids, y_true.dtype), y_true), is_allowed)
    y_true = _require(ops.all(is_id), y_true, sentence)
    return ops.cast(y_true, "int32")


def refuse_large_floats(array: np.ndarray) -> None:
    """Raises `ValueError` for ids in float64 that float32 does not hold, where they would become
    float32.
    """
    _require(
        np.all(~(np.abs(array) > _LARGEST_FLOAT_ID)),
        array,
        f"{_ID_SENTENCE}; above 2^24 as integers, not as floats",
    )


def _refuse_strings(are_strings: bool, y_true: Any) -> None:
    if are_strings:
        raise ValueError(
            "`y_true` should hold numbers: `keras.layers.StringLookup(num_oov_indices=0)` makes "
            "class ids of strings. "
            f"Received: y_true={y_true!r}"
        )


def _require(condition: Any, values: Any, sentence: str) -> Any:
    """Returns `values`, or raises with `sentence` if `condition` is False and its value can be
    known.
    """
    if in_symbolic_scope():
        # Keras asks for shapes only, on PyTorch with labels that are all 1.
        return values
    try:
        holds = bool(ops.convert_to_numpy(condition))
    except (
        AttributeError,
        NotImplementedError,
        TypeError,
        ValueError,
    ):  # a symbolic tensor of any backend
        return _require_in_graph(condition, values, sentence)
    if not holds:
        raise ValueError(f"{sentence}. Received: y_true={ops.convert_to_numpy(values)!r}")
    return values


def _require_in_graph(condition: Any, values: Any, sentence: str) -> Any:
    if keras.backend.backend() != "tensorflow":
        return values
    import tensorflow as tf

    with tf.control_dependencies(
        [tf.debugging.Assert(condition, [f"{sentence}. Received: y_true=", values])]
    ):
        return tf.identity(values)

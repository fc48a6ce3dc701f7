"""Brings labels, projections, keys and queues to one form for every loss and metric."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_supcon._keras_internals import is_in_symbolic_scope
from keras_supcon.ops.normalization import convert_rows
from keras_supcon.typing import Tensor, TensorTree

_LARGEST_ID = 2**31 - 1
# Up to these powers of two a dtype holds every whole number.
_EXACT_BITS = {"bfloat16": 8, "float16": 11, "float32": 24}
_IDS = "should hold whole class ids from 0 up to 2^31 - 1, or -1 for unlabeled"
_ONE_HOT = (
    "of shape (batch, classes) should hold one-hot rows: a single 1, zeros elsewhere, sum 1. "
    "Multi-hot, soft and all-zero rows name no single class"
)
_LABEL_FORMS = (
    "class ids of shape (batch,) or (batch, 1), or one-hot rows of shape (batch, classes)"
)


def standardize_batch(
    y_true: Tensor, y_pred: Tensor, ignore_class: int | None = None
) -> tuple[Tensor, Tensor]:
    """Brings labels and projections to `(batch,)` class ids and `(batch, views, dim)` float
    projections.

    Args:
        y_true: Class ids `(batch,)` or `(batch, 1)`, -1 for unlabeled, or one-hot rows `(batch,
            classes)`.
        y_pred: `(batch, views, dim)`, or `(batch, dim)` for one view.
        ignore_class: A class id that may occur too, also below -1; then labels should be ids. None
            for no further id.

    Returns:
        `(class_ids, projections)`: int32 `(batch,)` and float32 or float64 `(batch, views, dim)`.
        On PyTorch sums of float64 over a class are computed in float32.

    Raises:
        ValueError: If the rank, the shape or, where values are known, the labels are not as
            described. In a TensorFlow graph wrong labels raise `InvalidArgumentError` with the same
            sentence. XLA programs cannot raise: with `jit_compile=True`, which is the default of
            `compile` on a GPU, and on JAX the values of labels are not checked.
    """
    y_pred = convert_rows(y_pred)
    projections = standardize_projections(y_pred)
    class_ids = standardize_labels(y_true, ignore_class)
    check_as_many_rows(y_true, class_ids, y_pred)
    return class_ids, projections


def check_as_many_rows(y_true: Tensor, class_ids: Tensor, y_pred: Tensor) -> None:
    """Raises `ValueError` if predictions are known to have another number of rows than labels.

    Args:
        y_true: The labels as they were given, for the message.
        class_ids: The same as ids, `(batch,)`.
        y_pred: Predictions `(batch, ...)`.
    """
    labels, batch = class_ids.shape[0], y_pred.shape[0]
    if batch is not None and labels is not None and batch != labels:
        raise ValueError(
            "`y_true` should have as many rows as `y_pred`. Received: "
            f"y_true.shape={tuple(ops.convert_to_tensor(y_true).shape)}, "
            f"y_pred.shape={tuple(y_pred.shape)}"
        )


def standardize_projections(y_pred: Tensor, name: str = "y_pred") -> Tensor:
    """Brings projections to `(batch, views, dim)`, float32 or float64.

    Args:
        y_pred: `(batch, views, dim)`, or `(batch, dim)` for one view.
        name: Name of the argument, for messages.

    Returns:
        Float tensor `(batch, views, dim)`.

    Raises:
        ValueError: If the rank is another, or the number of views or dimensions unknown or 0.
    """
    y_pred = convert_rows(y_pred)
    shape = tuple(y_pred.shape)
    if len(shape) not in (2, 3):
        advice = "; end a convolutional network with global pooling" if len(shape) > 3 else ""
        raise ValueError(
            f"`{name}` should have shape (batch, dim) or (batch, views, dim){advice}. Received: "
            f"{name}.shape={shape}"
        )
    if any(size is None for size in shape[1:]):
        raise ValueError(
            f"`{name}` should have a known number of views and dimensions. Received: "
            f"{name}.shape={shape}"
        )
    if 0 in shape[1:]:
        raise ValueError(
            f"`{name}` should have at least one view and one dimension. Received: "
            f"{name}.shape={shape}"
        )
    if keras.backend.standardize_dtype(y_pred.dtype) != "float64":
        y_pred = ops.cast(y_pred, "float32")
    return ops.expand_dims(y_pred, 1) if len(shape) == 2 else y_pred


def standardize_keys(keys: Tensor, projections: Tensor, name: str = "keys") -> Tensor:
    """Brings keys to the shape and dtype of standardized projections.

    Args:
        keys: `(batch, views, dim)`, or `(batch, dim)` for one view.
        projections: Their anchors, as `standardize_batch` returns them.
        name: Name of the argument, for messages.

    Returns:
        Float tensor `(batch, views, dim)`.

    Raises:
        ValueError: If the shapes differ.
    """
    keys = convert_rows(keys, keras.backend.standardize_dtype(projections.dtype))
    keys = ops.cast(standardize_projections(keys, name), projections.dtype)
    shapes = tuple(keys.shape), tuple(projections.shape)
    if any(None not in sizes and len({*sizes}) > 1 for sizes in zip(*shapes, strict=True)):
        raise ValueError(
            f"`{name}` should have the shape of `y_pred`, a row for each of its rows. Received: "
            f"{name} of (batch, views, dim) {shapes[0]}, y_pred of {shapes[1]}"
        )
    return keys


def standardize_centers(centers: Tensor, projections: Tensor) -> Tensor:
    """Brings centers of classes to the dtype of standardized projections.

    Args:
        centers: `(classes, dim)`, of a static shape.
        projections: As `standardize_batch` returns them.

    Returns:
        Float tensor `(classes, dim)`.

    Raises:
        ValueError: If the shape is another.
    """
    centers = convert_rows(centers, keras.backend.standardize_dtype(projections.dtype))
    shape, dim = tuple(centers.shape), projections.shape[-1]
    if len(shape) != 2 or None in shape or 0 in shape or shape[1] != dim:
        raise ValueError(
            f"`centers` should have shape (classes, {dim}), a row for each class. Received: "
            f"centers.shape={shape}"
        )
    return ops.cast(centers, projections.dtype)


def with_center_for_each(
    class_ids: Tensor, centers: Tensor, ignore_class: int | None = None
) -> tuple[Tensor, Tensor]:
    """Checks that each class has a center. Where no error can be raised centers become NaN.

    Args:
        class_ids: int32 `(batch,)`.
        centers: `(classes, dim)`.
        ignore_class: A class id that needs none.

    Returns:
        `(class_ids, centers)`, to be used in place of those that were given.

    Raises:
        ValueError: If one is missing and values can be seen.
    """
    num_classes = centers.shape[0]
    have_centers = class_ids < num_classes
    if ignore_class is not None:
        have_centers = ops.logical_or(have_centers, ops.equal(class_ids, ignore_class))
    have_centers = ops.all(have_centers)
    sentence = f"should hold ids below {num_classes}, the number of `centers`"
    class_ids = require(have_centers, class_ids, "y_true", sentence)
    return class_ids, ops.where(have_centers, centers, float("nan"))


def standardize_queue(
    queue: Tensor,
    queue_labels: Tensor | None,
    projections: Tensor,
    ignore_class: int | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Brings a queue to float rows, class ids and the slots that count for nothing.

    Args:
        queue: `(queue, dim)`.
        queue_labels: Class ids `(queue,)`; -1 for unlabeled, any lower number for an empty slot.
            None for no empty slot and no labels.
        projections: What is contrasted with the queue, as `standardize_batch` returns it.
        ignore_class: A class id whose rows count for nothing; None for no such id.

    Returns:
        `(rows, class_ids, is_ignored)`: float `(queue, dim)` in the dtype of `projections` and 0 in
        empty slots, int32 `(queue,)`, and bool `(queue,)`, which is None where no
        slot can be empty or ignored.

    Raises:
        ValueError: If a shape or, where the values can be seen, the labels are not as described.
    """
    dim = projections.shape[-1]
    queue = convert_rows(queue, keras.backend.standardize_dtype(projections.dtype))
    if len(queue.shape) != 2 or queue.shape[1] != dim:
        raise ValueError(
            f"`queue` should have shape (queue, {dim}), the dim of `y_pred`. Received: "
            f"queue.shape={tuple(queue.shape)}"
        )
    if queue_labels is None:
        return queue, ops.full((ops.shape(queue)[0],), -1, dtype="int32"), None
    class_ids = standardize_labels(queue_labels, ignore_class, name="queue_labels")
    rows, labels = queue.shape[0], class_ids.shape[0]
    if rows is not None and labels is not None and rows != labels:
        raise ValueError(
            "`queue_labels` should have as many rows as `queue`. "
            f"Received: queue_labels with {labels} rows, queue.shape={tuple(queue.shape)}"
        )
    is_empty = class_ids < -1
    # Whatever is in an empty slot, NaN too, has no effect.
    queue = ops.where(is_empty[:, None], ops.zeros((), dtype=queue.dtype), queue)
    is_ignored = is_empty
    if ignore_class is not None:
        is_ignored = ops.logical_or(is_empty, ops.equal(class_ids, ignore_class))
    return queue, class_ids, is_ignored


def standardize_labels(
    y_true: Tensor,
    ignore_class: int | None = None,
    name: str = "y_true",
    num_classes: int | None = None,
) -> Tensor:
    """Brings labels to int32 class ids `(batch,)`.

    Args:
        y_true: Class ids `(batch,)` or `(batch, 1)`, -1 for unlabeled, or one-hot rows `(batch,
            classes)`. Ids in floats should be whole and no larger than the numbers up to which
            their dtype holds all whole ones, 2^24 for float32.
        ignore_class: A class id that may occur too, also below -1; then labels should be ids. None
            for no further one.
        name: Name of the argument, for messages. `"queue_labels"` may hold any negative id.
        num_classes: A number that ids should be below; None for no such number.

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
    refuse_none(y_true, name, _LABEL_FORMS)
    may_be_empty = name == "queue_labels"
    if isinstance(y_true, (list, tuple, np.ndarray)):
        array = np.asarray(y_true)
        _refuse_strings(array.dtype.kind in "OSU", array, name)
        if array.dtype.kind in "iu":
            # JAX drops the upper half of an int64 before it can be checked.
            fits = np.all((array <= _LARGEST_ID) & (array >= -_LARGEST_ID - 1))
            require(fits, array, name, _IDS)
        if array.dtype.kind == "f" and keras.backend.backend() == "jax":
            refuse_large_floats(array, name)
    y_true = ops.convert_to_tensor(y_true)
    _refuse_strings("string" in str(y_true.dtype), y_true, name)
    shape = tuple(y_true.shape)
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[1] in (None, 0)):
        raise ValueError(f"`{name}` should hold {_LABEL_FORMS}. Received: {name}.shape={shape}")
    if len(shape) == 2 and shape[1] > 1:
        if ignore_class is not None:
            raise ValueError(
                f"`{name}` should hold class ids, not one-hot rows, where `ignore_class` names one "
                f"of them. Received: ignore_class={ignore_class}, {name}.shape={shape}"
            )
        if num_classes is not None and shape[1] > num_classes:
            raise ValueError(
                f"`{name}` should hold ids of {num_classes} classes. Received: one-hot rows of "
                f"{name}.shape={shape}"
            )
        y_true = require(ops.all(_are_one_hot(y_true)), y_true, name, _ONE_HOT)
        return ops.cast(ops.argmax(y_true, axis=1), "int32")
    y_true = ops.reshape(y_true, (-1,))
    class_ids = ops.cast(y_true, "int32")
    dtype = keras.backend.standardize_dtype(y_true.dtype)
    # An unsigned id above 2^31 would become a negative one, and come back unchanged.
    lowest = 0 if dtype.startswith("uint") else -_LARGEST_ID - 1 if may_be_empty else -1
    is_allowed = class_ids >= lowest
    sentence = f"{_IDS}, or below -1 for an empty slot" if may_be_empty else _IDS
    if ignore_class is not None and ignore_class < lowest:
        is_allowed = ops.logical_or(is_allowed, class_ids == ignore_class)
        sentence = f"{sentence}, or {ignore_class} for ignored"
    if dtype in _EXACT_BITS:
        # Beyond it two ids may have become one.
        is_allowed = ops.logical_and(is_allowed, class_ids <= 2 ** _EXACT_BITS[dtype])
        sentence = f"{sentence}; above 2^{_EXACT_BITS[dtype]} as integers, not as {dtype}"
    if num_classes is not None:
        is_allowed = ops.logical_and(is_allowed, class_ids < num_classes)
        sentence = f"{sentence}; below {num_classes}, the number of classes"
    is_id = ops.logical_and(ops.equal(ops.cast(class_ids, y_true.dtype), y_true), is_allowed)
    y_true = require(ops.all(is_id), y_true, name, sentence)
    return ops.cast(y_true, "int32")


def _are_one_hot(rows: Tensor) -> Tensor:
    """Returns for each row whether it is a single 1 and zeros elsewhere, bool `(batch,)`."""
    are_digits = ops.all(ops.logical_or(ops.equal(rows, 0), ops.equal(rows, 1)), axis=1)
    sums = ops.sum(ops.cast(rows, "float32"), axis=1)
    return ops.logical_and(are_digits, ops.equal(sums, 1.0))


def class_ids_if_any(y: TensorTree) -> Tensor:
    """Returns the class ids of labels of any kind, int32 `(batch,)`, and -1 where there is none.

    Ids are whole numbers from 0 that their type and int32 hold exactly, alone or as one-hot rows.
    """
    labels = keras.tree.flatten(y)[0] if keras.tree.is_nested(y) else y
    ids = ops.full((ops.shape(labels)[0],), -1, dtype="int32")
    dtype = keras.backend.standardize_dtype(labels.dtype)
    if keras.tree.is_nested(y) or len(labels.shape) not in (1, 2) or dtype == "string":
        return ids
    if len(labels.shape) == 2 and labels.shape[1] != 1:
        class_ids = ops.cast(ops.argmax(ops.cast(labels, "float32"), axis=1), "int32")
        return ops.where(_are_one_hot(labels), class_ids, ids)
    labels = ops.reshape(labels, (-1,))
    if "float" in dtype:
        labels = ops.cast(labels, "float32")
        is_id = ops.logical_and(
            ops.equal(labels, ops.floor(labels)), labels <= 2 ** _EXACT_BITS["float32"]
        )
    else:
        if dtype in ("bool", "int8", "uint8", "int16", "uint16"):
            labels = ops.cast(labels, "int32")
        elif keras.backend.backend() != "jax":  # which has no wider integers unless told
            labels = ops.cast(labels, "int64")
        is_id = labels <= _LARGEST_ID
    is_id = ops.logical_and(is_id, labels >= 0)
    return ops.where(
        is_id, ops.cast(ops.where(is_id, labels, ops.zeros_like(labels)), "int32"), ids
    )


def refuse_large_floats(array: np.ndarray, name: str = "y_true") -> None:
    """Raises `ValueError` for float64 ids that are not exact in float32, to which they are cast."""
    bits = _EXACT_BITS["float32"]
    sentence = f"{_IDS}; above 2^{bits} as integers, not as floats"
    require(np.all(~(np.abs(array) > 2**bits)), array, name, sentence)


def refuse_none(labels: Any, name: str, forms: str) -> None:
    """Raises `ValueError` for labels that are None.

    Args:
        labels: The labels.
        name: Name of their argument.
        forms: What they should be, behind "should hold labels, ".
    """
    if labels is None:
        raise ValueError(f"`{name}` should hold labels, {forms}. Received: {name}=None")


def _refuse_strings(are_strings: bool, labels: Tensor, name: str) -> None:
    if are_strings:
        raise ValueError(
            f"`{name}` should hold numbers: `keras.layers.StringLookup(num_oov_indices=0)` makes "
            f"class ids of strings. Received: {name}={labels!r}"
        )


def require(condition: Tensor, values: Tensor, name: str, sentence: str) -> Any:
    """Returns `values`, or raises `ValueError` if `condition` is False and its value can be known.

    Args:
        condition: Bool scalar.
        values: The labels.
        name: Name of their argument.
        sentence: Requirement that follows the name, such as "should hold whole class ids".
    """
    if is_in_symbolic_scope():
        # Keras only infers shapes, on PyTorch with labels that are all 1.
        return values
    sentence = f"`{name}` {sentence}"
    try:
        holds = bool(ops.convert_to_numpy(condition))
    except (
        AttributeError,
        NotImplementedError,
        TypeError,
        ValueError,
    ):  # a symbolic tensor of any backend
        return require_in_graph(condition, values, f"{sentence}. Received: {name}=")
    if not holds:
        raise ValueError(f"{sentence}. Received: {name}={ops.convert_to_numpy(values)!r}")
    return values


def require_in_graph(
    condition: Tensor, values: TensorTree, message: str, received: Tensor | None = None
) -> Any:
    """Returns `values`; in a graph of TensorFlow without XLA, what reads them fails if a condition
    does not hold.

    Args:
        condition: Bool scalar.
        values: What is returned.
        message: What the error says before what was received.
        received: What the error ends with; None for the values.
    """
    if keras.backend.backend() != "tensorflow":
        return values
    import tensorflow as tf

    received = values if received is None else received
    with tf.control_dependencies([tf.debugging.Assert(condition, [message, received])]):
        return keras.tree.map_structure(tf.identity, values)

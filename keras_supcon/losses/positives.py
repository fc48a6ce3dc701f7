"""Who is whose positive: weights of pairs that come from labels of any kind."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_supcon.arguments import check_choice, check_each, is_number
from keras_supcon.losses.base import ContrastiveLoss
from keras_supcon.ops.standardize import refuse_none, require
from keras_supcon.ops.weighted_contrast import LabelPairs, Weight
from keras_supcon.typing import Tensor

KINDS = ("class", "multi_label", "any", "overlap", "soft", "hierarchy")
"""Names of the kinds of labels that the losses know."""
_LARGEST_ID, _LARGEST_FLOAT_ID = 2**31 - 1, 2**24
# No id of a level, where no error can be raised.
_NO_ID = -(2**31)
# Sums over rows of weights, and products with them, stay within float32.
_SMALLEST_WEIGHT, _LARGEST_WEIGHT = 1e-15, 1e15
# What rows of probabilities may miss of a sum of 1, as those of half precision do.
SUM_TOLERANCE = 1e-2
_FORMS = "as many rows as samples"


def check_positives(name: str, value: Any) -> Any:
    """Returns the name of a kind of labels, or a function of two blocks of label rows.

    Raises:
        ValueError: If it is neither.
    """
    return value if callable(value) else check_choice(name, value, KINDS)


def check_level_weights(name: str, value: Any) -> tuple[float, ...] | None:
    """Returns positive numbers, one a level, or None.

    Raises:
        ValueError: If they are no such numbers.
    """
    if value is None:
        return None
    low, high = _SMALLEST_WEIGHT, _LARGEST_WEIGHT
    expected = f"positive numbers from {low:g} to {high:g}"
    values = check_each(name, value, lambda one: is_number(one) and low <= one <= high, expected)
    return tuple(map(float, values))


def check_together(
    *,
    positives: Any,
    level_weights: tuple[float, ...] | None,
    ignore_class: int | None,
    positives_cap: int | None = None,
    self_supervised_class: int | None = None,
    **_: Any,
) -> None:
    """Checks options that go with some kinds of labels alone.

    Raises:
        ValueError: If they do not go together.
    """
    if positives != "class":
        refuse_options_of_class_ids(
            "but with positives='class'",
            f", positives={positives!r}",
            positives_cap=positives_cap,
            ignore_class=ignore_class,
            self_supervised_class=self_supervised_class,
        )
    if level_weights is not None and positives != "hierarchy":
        raise ValueError(
            "`level_weights` should be None but with positives='hierarchy'. Received: "
            f"level_weights={level_weights}, positives={positives!r}. A call with other "
            "`positives` than the constructor takes level_weights=None beside them."
        )


def refuse_options_of_class_ids(where: str, received: str = "", **options: Any) -> None:
    """Raises `ValueError` for options that name class ids or count positives of a class.

    Args:
        where: Where they should be None, in words.
        received: What else was received, behind the option.
        **options: The options, None for those that are not given.
    """
    for name, value in options.items():
        if value is not None:
            raise ValueError(f"`{name}` should be None {where}. Received: {name}={value}{received}")


class TakesPositives(ContrastiveLoss):
    """A loss with the option `positives`, and a matrix of weights as a further input."""

    inputs = ("pair_weights",)

    def check_labels(self, y_true: Any) -> None:
        if self.positives == "class":
            super().check_labels(y_true)
        else:
            label_pairs(y_true, self.positives, None, level_weights=self.level_weights)


def label_pairs(
    y_true: Tensor,
    positives: str | Weight,
    batch_size: Any,
    *,
    level_weights: tuple[float, ...] | None = None,
    queue_labels: Tensor | None = None,
    queue_size: Any = None,
) -> LabelPairs:
    """Returns the weights of the pairs of a batch, for any kind of labels but class ids.

    Args:
        y_true: Labels `(batch, k)`, or `(batch,)` for a function.
        positives: Kind of the labels, or a function of two blocks of them.
        batch_size: Number of samples.
        level_weights: Weights of the levels of a hierarchy; None for 1.
        queue_labels: Labels of a queue `(queue, k)`; None for all unlabeled.
        queue_size: Number of rows of the queue; None without one.

    Raises:
        ValueError: If labels have another form.
    """
    refuse_none(y_true, "y_true", _FORMS)
    if callable(positives):
        return _of_function(y_true, positives, batch_size, queue_labels, queue_size)
    kind = _KINDS[positives]
    labels, are_valid = kind.read(y_true, "y_true", batch_size)
    factors = _level_factors(level_weights, labels)
    own = kind.own(labels, factors)
    is_labeled = ops.any(labels > 0 if kind.read is not _read_levels else labels >= 0, axis=1)
    own = ops.where(is_labeled, own, ops.ones_like(own))
    # Programs compiled by XLA cannot raise: there the losses are NaN.
    own = ops.where(are_valid, own, float("nan"))
    rows = is_empty = None
    if queue_size is not None:
        rows, is_empty = _queue_rows(kind, queue_labels, labels, queue_size)
    return LabelPairs(
        lambda own, other: kind.weight(own, other, factors), labels, True, own, rows, is_empty
    )


class Levels(NamedTuple):
    """Class ids of a hierarchy, a column for each level."""

    labels: Tensor
    """int32 `(batch, levels)`, -1 for unknown."""
    queue_labels: Tensor | None
    """int32 `(queue, levels)`, -2 for the entries of an empty slot; None for no labels."""
    weights: tuple[float, ...]
    """A weight for each level."""


def read_levels(
    y_true: Tensor,
    batch_size: int | None,
    level_weights: tuple[float, ...] | None = None,
    queue_labels: Tensor | None = None,
) -> Levels:
    """Returns the levels of a hierarchy one by one, for losses that compare them.

    Args:
        y_true: Class ids `(batch, levels)`.
        batch_size: Number of samples, None if it is not known.
        level_weights: Weights of the levels; None for 1.
        queue_labels: Class ids of a queue `(queue, levels)`; None for all unlabeled.

    Raises:
        ValueError: If labels have another form.
    """
    refuse_none(y_true, "y_true", _FORMS)
    labels, _ = _read_levels(y_true, "y_true", batch_size)
    factors, of_queue = _level_factors(level_weights, labels), None
    if queue_labels is not None:
        of_queue, is_empty = _queue_rows(_KINDS["hierarchy"], queue_labels, labels, None)
        of_queue = ops.where(is_empty[:, None], -2, of_queue)
    return Levels(labels, of_queue, factors)


def matrix_pairs(
    pair_weights: Tensor,
    batch_size: Any,
    global_size: Any,
    offset: Any,
    queue_labels: Tensor | None = None,
    queue_size: Any = None,
) -> LabelPairs:
    """Returns the weights of pairs that a matrix holds; labels are the columns.

    Args:
        pair_weights: Weights `(batch, columns)` of each sample with each sample of the global
            batch, and with each row of the queue after them.
        batch_size: Number of samples.
        global_size: Number of samples of all replicas.
        offset: Number of samples of the global batch before these.
        queue_labels: Numbers `(queue,)` or `(queue, k)`, below -1 for empty slots; None for none.
        queue_size: Number of rows of the queue; None without one.

    Raises:
        ValueError: If the shape is another, or a weight is negative or not finite.
    """
    name = "pair_weights"
    pair_weights = _as_numbers(pair_weights, name)
    expected, shape = (batch_size, global_size + (queue_size or 0)), tuple(pair_weights.shape)
    is_known = all(isinstance(size, int) for size in (*expected, *shape))
    if len(shape) != 2 or (is_known and shape != expected):
        raise ValueError(
            f"`{name}` should have shape {expected}, a weight for each pair of a sample and a "
            f"sample of the batch or a row of the queue. Received: {name}.shape={shape}"
        )
    pair_weights = ops.cast(pair_weights, "float32")
    # NaN is not within these bounds.
    are_weights = ops.all(ops.logical_and(pair_weights >= 0, pair_weights <= _LARGEST_WEIGHT))
    sentence = f"should hold finite weights of at least 0, and at most {_LARGEST_WEIGHT:g}"
    pair_weights = require(are_weights, pair_weights, name, sentence)
    pair_weights = ops.where(are_weights, pair_weights, float("nan"))
    pair_weights = ops.stop_gradient(pair_weights)

    def weight(own: Tensor, other: Tensor) -> Tensor:
        if batch_size == 0:
            return ops.zeros((own.shape[0], other.shape[0]))
        rows = ops.take(pair_weights, own[:, 0] - offset, axis=0)
        return ops.take(rows, other[:, 0], axis=1)

    columns = ops.arange(global_size, dtype="int32")[:, None]
    of_queue = is_empty = None
    if queue_size is not None:
        of_queue = global_size + ops.arange(queue_size, dtype="int32")[:, None]
        if queue_labels is not None:
            marks = _read_rows(_as_rows(queue_labels, "queue_labels"), "queue_labels", queue_size)
            is_empty = ops.all(marks < -1, axis=1)
    return LabelPairs(weight, columns, queue_labels=of_queue, queue_is_empty=is_empty)


def _level_factors(level_weights: tuple[float, ...] | None, labels: Tensor) -> tuple[float, ...]:
    """Returns a weight for each column of labels."""
    if level_weights is not None and len(level_weights) != labels.shape[1]:
        raise ValueError(
            f"`level_weights` should be a number for each of the {labels.shape[1]} levels of "
            f"`y_true`. Received: level_weights={level_weights}"
        )
    return level_weights or (1.0,) * labels.shape[1]


class _Kind(NamedTuple):
    read: Callable[[Tensor, str, Any], tuple[Tensor, Tensor]]
    """Returns the label rows, and whether they are such: False where no error can be raised."""
    weight: Callable[[Tensor, Tensor, tuple[float, ...]], Tensor]
    own: Callable[[Tensor, tuple[float, ...]], Tensor]


def _read_sets(y_true: Tensor, name: str, num_rows: Any) -> tuple[Tensor, Tensor]:
    rows = ops.cast(_read_rows(y_true, name, num_rows), "float32")
    are_sets = ops.all(ops.logical_or(ops.equal(rows, 0), ops.equal(rows, 1)))
    sentence = "should hold a 1 for each label of a row, and zeros"
    return require(are_sets, rows, name, sentence), are_sets


def _read_probabilities(y_true: Tensor, name: str, num_rows: Any) -> tuple[Tensor, Tensor]:
    rows = ops.cast(_read_rows(y_true, name, num_rows), "float32")
    sums = ops.sum(rows, axis=1)
    are_valid = ops.logical_or(ops.abs(sums - 1) <= SUM_TOLERANCE, ops.all(rows == 0, axis=1))
    are_valid = ops.logical_and(ops.all(are_valid), ops.all(rows >= 0))
    sentence = "should hold shares of at least 0 that sum to 1 in each row"
    return require(are_valid, rows, name, sentence), are_valid


def _read_levels(y_true: Tensor, name: str, num_rows: Any) -> tuple[Tensor, Tensor]:
    array = np.asarray(y_true) if isinstance(y_true, (list, tuple, np.ndarray)) else None
    is_integer = array is not None and array.dtype.kind in "iu"
    if is_integer and array.size and array.max() > _LARGEST_ID:
        raise ValueError(  # JAX drops the upper half of an int64 before it can be checked
            f"`{name}` should hold class ids up to 2^31 - 1. Received: {name} up to {array.max()}"
        )
    rows = _read_rows(y_true, name, num_rows)
    if "float" in keras.backend.standardize_dtype(rows.dtype):  # beyond it two ids may become one
        are_small = ops.logical_not(ops.any(rows > _LARGEST_FLOAT_ID))
        rows = require(are_small, rows, name, "should hold ids above 2^24 as integers")
    ids = ops.cast(rows, "int32")
    are_ids = ops.all(ops.logical_and(ops.equal(ops.cast(ids, rows.dtype), rows), ids > -2))
    sentence = "should hold a class id for each level of a row, -1 for unknown"
    rows = require(are_ids, rows, name, sentence)
    return ops.where(are_ids, ops.cast(rows, "int32"), _NO_ID), are_ids


def _read_rows(y_true: Tensor, name: str, num_rows: Any) -> Tensor:
    rows = _as_numbers(y_true, name)
    shape = tuple(rows.shape)
    is_other = isinstance(num_rows, int) and shape[:1] not in ((None,), (num_rows,))
    if len(shape) != 2 or shape[1] in (None, 0) or is_other:
        raise ValueError(
            f"`{name}` should have shape ({num_rows or 'batch'}, k), a row of labels for each "
            f"sample. Received: {name}.shape={shape}"
        )
    return rows


def _common(own: Tensor, other: Tensor) -> Tensor:
    return ops.matmul(own, ops.transpose(other))


def _sizes(own: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    return ops.sum(own, axis=1, keepdims=True), ops.sum(other, axis=1)[None]


def _jaccard(own: Tensor, other: Tensor, _: tuple[float, ...]) -> Tensor:
    common, (sizes, other_sizes) = _common(own, other), _sizes(own, other)
    return common / ops.maximum(sizes + other_sizes - common, 1.0)


def _any(own: Tensor, other: Tensor, _: tuple[float, ...]) -> Tensor:
    return ops.minimum(_common(own, other), 1.0)


def _overlap(own: Tensor, other: Tensor, _: tuple[float, ...]) -> Tensor:
    return _common(own, other) / ops.maximum(ops.minimum(*_sizes(own, other)), 1.0)


def _inner_product(own: Tensor, other: Tensor, _: tuple[float, ...]) -> Tensor:
    return _common(own, other)


def _shared_levels(own: Tensor, other: Tensor, factors: tuple[float, ...]) -> Tensor:
    total = 0.0
    for level, factor in enumerate(factors):
        ids, other_ids = own[:, level, None], other[None, :, level]
        is_shared = ops.logical_and(ops.equal(ids, other_ids), ids >= 0)
        total = total + factor * ops.cast(is_shared, "float32")
    return total


def _one(labels: Tensor, _: tuple[float, ...]) -> Tensor:
    return ops.ones_like(labels[:, 0])


def _squared_length(labels: Tensor, _: tuple[float, ...]) -> Tensor:
    return ops.sum(ops.square(labels), axis=1)


def _known_levels(labels: Tensor, factors: tuple[float, ...]) -> Tensor:
    return ops.sum(ops.cast(labels >= 0, "float32") * ops.convert_to_tensor(factors)[None], axis=1)


_KINDS = {
    "multi_label": _Kind(_read_sets, _jaccard, _one),
    "any": _Kind(_read_sets, _any, _one),
    "overlap": _Kind(_read_sets, _overlap, _one),
    "soft": _Kind(_read_probabilities, _inner_product, _squared_length),
    "hierarchy": _Kind(_read_levels, _shared_levels, _known_levels),
}


def _queue_rows(
    kind: _Kind, queue_labels: Tensor | None, labels: Tensor, queue_size: Any
) -> tuple[Tensor, Tensor | None]:
    """Returns the label rows of a queue, and which slots are empty."""
    unlabeled = -1 if kind.read is _read_levels else 0
    if queue_labels is None:
        rows = ops.full((queue_size, labels.shape[1]), unlabeled, dtype=labels.dtype)
        return rows, None
    rows = _read_rows(queue_labels, "queue_labels", queue_size)
    if rows.shape[1] != labels.shape[1]:
        raise ValueError(
            f"`queue_labels` should have rows of {labels.shape[1]}, as `y_true`. Received: "
            f"queue_labels.shape={tuple(rows.shape)}"
        )
    is_empty = ops.all(rows < -1, axis=1)
    blank = ops.cast(unlabeled, keras.backend.standardize_dtype(rows.dtype))
    rows = ops.where(is_empty[:, None], blank, rows)
    rows, _ = kind.read(rows, "queue_labels", queue_size)
    return rows, is_empty


def _of_function(
    y_true: Tensor,
    weight: Weight,
    batch_size: Any,
    queue_labels: Tensor | None,
    queue_size: Any,
) -> LabelPairs:
    labels = _as_rows(y_true, "y_true")
    rows = is_empty = None
    if queue_size is not None:
        if queue_labels is None:
            raise ValueError(
                "`queue_labels` should be given where `positives` is a function of labels. "
                "Received: queue_labels=None"
            )
        rows = _read_rows(_as_rows(queue_labels, "queue_labels"), "queue_labels", queue_size)
        is_float = "float" in keras.backend.standardize_dtype(rows.dtype)
        is_empty = ops.all(ops.isnan(rows) if is_float else rows < -1, axis=1)
        rows = ops.where(is_empty[:, None], ops.zeros_like(rows), rows)
    labels = _read_rows(labels, "y_true", batch_size)
    return LabelPairs(_checked(weight), labels, queue_labels=rows, queue_is_empty=is_empty)


def _checked(weight: Weight) -> Weight:
    """Returns a function of labels whose results have a weight for each pair, NaN if negative: no
    program could raise an error between its tiles.
    """

    def checked(own: Tensor, others: Tensor) -> Tensor:
        weights = weight(own, others)
        weights = ops.zeros(()) if weights is None else ops.convert_to_tensor(weights)
        expected, shape = (own.shape[0], others.shape[0]), tuple(weights.shape)
        if len(shape) != 2 or any(
            None not in sizes and len({*sizes}) > 1 for sizes in zip(shape, expected, strict=True)
        ):
            raise ValueError(
                f"`positives` should return weights {expected} for blocks of labels of so many "
                f"rows. Received: weights of shape {shape}"
            )
        weights = ops.cast(weights, "float32")
        return ops.where(weights < 0, float("nan"), weights)

    return checked


def _as_numbers(values: Tensor, name: str) -> Tensor:
    """Returns a tensor of numbers.

    Raises:
        ValueError: For strings, and rows of several lengths.
    """
    if isinstance(values, (str, list, tuple, np.ndarray)):
        try:
            kind = np.asarray(values).dtype.kind
        except ValueError:  # rows of several lengths
            kind = "O"
        if kind in "OSU":
            raise ValueError(f"`{name}` should hold numbers. Received: {name}={values!r}")
    return ops.convert_to_tensor(values)


def _as_rows(labels: Tensor, name: str) -> Tensor:
    labels = _as_numbers(labels, name)
    return labels[:, None] if len(labels.shape) == 1 else labels

"""Checks of methods with a queue, and the labels that go into it."""

from typing import Any

import keras
from keras import ops

from keras_supcon.models.joint_classifier import class_labels
from keras_supcon.ops.standardize import class_ids_if_any, require_in_graph
from keras_supcon.typing import Tensor, TensorTree


def check_kind_of_loss(
    model: keras.Model, loss: Any, kinds: tuple[type[keras.losses.Loss], ...], expected: str
) -> None:
    """Raises `ValueError` if a model is compiled with another loss than one of some kinds.

    Args:
        model: The model, whose class the message names.
        loss: Argument of `compile`.
        kinds: The kinds.
        expected: What the message calls them, behind "should be a ".
    """
    if not isinstance(loss, kinds):
        raise ValueError(
            f"`loss` of `{type(model).__name__}` should be a {expected}. Received: loss={loss!r}"
        )
    positives = getattr(loss, "positives", "class")
    if positives != "class":
        raise ValueError(
            f"`loss` of `{type(model).__name__}` should have positives='class': the model keeps "
            f"class ids. Received: positives={positives!r}"
        )


def check_rows_fit(queue_size: int, num_rows: int | Tensor, inputs: TensorTree) -> TensorTree:
    """Raises `ValueError` if the rows of a batch do not fit into a queue.

    Args:
        queue_size: Slots of the queue.
        num_rows: Rows that the batch adds, a number or a tensor in a graph.
        inputs: The batch.

    Returns:
        The batch. What reads it in a graph fails if the rows do not fit.
    """
    sentence = "`queue_size` should be at least the number of rows that a batch adds"
    received = f"Received: queue_size={queue_size}"
    if not isinstance(num_rows, int):
        message = f"{sentence}. {received}, number of rows"
        return require_in_graph(num_rows <= queue_size, inputs, message, received=num_rows)
    if num_rows > queue_size:
        raise ValueError(f"{sentence}, {num_rows}. {received}")
    return inputs


def labels_for_queue(
    model: keras.Model, y: Tensor, num_classes: int | None = None
) -> tuple[Tensor, Tensor | None]:
    """Returns the class ids that a queue keeps of a batch.

    Labels that the loss does not look at may be of any kind: those that are no class ids count as
    unlabeled.

    Args:
        model: A compiled model.
        y: Labels of the batch.
        num_classes: A number that ids should be below, or None.

    Returns:
        `(labels, is_ignored)`: int32 `(batch,)`, -1 for unlabeled; and bool `(batch,)`, whether the
        loss ignores a sample, so that it is in no pair, or None for none.
    """
    if not (model.loss.uses_labels or model.needs_labels):
        return class_ids_if_any(y), None
    ignore_class = getattr(model.loss, "ignore_class", None)
    is_ignored = None if ignore_class is None else ops.equal(ops.reshape(y, (-1,)), ignore_class)
    return class_labels(y, num_classes, ignore_class), is_ignored

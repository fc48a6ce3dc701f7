"""Builds the `Contrast` of a loss call."""

from typing import Any

import keras
from keras import ops

from keras_supcon.arguments import check_whole_number_or_none
from keras_supcon.distribution.gathered_contrast import gathered_contrast
from keras_supcon.losses.temperature import is_tensor, square_root
from keras_supcon.ops import (
    Contrast,
    convert_rows,
    l2_normalize,
    limit_norm,
    standardize_batch,
    standardize_labels,
)

# Squared it is far from the largest float32, so that sums of dot products stay finite.
LARGEST_NORM = 1e15


def loss_contrast(
    y_true: Any,
    y_pred: Any,
    *,
    temperature: Any = 1.0,
    normalize: bool = True,
    gather: bool = True,
    block_size: int | None = None,
    contrast_mode: str = "all",
    positives_cap: int | None = None,
    queue: Any = None,
    queue_labels: Any = None,
    ignore_class: int | None = None,
) -> Contrast:
    """Builds the `Contrast` of a batch: its dot products are the logits `z_i.z_j / temperature`."""
    check_whole_number_or_none("block_size", block_size, at_least=1)
    class_ids, projections = standardize_batch(y_true, y_pred, ignore_class)
    num_views, dim = projections.shape[1:]
    if positives_cap is not None and positives_cap % num_views:
        raise ValueError(
            "`positives_cap` should be a multiple of the number of views. "
            f"Received: positives_cap={positives_cap} for {num_views} views"
        )
    queue, queue_ids = _standardize_queue(queue, queue_labels, dim, projections.dtype, ignore_class)
    # A queue without labels has no ids to ignore.
    queue_is_ignored = (
        None if ignore_class is None or queue_labels is None else ops.equal(queue_ids, ignore_class)
    )
    is_known = not is_tensor(temperature)
    temperature = float(temperature) if is_known else temperature
    root = square_root(temperature, projections.dtype)

    inputs = [projections] if queue is None else [projections, queue]

    def limited(rows: Any) -> Any:
        if normalize:
            return l2_normalize(rows)
        shortest = min(root, 1.0) if is_known else ops.minimum(ops.stop_gradient(root), 1.0)
        return limit_norm(rows, LARGEST_NORM * shortest)

    # Rows and not logits are scaled: N x dim numbers and not N x N.
    projections = limited(projections) * (1.0 / root)
    queue, queue_scale = None if queue is None else limited(queue), None
    if queue is not None and is_known:
        queue = queue * (1.0 / root)
    elif queue is not None:
        queue_scale = 1.0 / root  # not part of the queue, which takes no gradient
    return gathered_contrast(
        class_ids,
        projections,
        gather=gather,
        ignore_class=ignore_class,
        first_view_only=contrast_mode == "one",
        max_samples=None if positives_cap is None else positives_cap // num_views,
        queue=queue,
        queue_class_ids=queue_ids,
        queue_scale=queue_scale,
        queue_is_ignored=queue_is_ignored,
        largest_dot_product=1.0 / (temperature if is_known else root * root) if normalize else None,
        block_size=block_size,
        inputs=inputs,
    )


def _standardize_queue(
    queue: Any, queue_labels: Any, dim: int, dtype: Any, ignore_class: int | None
) -> tuple[Any, Any]:
    if queue is None:
        if queue_labels is not None:
            raise ValueError(
                "`queue_labels` should be None without a `queue`. Received: "
                f"queue_labels={queue_labels!r}"
            )
        return None, None
    queue = convert_rows(queue, keras.backend.standardize_dtype(dtype))
    if len(queue.shape) != 2 or queue.shape[1] != dim:
        raise ValueError(
            f"`queue` should have shape (queue, {dim}), the dim of `y_pred`. Received: "
            f"queue.shape={tuple(queue.shape)}"
        )
    if queue_labels is None:
        return queue, ops.full((ops.shape(queue)[0],), -1, dtype="int32")
    queue_ids = standardize_labels(queue_labels, ignore_class)
    rows, labels = queue.shape[0], queue_ids.shape[0]
    if rows is not None and labels is not None and rows != labels:
        raise ValueError(
            "`queue_labels` should have as many rows as `queue`. "
            f"Received: queue_labels with {labels} rows, queue.shape={tuple(queue.shape)}"
        )
    return queue, queue_ids

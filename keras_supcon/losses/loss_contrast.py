"""Builds the `Contrast` of a loss call."""

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_supcon.distribution import gather_across_replicas
from keras_supcon.distribution.gathered_contrast import gathered_contrast
from keras_supcon.losses.positives import label_pairs, matrix_pairs, refuse_options_of_class_ids
from keras_supcon.losses.temperature import is_tensor, square_root
from keras_supcon.ops import Contrast, LabelPairs, l2_normalize, standardize_batch
from keras_supcon.ops.normalization import limit_norm
from keras_supcon.ops.standardize import (
    standardize_centers,
    standardize_keys,
    standardize_projections,
    standardize_queue,
    with_center_for_each,
)
from keras_supcon.ops.weighted_contrast import Weight
from keras_supcon.typing import Tensor

# Squared it is far from the largest float32, so that sums of dot products stay finite.
LARGEST_NORM = 1e15
# Unlabeled, and not -1, which `ignore_class` may name.
_NO_CLASS = -(2**31)


def loss_contrast(
    y_true: Tensor,
    y_pred: Tensor,
    *,
    temperature: float | Tensor = 1.0,
    normalize: bool = True,
    gather: bool = True,
    block_size: int | None = None,
    contrast_mode: str = "all",
    positives_cap: int | None = None,
    in_batch_keys: bool = True,
    trainable_keys: bool = False,
    ignore_class: int | None = None,
    self_supervised_class: int | None = None,
    keys: Tensor | None = None,
    queue: Tensor | None = None,
    queue_labels: Tensor | None = None,
    positives: str | Weight = "class",
    level_weights: tuple[float, ...] | None = None,
    pair_weights: Tensor | None = None,
    centers: Tensor | None = None,
) -> Contrast:
    """Builds the `Contrast` of a batch: its dot products are the logits `z_i.z_j / temperature`.

    Args:
        y_true: As for `ops.standardize_batch`.
        y_pred: As for `ops.standardize_batch`.
        temperature: Positive number or scalar tensor.
        normalize: Scales rows, keys and the queue to unit length.
        gather: Contrasts against the rows, or keys, of all replicas.
        block_size: Rows in a block of the pairwise computation; None picks it.
        contrast_mode: `"all"`, or `"one"` for anchors of the first view alone.
        positives_cap: Limit on positives, in rows; None for no limit.
        in_batch_keys: Whether keys of other samples are candidates.
        trainable_keys: Whether keys take a gradient.
        ignore_class: A class id whose samples are in no pair; None for no such id.
        self_supervised_class: A class id whose samples count as unlabeled; None for no such id.
        keys: Rows of the shape of `y_pred` that are contrasted with it in its stead.
        queue: Further constant rows `(queue, dim)`.
        queue_labels: Their class ids `(queue,)`, below -1 for empty slots.
        positives: Kind of the labels.
        level_weights: Weights of the levels of a hierarchy.
        pair_weights: A matrix of weights in place of labels.
        centers: Further rows `(classes, dim)` with gradient, one of each class.

    Returns:
        The `Contrast`.

    Raises:
        ValueError: If an input has another form, or inputs and options do not go together.
    """
    of_class = positives == "class" and pair_weights is None
    if of_class:
        class_ids, projections = standardize_batch(y_true, y_pred, ignore_class)
        if centers is not None:
            centers = standardize_centers(centers, projections)
            class_ids, centers = with_center_for_each(class_ids, centers, ignore_class)
    else:
        projections = standardize_projections(y_pred)
        class_ids = ops.full((ops.shape(projections)[0],), -1, dtype="int32")
    if pair_weights is not None:
        refuse_options_of_class_ids(
            "with `pair_weights`, which stand in place of class ids",
            positives_cap=positives_cap,
            ignore_class=ignore_class,
            self_supervised_class=self_supervised_class,
        )
    num_views = projections.shape[1]
    if positives_cap is not None and positives_cap % num_views:
        raise ValueError(
            "`positives_cap` should be a multiple of the number of views. "
            f"Received: positives_cap={positives_cap} for {num_views} views"
        )
    if not in_batch_keys and (keys is None or queue is None):
        raise ValueError(
            "`in_batch_keys=False` needs `keys` and a `queue`, to contrast anchors with their own "
            f"keys and the queue. Received: {'keys' if keys is None else 'queue'}=None"
        )
    if trainable_keys and keys is None:
        raise ValueError(
            "`trainable_keys=True` needs `keys`, to pass gradient to. Received: keys=None"
        )
    if queue is None and queue_labels is not None:
        raise ValueError(
            "`queue_labels` should be None without a `queue`. Received: "
            f"queue_labels={queue_labels!r}"
        )
    if keys is not None:
        keys = standardize_keys(keys, projections)
    queue_ids = queue_is_ignored = None
    if queue is not None:
        queue, queue_ids, queue_is_ignored = standardize_queue(
            queue, queue_labels if of_class else None, projections, ignore_class
        )
    if self_supervised_class is not None:
        class_ids = _without_class(class_ids, self_supervised_class)
        queue_ids = None if queue is None else _without_class(queue_ids, self_supervised_class)
    pairs = None
    if not of_class:
        pairs = _pairs_of(
            y_true, positives, level_weights, pair_weights, projections, queue, queue_labels, gather
        )
    inputs = [rows for rows in (projections, keys, queue, centers) if rows is not None]

    is_known = not is_tensor(temperature)
    temperature = float(temperature) if is_known else temperature
    root = square_root(temperature, projections.dtype)

    def limited(rows: Tensor) -> Tensor:
        if normalize:
            return l2_normalize(rows)
        shortest = min(root, 1.0) if is_known else ops.minimum(ops.stop_gradient(root), 1.0)
        return limit_norm(rows, LARGEST_NORM * shortest)

    def scaled(rows: Tensor) -> Tensor:
        # Rows and not logits are scaled: N x dim numbers and not N x N.
        return limited(rows) * (1.0 / root)

    def constant(rows: Tensor | None) -> Tensor | None:
        """Scales rows without gradient; a temperature that is learned stays outside of them."""
        if rows is None:
            return None
        return scaled(rows) if is_known else limited(rows)

    given = {"queue_class_ids": queue_ids, "queue_is_ignored": queue_is_ignored}
    if centers is not None:
        given["centers"] = scaled(centers)
        if ignore_class is not None:
            ids = ops.arange(centers.shape[0], dtype="int32")
            given["center_is_ignored"] = ops.equal(ids, ignore_class)
    if not of_class:
        given = {"pairs": pairs}
    return gathered_contrast(
        class_ids,
        scaled(projections),
        gather=gather,
        ignore_class=ignore_class,
        keys=scaled(keys) if trainable_keys else constant(keys),
        trainable_keys=trainable_keys,
        own_keys_only=not in_batch_keys,
        first_view_only=contrast_mode == "one",
        max_samples=None if positives_cap is None else positives_cap // num_views,
        queue=constant(queue),
        queue_scale=None if is_known else 1.0 / root,
        **given,
        largest_dot_product=1.0 / (temperature if is_known else root * root) if normalize else None,
        block_size=block_size,
        inputs=inputs,
    )


def _pairs_of(
    y_true: Tensor,
    positives: str | Weight,
    level_weights: tuple[float, ...] | None,
    pair_weights: Tensor | None,
    projections: Tensor,
    queue: Tensor | None,
    queue_labels: Tensor | None,
    gather: bool,
) -> Callable[[Any, Any], LabelPairs]:
    """Returns what makes the weights of pairs of `gathered_contrast`."""
    batch_size, queue_size = _length(projections), None if queue is None else _length(queue)
    if pair_weights is not None:
        return lambda global_size, offset: matrix_pairs(
            pair_weights, batch_size, global_size, offset, queue_labels, queue_size
        )
    pairs = label_pairs(
        y_true,
        positives,
        batch_size,
        level_weights=level_weights,
        queue_labels=queue_labels,
        queue_size=queue_size,
    )
    if gather:
        (labels,), _ = gather_across_replicas(pairs.labels)
        pairs = pairs._replace(labels=labels)
    return lambda *_: pairs


def _without_class(class_ids: Tensor, class_id: int) -> Tensor:
    """Returns class ids with an unlabeled one, that no option ignores, in place of one of them."""
    return ops.where(ops.equal(class_ids, class_id), ops.full_like(class_ids, _NO_CLASS), class_ids)


def _length(rows: Tensor) -> Any:
    return ops.shape(rows)[0] if rows.shape[0] is None else rows.shape[0]

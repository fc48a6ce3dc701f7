"""Which pairs of rows are the same row, and which are positives of each other."""

from typing import Any

from keras import ops


def self_pairs(anchor_index: Any, contrast_index: Any) -> Any:
    """Marks the pairs in which anchor and contrast are the same row.

    Args:
        anchor_index: Integer tensor `(anchors,)`, the position of each anchor among the contrast rows.
        contrast_index: Integer tensor `(contrasts,)`, the positions of the contrast rows.

    Returns:
        Boolean tensor `(anchors, contrasts)`.
    """
    return ops.equal(ops.expand_dims(anchor_index, 1), ops.expand_dims(contrast_index, 0))


def positive_pairs(anchor_labels: Any, contrast_labels: Any, anchor_samples: Any, contrast_samples: Any) -> Any:
    """Marks the pairs that show the same class, or the same sample where the class is unknown.

    Args:
        anchor_labels: Integer tensor `(anchors,)`, class ids; -1 is unlabelled.
        contrast_labels: Integer tensor `(contrasts,)`, class ids; -1 is unlabelled.
        anchor_samples: Integer tensor `(anchors,)`: the sample that each anchor is a view of.
        contrast_samples: Integer tensor `(contrasts,)`: the sample that each contrast row is a view of.

    Returns:
        Boolean tensor `(anchors, contrasts)`. A row is a positive of itself here; callers that need P(i) of the
        paper take `self_pairs` away.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.ops import positive_pairs
    >>> labels, samples = ops.array([4, 4, -1, -1]), ops.array([0, 1, 2, 2])
    >>> print(ops.convert_to_numpy(positive_pairs(labels, labels, samples, samples)).astype(int).tolist())
    [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    """
    anchor_labels = ops.expand_dims(anchor_labels, 1)
    same_class = ops.logical_and(
        ops.equal(anchor_labels, ops.expand_dims(contrast_labels, 0)), ops.greater_equal(anchor_labels, 0)
    )
    return ops.logical_or(same_class, self_pairs(anchor_samples, contrast_samples))

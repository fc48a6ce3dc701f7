"""The pairs of a batch over all replicas."""

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_supcon.distribution.gather import gather_across_replicas
from keras_supcon.ops import Contrast, LabelPairs, WeightedContrast
from keras_supcon.typing import Tensor


def gathered_contrast(
    class_ids: Tensor,
    projections: Tensor,
    *,
    gather: bool = True,
    ignore_class: int | None = None,
    keys: Tensor | None = None,
    pairs: Callable[[Any, Any], LabelPairs] | None = None,
    **options: Any,
) -> Contrast:
    """Builds the `Contrast` of this replica's anchors and the rows of all replicas.

    Args:
        class_ids: Class ids of this replica, int32 `(batch,)`; -1 for unlabeled.
        projections: Projections of this replica, `(batch, views, dim)`.
        gather: Contrasts against the rows of all replicas under `tf.distribute`.
        ignore_class: A class id whose samples are in no pair; None for no such id.
        keys: Keys of this replica's projections, `(batch, views, dim)`, which are contrasted with
            them in their stead; None contrasts projections with one another.
        pairs: Makes weights of pairs by labels in place of class ids, from the number of samples
            of all replicas and of those before this one's; None for pairs by class.
        **options: Further arguments of `keras_supcon.ops.Contrast`.

    Returns:
        The `Contrast`.
    """
    contrasts = projections if keys is None else keys
    (all_contrasts, all_ids), offset = (contrasts, class_ids), 0
    if gather:
        (all_contrasts, all_ids), offset = gather_across_replicas(contrasts, class_ids)
    options |= {
        "own_projections": None if all_contrasts is projections else projections,
        "offset": offset,
        "are_keys": keys is not None,
    }
    if pairs is not None:
        global_size = all_contrasts.shape[0]
        global_size = ops.shape(all_contrasts)[0] if global_size is None else global_size
        of_labels = pairs(global_size, offset)
        return WeightedContrast(all_contrasts, of_labels, **options)
    is_ignored = None if ignore_class is None else ops.equal(all_ids, ignore_class)
    return Contrast(all_ids, all_contrasts, is_ignored=is_ignored, **options)

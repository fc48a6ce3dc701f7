"""Warns where random batches will hold few positives."""

import warnings
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_supcon.losses.base import ContrastiveLoss
from keras_supcon.models.batch_checks import holds_samples, known_batch_size
from keras_supcon.ops import standardize_labels
from keras_supcon.random_batches import no_other_of_class
from keras_supcon.user_lines import stacklevel_of_user

# Of batches of 256 of ImageNet 77% of the anchors are alone, and of CIFAR-100 7%.
_MOST_ALONE = 0.5


def warn_of_few_positives(model: keras.Model, arguments: dict[str, Any]) -> None:
    """Warns if most labeled samples will be the only ones of their class in their batch.

    Args:
        model: A model with a contrastive loss of class ids. Other losses have other positives.
        arguments: Arguments of `fit`. Only arrays are looked at, whose batches `fit` draws.
    """
    loss, y = model.loss, arguments.get("y")
    is_supervised = isinstance(loss, ContrastiveLoss) and loss.uses_labels
    if not is_supervised or getattr(loss, "positives", "class") != "class":
        return
    if getattr(model, "class_centers", None) is not None:  # a positive of every labeled anchor
        return
    if getattr(loss, "self_supervised_class", None) is not None:  # chosen to have no other positive
        return
    if y is None or not holds_samples(arguments.get("x")) or not arguments.get("shuffle", True):
        return
    batch_size = known_batch_size(arguments["x"], arguments.get("batch_size"))
    if batch_size is None:  # all samples are in one batch
        return
    ids = ops.convert_to_numpy(standardize_labels(y, getattr(loss, "ignore_class", None)))
    is_labeled = (ids >= 0) & (ids != getattr(loss, "ignore_class", None))
    _, counts = np.unique(ids[is_labeled], return_counts=True)
    if not len(counts) or counts.max() == 1:  # each sample is a class by itself, as in SimCLR
        return
    others = np.ones(np.sum(~is_labeled), counts.dtype)
    odds = no_other_of_class(np.concatenate([counts, others]), batch_size)[: len(counts)]
    alone = float(np.sum(odds * counts) / counts.sum())
    if alone > _MOST_ALONE:
        warnings.warn(
            f"In random batches of {batch_size}, {alone:.0%} of the labeled samples will be the "
            "only ones of their class, so that the labels add no positive to their own views. "
            "`keras_supcon.data.balanced_batches` makes batches of several samples of a class, and "
            "`keras_supcon.data.expected_positives` says how many larger batches would hold.",
            stacklevel=stacklevel_of_user(),
        )

"""Checks that a compiled model and its labels fit a contrastive loss, before training begins."""

from typing import Any

import keras
from keras import tree

from keras_supcon.losses.base import ContrastiveLoss
from keras_supcon.ops import standardize_labels

# What Keras picks by the shapes of labels and outputs, which it takes for scores of classes.
_OF_CLASS_SCORES = ("acc", "accuracy", "ce", "crossentropy")


def check_metrics(model: keras.Model) -> None:
    """Raises `ValueError` for metrics of class scores beside a contrastive loss, whose outputs are projections."""
    if not isinstance(getattr(model, "loss", None), ContrastiveLoss):
        return
    config = model.get_compile_config()
    for argument in ("metrics", "weighted_metrics"):
        for metric in tree.flatten(config.get(argument)):
            if metric in _OF_CLASS_SCORES:
                raise ValueError(
                    f"`{argument}` should compare projections with one another, as "
                    "`keras_supcon.metrics.ContrastiveAccuracy()` does: a model with a contrastive loss gives no scores of "
                    f"classes. A `LinearClassifier` does, in stage two. Received: {argument}={config[argument]}"
                )


def check_labels(model: keras.Model, y: Any) -> None:
    """Raises `ValueError` for labels that the loss does not take, if they are arrays.

    Programs that XLA compiles, as on JAX, cannot raise, and PyTorch finds out at the batch that is wrong.
    """
    loss = getattr(model, "loss", None)
    if y is not None and isinstance(loss, ContrastiveLoss) and loss.uses_labels:
        standardize_labels(y)

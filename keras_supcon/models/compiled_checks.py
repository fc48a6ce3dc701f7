"""Checks that a compiled model and its labels fit a contrastive loss, before training begins."""

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_supcon.losses.base import ContrastiveLoss
from keras_supcon.ops import standardize_labels

# Names for which Keras chooses a metric by the shapes of labels and outputs, as if these were scores of classes.
_OF_CLASS_SCORES = ("acc", "accuracy", "ce", "crossentropy")


def check_metrics(model: keras.Model) -> None:
    """Raises `ValueError` for metrics of class scores beside a contrastive loss, whose outputs are projections."""
    if not isinstance(getattr(model, "loss", None), ContrastiveLoss):
        return
    config = model.get_compile_config()
    for argument in ("metrics", "weighted_metrics"):
        if any(_is_of_class_scores(metric) for metric in _metrics(config.get(argument))):
            raise ValueError(
                f"`{argument}` should compare projections with one another, as "
                "`keras_supcon.metrics.ContrastiveAccuracy()` does: a model with a contrastive loss gives no scores of "
                f"classes. A `LinearClassifier` does, in stage two. Received: {argument}={config[argument]}"
            )


def check_labels(model: keras.Model, y: Any) -> None:
    """Raises `ValueError` for labels that the loss does not take, if they are arrays.

    Programs that XLA compiles, as on JAX, cannot raise, and elsewhere only the batch that is wrong would.
    """
    loss = getattr(model, "loss", None)
    if y is not None and isinstance(loss, ContrastiveLoss) and loss.uses_labels:
        standardize_labels(y if keras.ops.is_tensor(y) else np.asarray(y))


def _metrics(config: Any) -> Iterator[Any]:
    """Yields the names and serialized objects in what `compile` got as metrics."""
    if isinstance(config, Mapping) and "class_name" not in config:
        config = list(config.values())
    if not isinstance(config, (list, tuple)):
        yield config
        return
    for part in config:
        yield from _metrics(part)


def _is_of_class_scores(metric: Any) -> bool:
    if isinstance(metric, Mapping):
        is_of_keras = metric.get("module") == "keras.metrics"
        return is_of_keras and metric["class_name"].endswith(("Accuracy", "Crossentropy"))
    return metric in _OF_CLASS_SCORES

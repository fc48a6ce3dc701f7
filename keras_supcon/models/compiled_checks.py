"""Checks that a compiled model and its labels fit a contrastive loss, before training begins."""

import types
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_supcon.losses.base import ContrastiveLoss
from keras_supcon.models.joint_classifier import class_labels
from keras_supcon.ops import standardize_labels
from keras_supcon.typing import TensorTree

# Names for which Keras chooses a metric by the shapes of labels and outputs, as if these were
# scores of classes.
_OF_CLASS_SCORES = ("acc", "accuracy", "ce", "crossentropy")


def check_metrics(model: keras.Model) -> None:
    """Raises `ValueError` for metrics of class scores beside a contrastive loss.

    The outputs of such a model are projections.
    """
    # A method with a loss of its own gives projections, whatever its loss is.
    if _contrastive_loss(model) is None and model.default_loss() is None:
        return
    config = model.get_compile_config()
    for argument in ("metrics", "weighted_metrics"):
        if any(_is_of_class_scores(metric) for metric in _metrics(config.get(argument))):
            raise ValueError(
                f"`{argument}` should compare projections with one another, as "
                "`keras_supcon.metrics.ContrastiveAccuracy()` does: a model with a contrastive "
                "loss gives no scores of classes. A `LinearClassifier` does, in stage two. "
                f"Received: {argument}={config[argument]}"
            )


def check_labels(model: keras.Model, y: Any) -> None:
    """Raises `ValueError` for arrays of labels that the loss does not take.

    Programs compiled by XLA, as on JAX, cannot raise. Elsewhere only the wrong batch would.
    """
    if y is None or not _uses_labels(model):
        return
    y = y if keras.ops.is_tensor(y) else np.asarray(y)
    loss = _contrastive_loss(model)
    if loss is None:
        standardize_labels(y)
    else:
        loss.check_labels(y)
    if model.num_label_classes is not None:
        class_labels(y, model.num_label_classes, getattr(loss, "ignore_class", None))


def check_first_labels(model: keras.Model, data: Any) -> Any:
    """Raises `ValueError` if the loss does not take the labels of the first batch.

    This is checked only where XLA compiles the step: on JAX, and with `jit_compile=True`. Elsewhere
    each step checks its batch.

    Args:
        model: A compiled model.
        data: Argument `x` of `fit` or `evaluate`: batches in any form that Keras takes. Other data
            pass. One batch is read, as Keras on JAX reads one to build the model.

    Returns:
        The data. A generator is replaced by one that yields the batch again.
    """
    is_compiled = keras.backend.backend() == "jax" or bool(model.jit_compile)
    if not is_compiled or model.run_eagerly or not _uses_labels(model):
        return data
    if isinstance(data, keras.utils.PyDataset):
        try:
            batch = data[0]
        except Exception:  # it may want `on_epoch_begin` first
            return data
    elif hasattr(data, "element_spec") and hasattr(data, "take"):  # tf.data, not distributed
        batch = next(iter(data.take(1)), None)
    elif isinstance(data, types.GeneratorType):
        batch = next(data, None)
        data = _again(batch, data)
    elif hasattr(data, "__iter__") and hasattr(data, "batch_size"):  # torch's DataLoader
        batch = next(iter(data), None)
    else:
        return data
    if isinstance(batch, (tuple, list)):
        _, labels, _ = keras.utils.unpack_x_y_sample_weight(tuple(batch))
        check_labels(model, labels)
    return data


def _again(batch: TensorTree, rest: Iterator[Any]) -> Iterator[Any]:
    if batch is not None:
        yield batch
    yield from rest


def _uses_labels(model: keras.Model) -> bool:
    loss = _contrastive_loss(model)
    return model.needs_labels or (loss is not None and loss.uses_labels)


def _contrastive_loss(model: keras.Model) -> ContrastiveLoss | None:
    """Returns the one compiled loss of a model, if it is a contrastive one."""
    losses = keras.tree.flatten(getattr(model, "loss", None))
    return losses[0] if len(losses) == 1 and isinstance(losses[0], ContrastiveLoss) else None


def check_allows_unlabeled(model: keras.Model) -> None:
    """Raises `ValueError` for a loss that would ignore every sample of data without labels."""
    positives = getattr(_contrastive_loss(model), "positives", "class")
    if positives != "class":
        raise ValueError(
            "The data should have the labels that `positives` of the loss names. Received: images "
            f"alone, for a loss with positives={positives!r}"
        )
    if getattr(_contrastive_loss(model), "ignore_class", None) == -1:
        raise ValueError(
            "The data should have labels where the loss ignores unlabeled samples. "
            "Received: images alone, for a loss with ignore_class=-1"
        )


def check_names_classes(model: keras.Model) -> None:
    """Raises `ValueError` for a loss whose labels name no single class, beside weights of these."""
    positives = getattr(_contrastive_loss(model), "positives", "class")
    if positives != "class":
        raise ValueError(
            "`class_weight` should be None for a loss whose labels name no single class of a "
            "sample; `sample_weight` weighs samples of any labels. Received: class_weight, for a "
            f"loss with positives={positives!r}"
        )


def _metrics(config: Any) -> Iterator[Any]:
    """Yields the names and serialized objects of the metrics of a compile config."""
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

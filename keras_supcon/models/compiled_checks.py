"""Checks that a compiled model and its labels fit a contrastive loss, before training begins."""

import types
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_supcon.losses.base import ContrastiveLoss
from keras_supcon.metrics import ExpectedCalibrationError
from keras_supcon.metrics.batch_metric import BatchMetric
from keras_supcon.models.joint_classifier import class_labels
from keras_supcon.ops import standardize_labels
from keras_supcon.typing import TensorTree

# Names for which Keras chooses a metric by the shapes of labels and outputs, as if these were
# scores of classes.
_OF_CLASS_SCORES = ("acc", "accuracy", "ce", "crossentropy")


def check_metrics(model: keras.Model, given: Mapping[str, Any]) -> None:
    """Raises `ValueError` for metrics that do not go with a contrastive loss and its labels.

    The outputs of such a model are projections, not scores of classes. Metrics that compare classes
    need class ids; programs compiled by XLA would make wrong ones of the rows of other labels.

    Args:
        model: A compiled model.
        given: The arguments `metrics` and `weighted_metrics` of its `compile`, by name.
    """
    loss = _contrastive_loss(model)
    # A method with a loss of its own gives projections, whatever its loss is.
    if loss is None and model.default_loss() is None:
        return
    positives = getattr(loss, "positives", "class")
    for argument, metrics in given.items():
        for metric in keras.tree.flatten(metrics):
            if _is_of_class_scores(metric):
                raise ValueError(
                    f"`{argument}` should compare projections with one another, as "
                    "`keras_supcon.metrics.ContrastiveAccuracy()` does: a model with a contrastive "
                    "loss gives no scores of classes. A `LinearClassifier` does, in stage two. "
                    f"Received: {argument}={metrics}"
                )
            if positives != "class" and isinstance(metric, BatchMetric) and metric.reads_class_ids:
                raise ValueError(
                    f"`{argument}` should not compare classes where `positives` of the loss is not "
                    f"'class': `{type(metric).__name__}` needs class ids. `EffectiveRank` and "
                    f"`Uniformity` take labels of any kind. Received: {argument} with "
                    f"{metric.name!r}, for a loss with positives={positives!r}"
                )


def check_classifier(model: keras.Model) -> None:
    """Raises `ValueError` for a classifier of class ids beside a loss of labels of other kinds.

    A function of labels passes, since these may be class ids.
    """
    positives = getattr(_contrastive_loss(model), "positives", "class")
    if getattr(model, "classifier", None) is None or callable(positives) or positives == "class":
        return
    raise ValueError(
        "`classifier` should be None for a loss with other `positives` than 'class': it learns "
        f"from class ids, and labels are of the kind {positives!r}. A `LinearClassifier` on the "
        f"encoder may have labels of its own. Received: classifier={model.classifier.name!r}, for "
        f"a loss with positives={positives!r}"
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
    if model.num_label_classes is None:
        return
    try:
        class_labels(y, model.num_label_classes, getattr(loss, "ignore_class", None))
    except ValueError as error:
        positives = getattr(loss, "positives", "class")
        if positives == "class":
            raise
        raise ValueError(
            "`classifier` should have class ids as labels, beside a loss with "
            f"positives={positives!r}. {error}"
        ) from error


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


def _is_of_class_scores(metric: Any) -> bool:
    if isinstance(metric, ExpectedCalibrationError):
        return True
    name = type(metric).__name__
    is_of_keras = getattr(keras.metrics, name, None) is type(metric)
    if is_of_keras and isinstance(metric, keras.metrics.Metric):
        return name.endswith(("Accuracy", "Crossentropy"))
    return isinstance(metric, str) and metric in _OF_CLASS_SCORES

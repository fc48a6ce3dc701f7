"""A classifier beside the contrastive loss, on the same features."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_supcon.arguments import check_whole_number, is_whole
from keras_supcon.losses.logit_adjusted import adjusted_logits
from keras_supcon.losses.logit_adjusted import cross_entropy as cross_entropy_of_rows
from keras_supcon.ops import standardize_labels
from keras_supcon.typing import Tensor


def make_classifier(classifier: keras.layers.Layer | int | None) -> keras.layers.Layer | None:
    """Returns a layer that gives logits, a dense one for a number of classes.

    Raises:
        ValueError: If it is something else, or a layer whose activation makes probabilities.
    """
    if classifier is None:
        return None
    if is_whole(classifier):
        units = check_whole_number("classifier", classifier, at_least=2)
        return keras.layers.Dense(units, dtype="float32", name="classifier")
    if not isinstance(classifier, keras.layers.Layer):
        raise ValueError(
            "`classifier` should be a number of classes, a Keras layer that gives logits, or None. "
            f"Received: classifier={classifier!r}"
        )
    last = last_layer(classifier)
    activation = getattr(last, "activation", None)
    if isinstance(last, keras.layers.Softmax):
        activation = keras.activations.softmax
    if activation in (keras.activations.softmax, keras.activations.sigmoid):
        raise ValueError(
            "`classifier` should give logits: a layer without an activation. Received: a layer "
            f"with activation={activation.__name__!r}"
        )
    return classifier


def last_layer(classifier: keras.layers.Layer) -> keras.layers.Layer:
    """Returns the last layer of a sequential or functional model; another layer itself."""
    while getattr(classifier, "layers", None) and (
        isinstance(classifier, keras.Sequential) or hasattr(classifier, "inputs")
    ):
        classifier = classifier.layers[-1]
    return classifier


def cross_entropy(
    labels: Tensor, logits: Tensor, class_counts: Sequence[float] | None = None
) -> Tensor:
    """Returns the cross-entropy of each sample, the mean over views; of unlabeled ones 0.

    Args:
        labels: Class ids `(batch,)`, -1 for unlabeled.
        logits: `(batch, views, classes)`.
        class_counts: Sizes of the classes, for logits to be adjusted by them; None for no sizes.
    """
    if keras.backend.standardize_dtype(logits.dtype) != "float64":
        logits = ops.cast(logits, "float32")
    if class_counts is not None:
        logits = adjusted_logits(logits, class_counts)
    labels = ops.broadcast_to(labels[:, None], ops.shape(logits)[:2])
    return ops.mean(cross_entropy_of_rows(labels, logits), axis=1)


def class_labels(y: Tensor, num_classes: int | None, ignore_class: int | None) -> Tensor:
    """Returns class ids `(batch,)`, -1 for samples that the contrastive loss ignores too."""
    if ignore_class is not None:
        y = ops.convert_to_tensor(y)
        y = ops.where(ops.equal(y, ignore_class), ops.full_like(y, -1), y)
    return standardize_labels(y, num_classes=num_classes)

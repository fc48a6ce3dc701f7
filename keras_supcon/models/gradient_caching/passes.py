"""What a pass of the encoder over one view of a micro-batch reads and changes, alike on every
backend.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras_supcon.distribution.batch_normalization import batch_normalizations


def project(model: keras.Model, views: Any) -> Any:
    """Projections `(rows, dim)` of one view of a micro-batch."""
    features = model.encode(views, training=True)
    return ops.cast(model.projection_head(features, training=True), projection_dtype(model))


def projection_dtype(model: keras.Model) -> str:
    """At least float32: half precision would round the gradient between the passes and the sums
    over rows.
    """
    return keras.backend.result_type(model.projection_head.compute_dtype, "float32")


def running_states(model: keras.Model) -> list[Any]:
    """The floating-point state that the encoder and the head update when they run, such as moving
    averages.
    """
    states = [*model.encoder.non_trainable_weights, *model.projection_head.non_trainable_weights]
    return [state for state in states if "float" in keras.backend.standardize_dtype(state.dtype)]


def synchronized_states(model: keras.Model) -> set[int]:
    """Identities of the moving averages that all replicas share."""
    layers = synchronized_batch_normalizations(model)
    return {id(weight) for layer in layers for weight in layer.non_trainable_weights}


def synchronized_batch_normalizations(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    return [layer for layer in batch_normalizations(model) if layer.synchronized]


@contextlib.contextmanager
def statistics_of_micro_batches(model: keras.Model) -> Iterator[None]:
    """Takes the statistics of synchronized batch normalization from the micro-batch of this
    replica.

    TensorFlow cannot gather within the loop over micro-batches; their moving averages are gathered
    after it.
    """
    layers = synchronized_batch_normalizations(model)
    for layer in layers:
        layer.synchronized = False
    try:
        yield
    finally:
        for layer in layers:
            layer.synchronized = True


def activity_losses(model: keras.Model) -> list[Any]:
    """What layers added to the loss in the pass just run, without the penalties of weights, which
    are no matter of a pass.
    """
    penalties = sum(weight.regularizer is not None for weight in model.trainable_weights)
    losses = model.losses  # those of activities come first
    return [model._aggregate_additional_loss(loss) for loss in losses[: len(losses) - penalties]]


def forget_activity_losses(model: keras.Model) -> None:
    """Drops losses that belong to the inside of a loop."""
    model._clear_losses()

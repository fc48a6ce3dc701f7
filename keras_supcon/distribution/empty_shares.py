"""Replicas that get no row of a last batch which is smaller than their number, or is shared out so.

TensorFlow runs them all the same. Statistics over no rows are NaN, and some of its convolutions on
processors refuse them.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import tree

from keras_supcon.distribution.batch_normalization import batch_normalizations
from keras_supcon.distribution.replicas import replica_context
from keras_supcon.distribution.xla import is_tracing_for_xla

# Replicas are traced in threads of their own, which take turns within a layer.
_call = threading.local()


def call_on_a_row_at_least(call: Callable[[Any], Any], inputs: Any, model: keras.Model) -> Any:
    """Calls a model or its parts on inputs, and on one row of zeros in place of none, which then
    does not count.

    The row is not in the outputs, and so has no gradient, nor in the statistics of batch
    normalization. Where inputs cannot be empty, which shapes say that are static, this is a plain
    call.

    Args:
        call: What computes outputs from inputs.
        inputs: A structure of tensors with one length on axis 0.
        model: The model whose layers are called.

    Returns:
        Outputs with the length of the inputs.
    """
    if not _may_be_empty(inputs):
        return call(inputs)
    import tensorflow as tf

    for layer in batch_normalizations(model):
        layer._moments = functools.partial(_moments_of_rows, layer)
    is_empty = tf.equal(tf.shape(tree.flatten(inputs)[0])[0], 0)

    def with_a_row(tensor: tf.Tensor) -> tf.Tensor:
        row_shape = tf.concat([[1], tf.shape(tensor)[1:]], 0)
        filled = tf.cond(is_empty, lambda: tf.zeros(row_shape, tensor.dtype), lambda: tensor)
        return tf.ensure_shape(filled, (None, *tensor.shape[1:]))

    with _within_call(is_empty):
        outputs = call(tree.map_structure(with_a_row, inputs))
    return tree.map_structure(functools.partial(_rows, is_empty), outputs)


def is_on_placeholder_row() -> Any:
    """Returns whether the running call is on a row that stands in for none: False, or a tensor."""
    is_empty = getattr(_call, "is_empty", None)
    return False if is_empty is None else is_empty


def _may_be_empty(inputs: Any) -> bool:
    """Whether this is one of several replicas, outside of another such call, and its tensors may
    have no rows.
    """
    if (
        replica_context() is None
        or is_tracing_for_xla()
        or getattr(_call, "is_empty", None) is not None
    ):
        return False
    import tensorflow as tf

    tensors = tree.flatten(inputs)
    return all(
        isinstance(tensor, tf.Tensor) and tensor.shape.rank and not tensor.shape[0]
        for tensor in tensors
    )


@contextlib.contextmanager
def _within_call(is_empty: Any) -> Iterator[None]:
    _call.is_empty = is_empty
    try:
        yield
    finally:
        _call.is_empty = None


def _rows(is_empty: Any, tensor: Any) -> Any:
    """The rows of a tensor, of which there are none if one stood in for them."""
    import tensorflow as tf

    rows = tensor[: tf.where(is_empty, 0, tf.shape(tensor)[0])]
    mask = getattr(tensor, "_keras_mask", None)
    if mask is not None:
        rows._keras_mask = _rows(is_empty, mask)
    return rows


def _moments_of_rows(
    layer: keras.layers.BatchNormalization, inputs: Any, mask: Any
) -> tuple[Any, Any]:
    """Replaces the method of the layer, whose moving averages stay where they are in a replica
    without rows.
    """
    import tensorflow as tf

    moments, is_empty = (
        functools.partial(type(layer)._moments, layer),
        getattr(_call, "is_empty", None),
    )
    if is_empty is None:
        return moments(inputs, mask)
    if layer.synchronized and mask is None:
        return moments(_rows(is_empty, inputs), None)
    averages = (layer.moving_mean, layer.moving_variance)
    return tuple(
        tf.where(is_empty, tf.cast(average, moment.dtype), moment)
        for average, moment in zip(averages, moments(inputs, mask), strict=True)
    )

"""Replicas that receive no rows of a short last batch.

TensorFlow runs them all the same. Statistics over no rows are NaN, and some of its convolutions on
CPUs refuse an empty batch.
"""

import contextlib
import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import tree

from keras_supcon._keras_internals import attach_mask, mask_of, wrapped_methods
from keras_supcon.distribution.batch_normalization import batch_normalizations
from keras_supcon.distribution.replicas import replica_context
from keras_supcon.ops.compiling import is_for_xla
from keras_supcon.typing import Tensor, TensorTree

# Replicas are traced in threads of their own, which take turns within a layer.
_call = threading.local()


def call_with_placeholder_row(
    call: Callable[[TensorTree], TensorTree], inputs: TensorTree, model: keras.Model
) -> TensorTree:
    """Calls a model or its parts, with one row of zeros in place of an empty batch.

    The row is not in the outputs, so it has no gradient, and it does not enter the statistics of
    batch normalization. Where static shapes show that the batch is not empty, this is a plain call.

    Args:
        call: Function from inputs to outputs.
        inputs: A structure of tensors with one length on axis 0.
        model: The model whose layers are called.

    Returns:
        Outputs with the length of the inputs.
    """
    if not _may_be_empty(inputs):
        return call(inputs)
    import tensorflow as tf

    is_empty = tf.equal(tf.shape(tree.flatten(inputs)[0])[0], 0)
    layers = batch_normalizations(model)
    with wrapped_methods(layers, "call", _without_placeholder), _within_call(is_empty):
        outputs = call(tree.map_structure(functools.partial(_fill, is_empty), inputs))
    return tree.map_structure(functools.partial(_rows, is_empty), outputs)


def _may_be_empty(inputs: TensorTree) -> bool:
    """Checks whether this is one of several replicas, outside of another such call, and its tensors
    may have no rows.
    """
    if replica_context() is None or is_for_xla() or getattr(_call, "is_empty", None) is not None:
        return False
    import tensorflow as tf

    tensors = tree.flatten(inputs)
    return all(
        isinstance(tensor, tf.Tensor) and tensor.shape.rank and not tensor.shape[0]
        for tensor in tensors
    )


@contextlib.contextmanager
def _within_call(is_empty: Tensor) -> Iterator[None]:
    _call.is_empty = is_empty
    try:
        yield
    finally:
        _call.is_empty = None


def _fill(is_empty: Tensor, tensor: Tensor, num_rows: Tensor | int = 1) -> Tensor:
    """Returns a tensor, or rows of zeros in place of none."""
    import tensorflow as tf

    shape = tf.concat([[num_rows], tf.shape(tensor)[1:]], 0)
    filled = tf.cond(is_empty, lambda: tf.zeros(shape, tensor.dtype), lambda: tensor)
    return tf.ensure_shape(filled, (None, *tensor.shape[1:]))


def _rows(is_empty: Tensor, tensor: Tensor) -> Tensor:
    """Returns the rows of a tensor without the placeholder."""
    import tensorflow as tf

    rows = tensor[: tf.where(is_empty, 0, tf.shape(tensor)[0])]
    mask = mask_of(tensor)
    if mask is not None:
        attach_mask(rows, _rows(is_empty, mask))
    return rows


def _without_placeholder(
    layer: keras.layers.BatchNormalization, call: Callable[..., Tensor]
) -> Callable[..., Tensor]:
    """Returns the `call` of a batch normalization layer to which a placeholder row does not count.

    Synchronized layers compute on the true rows, of which this replica has none. The moving
    averages of others stay unchanged in a replica without rows.
    """
    import tensorflow as tf

    signature = inspect.signature(call)

    @functools.wraps(call)
    def call_on_rows(*args: Any, **kwargs: Any) -> Tensor:
        is_empty = getattr(_call, "is_empty", None)
        given = {**kwargs, **signature.bind(*args, **kwargs).arguments}
        if is_empty is None or not (given.get("training") and layer.trainable):
            return call(*args, **kwargs)
        if layer.synchronized and given.get("mask") is None:
            inputs = args[0] if args else kwargs.pop("inputs")
            outputs = call(_rows(is_empty, inputs), *args[1:], **kwargs)
            return _fill(is_empty, outputs, tf.shape(inputs)[0])
        return _with_averages_kept(is_empty, layer, lambda: call(*args, **kwargs))

    return call_on_rows


def _with_averages_kept(
    is_empty: Tensor, layer: keras.layers.BatchNormalization, call: Callable[[], Tensor]
) -> Tensor:
    import tensorflow as tf

    averages = layer.non_trainable_weights
    before = [tf.identity(average.value) for average in averages]
    outputs = call()
    for average, value in zip(averages, before, strict=True):
        average.assign(tf.where(is_empty, value, average.value))
    return outputs

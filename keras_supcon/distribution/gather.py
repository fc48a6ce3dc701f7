"""Rows of all replicas, with gradient."""

from typing import Any

import keras


def gather_across_replicas(*tensors: Any) -> tuple[tuple[Any, ...], Any]:
    """Concatenates tensors over the replicas of a `tf.distribute` strategy.

    The gradient flows back to the replica that each row came from, so that a loss over the gathered rows has the
    gradient of one replica that holds the global batch. Without a strategy, with one replica, and on JAX
    (where `keras.distribution` gives every array its global meaning) and PyTorch the tensors come back unchanged.

    Args:
        *tensors: Tensors of one length on axis 0. The length may differ between replicas.

    Returns:
        `(gathered, offset)`: the tensors over all replicas in the order of the replicas, and how many rows lie before
        this replica's own.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.distribution import gather_across_replicas
    >>> (rows, labels), offset = gather_across_replicas(ops.zeros((6, 4)), ops.arange(6))
    >>> tuple(rows.shape), offset
    ((6, 4), 0)
    """
    if keras.backend.backend() != "tensorflow":
        return tensors, 0
    import tensorflow as tf

    # Keras calls the loss once outside any replica to find shapes; the context is None there.
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return tensors, 0
    # One call a tensor: a list that mixes host (int32) and device tensors is refused by TensorFlow.
    gathered = tuple(
        # all_gather forgets the static sizes of the other axes.
        tf.ensure_shape(context.all_gather(tensor, axis=0), (None, *tensor.shape[1:]))
        for tensor in tensors
    )
    lengths = context.all_gather(tf.shape(tensors[0])[:1], axis=0)
    return gathered, tf.reduce_sum(lengths[: context.replica_id_in_sync_group])

"""Rows of all replicas, with gradient."""

from typing import Any

from keras_supcon.distribution.replicas import replica_context
from keras_supcon.distribution.xla import is_tracing_for_xla


def gather_across_replicas(*tensors: Any) -> tuple[tuple[Any, ...], Any]:
    """Concatenates tensors over the replicas of a `tf.distribute` strategy.

    The gradient flows back to the replica that each row came from, so that a loss over the gathered
    rows has the gradient of one replica that holds the global batch. Without a strategy, with one
    replica, and on JAX (where `keras.distribution` gives every array its global meaning) and
    PyTorch the tensors come back unchanged.

    On TPUs and in programs for XLA, where shapes are static, all replicas must hold the same number
    of rows.

    Args:
        *tensors: Tensors of one length on axis 0. The length may differ between replicas.

    Returns:
        `(gathered, offset)`: the tensors over all replicas in the order of the replicas, and how
        many rows lie before this replica's own.

    Raises:
        ValueError: If XLA compiles and the number of rows is not static.

    Example:

    >>> from keras import ops
    >>> from keras_supcon.distribution import gather_across_replicas
    >>> (rows, labels), offset = gather_across_replicas(ops.zeros((6, 4)), ops.arange(6))
    >>> tuple(rows.shape), offset
    ((6, 4), 0)
    """
    context = replica_context()
    if context is None:
        return tensors, 0
    import tensorflow as tf

    if is_tracing_for_xla() or isinstance(context.strategy, tf.distribute.TPUStrategy):
        num_rows = tensors[0].shape[0]
        if num_rows is None:
            raise ValueError(
                "Programs for XLA should get batches of a static size, as of `dataset.batch(size, "
                "drop_remainder=True)`. "
                f"Received: a tensor of shape {tuple(tensors[0].shape)}"
            )
        gathered = tuple(_gather_by_sum(context, tensor) for tensor in tensors)
        return gathered, context.replica_id_in_sync_group * num_rows
    # One call a tensor: a list that mixes host (int32) and device tensors is refused by TensorFlow.
    gathered = tuple(
        # all_gather forgets the static sizes of the other axes.
        tf.ensure_shape(context.all_gather(tensor, axis=0), (None, *tensor.shape[1:]))
        for tensor in tensors
    )
    lengths = context.all_gather(tf.shape(tensors[0])[:1], axis=0)
    return gathered, tf.reduce_sum(lengths[: context.replica_id_in_sync_group])


def _gather_by_sum(context: Any, tensor: Any) -> Any:
    """Every replica puts its rows into zeros of the size of all rows, and the sum over the replicas
    is the concatenation.

    It moves more than `all_gather`, but XLA has the sum and its gradient wherever there are
    replicas.
    """
    import tensorflow as tf

    own = tf.one_hot(
        context.replica_id_in_sync_group, context.num_replicas_in_sync, dtype=tensor.dtype
    )
    placed = tf.reshape(own, (-1, *[1] * tensor.shape.rank)) * tensor[tf.newaxis]
    summed = context.all_reduce(tf.distribute.ReduceOp.SUM, placed)
    return tf.reshape(summed, (-1, *tensor.shape[1:]))


def whole_batch_factor(count: Any, is_of_rows: bool = False) -> Any:
    """What a replica's mean must be multiplied by, so that the mean over replicas is the mean over
    the global batch.

    `tf.distribute` averages the replicas' means alike, although the last batch may be shared out
    unevenly: with counts n and R replicas the factor is n R / sum(n), which is 1 for equal shares.

    Args:
        count: Float scalar, what this replica's mean is divided by.
        is_of_rows: Whether it is a number of rows, which all replicas have alike where shapes are
            static.

    Returns:
        Float scalar; None where there is one replica, and where all are known to have as many rows.
    """
    context = replica_context()
    if context is None:
        return None
    import tensorflow as tf

    if is_of_rows and (
        is_tracing_for_xla() or isinstance(context.strategy, tf.distribute.TPUStrategy)
    ):
        return None
    total = context.all_reduce(tf.distribute.ReduceOp.SUM, count)
    return tf.math.divide_no_nan(count * tf.cast(context.num_replicas_in_sync, count.dtype), total)

"""Rows of all replicas, with gradient."""

from typing import Any

from keras import ops

from keras_supcon._keras_internals import is_tracing_for_xla
from keras_supcon.distribution.replicas import replica_context
from keras_supcon.typing import Tensor


def gather_across_replicas(*tensors: Tensor) -> tuple[tuple[Tensor, ...], Tensor | int]:
    """Concatenates tensors over the replicas of a `tf.distribute` strategy.

    The gradient flows back to the replica that each row came from, so that a loss over the gathered
    rows has the gradient of a single replica that holds the global batch. The tensors are returned
    unchanged without a strategy, with one replica, on JAX (where `keras.distribution` gives every
    array its global meaning) and on PyTorch.

    On TPUs and in programs for XLA, where shapes are static, all replicas must hold the same number
    of rows.

    Args:
        *tensors: Tensors of one length on axis 0. The length may differ between replicas.

    Returns:
        `(gathered, offset)`: the tensors over all replicas, in the order of the replicas, and the
        number of rows before this replica's own.

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
                f"drop_remainder=True)`. Received: a tensor of shape {tuple(tensors[0].shape)}"
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


def _gather_by_sum(context: Any, tensor: Tensor) -> Tensor:
    """Gathers a tensor by a sum over the replicas.

    Every replica places its rows into zeros of the size of all rows. The sum moves more data than
    `all_gather`, but XLA supports it and its gradient wherever there are replicas.
    """
    import tensorflow as tf

    own = tf.one_hot(
        context.replica_id_in_sync_group, context.num_replicas_in_sync, dtype=tensor.dtype
    )
    placed = tf.reshape(own, (-1, *[1] * tensor.shape.rank)) * tensor[tf.newaxis]
    summed = context.all_reduce(tf.distribute.ReduceOp.SUM, placed)
    return tf.reshape(summed, (-1, *tensor.shape[1:]))


def whole_batch_factor(count: Tensor, is_of_rows: bool = False) -> Tensor | None:
    """Computes the factor that turns means over replicas into the mean over the global batch.

    `tf.distribute` averages the means of the replicas with equal weights, although the shards of
    the last batch may differ in size. With counts n and R replicas the factor is n R / sum(n),
    which is 1 for equal shards.

    Args:
        count: Float scalar, the divisor of this replica's mean.
        is_of_rows: Whether it is a number of rows, which is equal on all replicas where shapes are
            static.

    Returns:
        Float scalar. None for a single replica, and where all replicas are known to have as many
        rows.
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


def whole_batch_mean(values: Tensor) -> Tensor:
    """Computes means over the samples of the global batch, whatever the replicas hold of it.

    On JAX, where `keras.distribution` gives every array its global meaning, that is the mean.

    Args:
        values: Float tensor `(k, batch)`.

    Returns:
        Float tensor `(k,)`, the same on all replicas, without gradient. 0 for an empty batch.
    """
    values = ops.stop_gradient(values)
    count = ops.zeros_like(values[:1]) + 1.0
    sums = ops.sum(ops.concatenate([values, count], axis=0), axis=1)
    context = replica_context()
    if context is not None:
        import tensorflow as tf

        sums = context.all_reduce(tf.distribute.ReduceOp.SUM, sums)
    return sums[:-1] / ops.maximum(sums[-1], 1.0)

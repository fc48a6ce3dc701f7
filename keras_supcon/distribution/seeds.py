"""Random numbers that differ between replicas."""

from typing import Any

import keras

from keras_supcon.distribution.replicas import replica_context

# Far more than the seeds that layers of one model differ by.
_REPLICA_STRIDE = 1_000_003


@keras.saving.register_keras_serializable(package="keras_supcon")
class ReplicaSeedGenerator(keras.random.SeedGenerator):
    """A `keras.random.SeedGenerator` whose draws differ between the replicas of a `tf.distribute`
    strategy.

    Keras gives every replica the same random numbers, so that the images of all replicas would be
    augmented alike. Here the number of the replica goes into each drawn seed; the state stays the
    same on all replicas, and one replica draws what `keras.random.SeedGenerator` draws.

    Args:
        seed: Integer, or None for a random one.
        **kwargs: As for `keras.random.SeedGenerator`.

    Example:

    >>> import keras, numpy as np
    >>> from keras_supcon.distribution import ReplicaSeedGenerator
    >>> ours, plain = ReplicaSeedGenerator(7), keras.random.SeedGenerator(7)
    >>> np.array_equal(keras.random.uniform((3,), seed=ours), keras.random.uniform((3,), seed=plain))
    True
    """

    def next(self, ordered: bool = True) -> Any:
        seed = super().next(ordered)
        context = replica_context()
        if context is None:
            return seed
        import tensorflow as tf

        replica = tf.cast(context.replica_id_in_sync_group, seed.dtype)
        return seed + tf.stack([replica * _REPLICA_STRIDE, tf.zeros((), seed.dtype)])

"""The replica that runs."""

from typing import Any

import keras


def replica_context() -> Any | None:
    """Returns the `tf.distribute.ReplicaContext` of the running replica, or None for a single
    replica.

    It is also None on the other backends, and outside of replicas, where Keras calls layers and
    losses once to learn shapes.
    """
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return None if context is None or context.num_replicas_in_sync == 1 else context

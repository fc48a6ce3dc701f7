"""Which replica this is."""

from typing import Any

import keras


def replica_context() -> Any | None:
    """The `tf.distribute.ReplicaContext` of the running replica, or None where there is one replica
    only.

    None too on the other backends, and outside of the replicas, where Keras calls layers and losses
    once to find shapes.
    """
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return None if context is None or context.num_replicas_in_sync == 1 else context

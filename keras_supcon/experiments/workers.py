"""The processes that train together."""

import dataclasses
import os
import secrets
import signal
import sys

import keras

from keras_supcon import distribution
from keras_supcon.typing import Strategy, Tensor


@dataclasses.dataclass(frozen=True)
class Workers:
    """This process among those that train together.

    Args:
        strategy: Result of `keras_supcon.distribution.strategy`.
    """

    strategy: Strategy

    @classmethod
    def join(cls, kind: str, tpu: str | None, num_virtual_cpus: int | None) -> "Workers":
        """Chooses the strategy, and says if that may wait for other workers.

        Args:
            kind: As in `keras_supcon.distribution.strategy`, and so the other arguments.
            tpu: Name or address of a TPU.
            num_virtual_cpus: Number of devices that the processor is split into.
        """
        may_wait = bool(os.environ.get("TF_CONFIG")) and kind in ("auto", "multi_worker")
        if may_wait:
            print(
                "If TF_CONFIG lists other workers, training begins when all are there.",
                file=sys.stderr,
            )
        strategy = distribution.strategy(kind, tpu, num_virtual_cpus)
        if may_wait:
            # TensorFlow takes SIGTERM as a notice only, and trains on.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        return cls(strategy)

    @property
    def replicas(self) -> int:
        """Number of devices that share a batch."""
        return distribution.num_replicas(self.strategy)

    @property
    def index(self) -> int:
        """Number of this process, 0 for the chief."""
        return distribution.worker(self.strategy)[0]

    @property
    def count(self) -> int:
        """Number of processes."""
        return distribution.worker(self.strategy)[1]

    @property
    def is_chief(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self.index == 0

    @property
    def hosts(self) -> int:
        """Number of hosts; of a TPU pod one process directs the pipelines of all hosts."""
        return getattr(getattr(self.strategy, "extended", None), "num_hosts", self.count)

    def broadcast(self, number: int) -> int:
        """Waits for all workers, and returns the number of the chief."""
        if self.count == 1:
            return number
        if keras.backend.backend() == "jax":
            from jax.experimental import multihost_utils

            return int(multihost_utils.broadcast_one_to_all(number))
        import tensorflow as tf

        def of_first_replica() -> Tensor:
            is_first = tf.equal(tf.distribute.get_replica_context().replica_id_in_sync_group, 0)
            return tf.where(is_first, number, 0)

        strategy = self.strategy
        return int(strategy.reduce("SUM", strategy.run(of_first_replica), axis=None))

    def wait(self) -> None:
        """Waits for all workers."""
        self.broadcast(0)

    def has_ended(self, error: Exception) -> bool:
        """Returns whether an error says that another worker has ended."""
        if self.count == 1:
            return False
        import tensorflow as tf

        ends = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)
        return isinstance(error, ends)


def random_start() -> int:
    """Returns a number that tells one start of a run from others."""
    return secrets.randbits(30)

"""The processes that train together."""

import os
import secrets
import signal
import sys
from typing import Any

import keras
import tensorflow as tf

from keras_supcon import distribution


def choose_strategy(kind: str, tpu: str | None, num_virtual_cpus: int | None) -> Any:
    """`distribution.strategy` for a program."""
    may_wait = bool(os.environ.get("TF_CONFIG")) and kind in ("auto", "multi_worker")
    if may_wait:
        print(
            "If TF_CONFIG lists other workers, training begins when all are there.", file=sys.stderr
        )
    strategy = distribution.strategy(kind, tpu, num_virtual_cpus)
    if may_wait:
        signal.signal(
            signal.SIGTERM, signal.SIG_DFL
        )  # TensorFlow takes it as a notice alone, and trains on
    return strategy


def new_start() -> int:
    """A number for a start of the program, to tell it from others."""
    return secrets.randbits(30)


def number_of_chief(strategy: Any, number: int) -> int:
    """Returns, when all workers have come here, the number that the first of them came with."""
    if distribution.worker(strategy)[1] == 1:
        return number
    if keras.backend.backend() == "jax":
        from jax.experimental import multihost_utils

        return int(multihost_utils.broadcast_one_to_all(number))

    def of_first_replica() -> tf.Tensor:
        is_first = tf.equal(tf.distribute.get_replica_context().replica_id_in_sync_group, 0)
        return tf.where(is_first, number, 0)

    return int(strategy.reduce("SUM", strategy.run(of_first_replica), axis=None))


def wait_for_all(strategy: Any) -> None:
    """Returns when all workers have come here."""
    number_of_chief(strategy, 0)

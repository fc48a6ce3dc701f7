"""Replicas in this process."""

import pytest


@pytest.fixture(scope="session")
def strategy():
    """One for all tests: a second strategy in a process numbers its collectives from the start again, and they clash."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

"""Fixtures of tests that compute little."""

import keras
import pytest


@pytest.fixture
def eager_functions():
    """Runs TensorFlow's functions eagerly: a trace takes as long as twenty runs."""
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)

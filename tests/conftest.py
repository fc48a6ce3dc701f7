"""Settings that must come before the first tensor."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
import pytest

BACKEND = keras.backend.backend()

if BACKEND == "tensorflow":
    import tensorflow as tf

    # Two logical processors, so that tests can run two replicas. Only possible before TensorFlow starts.
    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)


@pytest.fixture(autouse=True)
def _fixed_seed():
    keras.utils.set_random_seed(1234)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20200423)


@pytest.fixture(scope="session")
def photographs() -> list[np.ndarray]:
    """The two photographs that scikit-learn ships, uint8 `(427, 640, 3)`."""
    from sklearn.datasets import load_sample_images

    return load_sample_images().images


@pytest.fixture(scope="session")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """The training digits, uint8 `(1442, 8, 8, 1)`, and their labels."""
    from keras_supcon.data.digits import read_digits

    return read_digits("train")

"""Several replicas step as one replica on the global batch."""

import keras
import numpy as np
import pytest

from keras_supcon.optimizers import LARS, WarmUp


@pytest.mark.slow
@pytest.mark.parametrize("classic", [True, False])
def test_the_trust_ratio_is_that_of_the_gradient_of_the_whole_batch(rng, strategy, classic):
    import contextlib

    import tensorflow as tf

    x = rng.normal(size=(32, 6)).astype("float32")
    weights = []
    for scope in (contextlib.nullcontext(), strategy.scope()):
        with scope:
            keras.utils.set_random_seed(0)
            layers = [
                keras.layers.Dense(8, activation="tanh"),
                keras.layers.BatchNormalization(synchronized=True),
            ]
            model = keras.Sequential([keras.Input((6,)), *layers, keras.layers.Dense(1)])
            optimizer = LARS(
                WarmUp(0.05, 4), trust_coefficient=1.0, weight_decay=1e-2, classic_momentum=classic
            )
            model.compile(optimizer, "mse")
        dataset = tf.data.Dataset.from_tensor_slices((x, x[:, :1])).batch(16, drop_remainder=True)
        model.fit(dataset, epochs=4, verbose=0)
        weights.append(model.get_weights())
    for mirrored, single in zip(weights[1], weights[0], strict=True):
        np.testing.assert_allclose(mirrored, single, rtol=1e-4, atol=1e-5)

"""What only TensorFlow has: XLA beside graphs, its own variables, and gradients of looked-up rows
alone.
"""

import keras
import numpy as np
import pytest

from keras_supcon.encoders import ResNet
from keras_supcon.optimizers import LARS

if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow only", allow_module_level=True)

import tensorflow as tf


@pytest.mark.parametrize(
    ("classic", "nesterov"), [(True, False), (True, True), (False, False), (False, True)]
)
def test_steps_under_xla_as_it_does_eagerly(rng, classic, nesterov):
    start, gradients = (
        rng.normal(size=(4, 3)).astype("float32"),
        rng.normal(size=(3, 4, 3)).astype("float32"),
    )

    def stepped(jit_compile: bool) -> np.ndarray:
        kernel = keras.Variable(start, name="kernel")
        optimizer = LARS(
            0.1,
            trust_coefficient=1.0,
            weight_decay=1e-2,
            nesterov=nesterov,
            classic_momentum=classic,
        )
        optimizer.build([kernel])
        step = tf.function(
            lambda gradient: optimizer.apply([gradient], [kernel]), jit_compile=jit_compile
        )
        for gradient in gradients:
            step(tf.constant(gradient))
        return kernel.numpy()

    np.testing.assert_allclose(
        stepped(jit_compile=True), stepped(jit_compile=False), rtol=1e-5, atol=1e-6
    )


def test_fits_a_model_compiled_by_xla(rng):
    x = rng.normal(size=(32, 6)).astype("float32")
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    model.compile(LARS(0.05, trust_coefficient=1.0, weight_decay=1e-2), "mse", jit_compile=True)
    losses = model.fit(x, x[:, :1], batch_size=8, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


def test_by_default_adapts_the_kernels_of_the_encoder_alone():
    encoder = ResNet(10, width=1 / 64)
    encoder.build((None, 8, 8, 3))
    optimizer = LARS(0.1, weight_decay=1e-4)
    optimizer.build(encoder.trainable_variables)
    kernels = tuple(len(variable.shape) == 4 for variable in encoder.trainable_variables)
    assert 0 < sum(kernels) < len(kernels)
    assert optimizer._adapts == optimizer._decays == kernels


def test_takes_variables_of_tensorflow():
    kernel, bias = (
        tf.Variable([3.0, 4.0], name="dense/kernel"),
        tf.Variable([1.0], name="dense/bias"),
    )
    optimizer = LARS(1.0, momentum=0.0, trust_coefficient=0.1, weight_decay=0.5)
    optimizer.build([kernel, bias])
    assert optimizer._adapts == optimizer._decays == (True, False)
    optimizer.update_step(tf.constant([-1.5, 18.0]), kernel, 1.0)
    optimizer.update_step(tf.constant([1.0]), bias, 1.0)
    np.testing.assert_allclose(kernel.numpy(), [3.0, 3.5], rtol=1e-6)
    np.testing.assert_allclose(bias.numpy(), [0.0])


def test_rows_that_were_not_looked_up_decay_too():
    table = keras.Variable(np.ones((3, 2), "float32"), name="embeddings")
    looked_up = tf.IndexedSlices(
        tf.ones((2, 2)), tf.constant([0, 0]), dense_shape=tf.constant([3, 2])
    )
    optimizer = LARS(0.1, momentum=0.0, weight_decay=0.5, exclude_from_adaptation=(".",))
    optimizer.apply([looked_up], [table])
    np.testing.assert_allclose(table.numpy(), [[0.75, 0.75], [0.95, 0.95], [0.95, 0.95]], rtol=1e-6)

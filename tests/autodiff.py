"""Gradients on every backend, and compiled steps."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops


def value_and_gradient(function: Callable[[Any], Any], x: np.ndarray) -> tuple[float, np.ndarray]:
    """Value of a scalar function and its gradient at `x`, by the autodiff of the backend."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        x = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = function(x)
        gradient = tape.gradient(value, x)
    elif backend == "jax":
        import jax

        value, gradient = jax.value_and_grad(function)(jax.numpy.asarray(x))
    else:
        import torch

        x = torch.tensor(x, requires_grad=True)
        value = function(x)
        value.backward()
        gradient = x.grad
    return float(ops.convert_to_numpy(value)), ops.convert_to_numpy(gradient)


def compiled_value_and_gradient(
    function: Callable[[Any], Any], x: np.ndarray
) -> tuple[float, np.ndarray]:
    """As `value_and_gradient`, of one XLA program that computes both; on PyTorch, whose trainer
    does not compile, as it is.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        def step(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                value = function(x)
            return value, tape.gradient(value, x)

        value, gradient = tf.function(step, jit_compile=True, autograph=False)(tf.constant(x))
    elif backend == "jax":
        import jax

        value, gradient = jax.jit(jax.value_and_grad(function))(jax.numpy.asarray(x))
    else:
        return value_and_gradient(function, x)
    return float(ops.convert_to_numpy(value)), ops.convert_to_numpy(gradient)


# On JAX every step outside a program is compiled alone for every new shape, a loop even anew at
# every call. That takes five times as long as compiling all.
quickest_value_and_gradient = (
    compiled_value_and_gradient if keras.backend.backend() == "jax" else value_and_gradient
)


def quickest(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Returns the function as one program on JAX, where one compiles sooner than its steps, and as
    it is elsewhere.
    """
    return compiled(function) if keras.backend.backend() == "jax" else function


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as an XLA program; on PyTorch, whose Keras trainer does not compile, the
    function itself.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    if backend == "jax":
        import jax

        return jax.jit(function)
    return function

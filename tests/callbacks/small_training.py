"""A small training with every kind of state, and what is left after it."""

import random

import keras
import numpy as np
from keras import ops

from keras_supcon import ContrastiveModel, ProjectionHead, SupConLoss

BACKEND = keras.backend.backend()
SIZE, CLASSES = 4, 3


class NoiseAlways(keras.layers.Layer):
    """Draws from a seed generator of its own, in inference mode too."""

    def __init__(self):
        super().__init__()
        self.generator = keras.random.SeedGenerator(5)

    def call(self, x):
        return x + 0.01 * keras.random.normal(ops.shape(x), seed=self.generator)


class CountsTraining(keras.layers.Layer):
    """Counts how often Python runs it in training, which in compiled steps is when it is traced."""

    number = 0

    def call(self, x, training=False):
        CountsTraining.number += bool(training)
        return x


def images(number=24, seed=0):
    """Makes separable images of three classes and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(number) % CLASSES
    centers = np.random.default_rng(9).random((CLASSES, SIZE, SIZE, 1))
    noise = 0.4 * rng.normal(size=(number, SIZE, SIZE, 1))
    return np.clip(centers[labels] + noise, 0, 1).astype("float32"), labels


def make_model(more_layers=list, run_eagerly=BACKEND == "tensorflow", seed=7):
    """Makes a compiled model, with layers that a function makes. Graphs are slow to trace."""
    keras.utils.set_random_seed(seed)
    encoder = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(8),
            keras.layers.BatchNormalization(),
            *more_layers(),
        ]
    )
    model = ContrastiveModel(encoder, ProjectionHead(4, hidden_units=()), num_views=1)
    model.build((None, SIZE, SIZE, 1))
    model.compile(optimizer=keras.optimizers.Adam(0.02), loss=SupConLoss(), run_eagerly=run_eagerly)
    return model


def fit(model, callbacks=(), epochs=3, **options):
    x, y = images()
    return model.fit(
        x, y, batch_size=12, epochs=epochs, callbacks=list(callbacks), verbose=0, **options
    )


def state(model):
    """Returns the bits of all variables: weights, averages, seeds, optimizer, metrics."""
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    return [ops.convert_to_numpy(one).tobytes() for one in variables]


def draws():
    """Draws from every generator outside of the model."""
    numbers = [
        random.random(),
        np.random.random(),
        *ops.convert_to_numpy(keras.random.uniform((3,))).tolist(),
        *ops.convert_to_numpy(keras.random.SeedGenerator().state.value).tolist(),
    ]
    if BACKEND == "torch":
        import torch

        numbers += torch.rand(2).tolist()
    elif BACKEND == "tensorflow":
        import tensorflow as tf

        numbers += tf.random.uniform((2,)).numpy().tolist()
    return numbers

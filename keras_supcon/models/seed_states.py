"""Saves the states of seed generators in the files of Keras."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_supcon.seeds import seed_of_evaluation

_KEY = "seed_states"


class SavesSeedStates:
    """Mix-in that saves the seed states of a model and its parts in `.keras` and `.weights.h5`.

    Keras saves the weights of each layer, but not the states of seed generators: a loaded model
    would repeat the dropout masks and augmentations from the start of training. A file without
    them, from an older version or another class, loads and does not change the states. On PyTorch
    dropout without a `seed` draws from torch's own generator instead. Goes before `keras.Model`.

    Raises:
        ValueError: On loading, if the file has the states of another number of generators.

    Example:

    >>> import os, tempfile
    >>> import keras
    >>> from keras_supcon.models.seed_states import SavesSeedStates, seed_states
    >>> class Noisy(SavesSeedStates, keras.Model):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.dropout = keras.layers.Dropout(0.5, seed=7)
    ...     def call(self, x, training=False):
    ...         return self.dropout(x, training=training)
    >>> trained, fresh = Noisy(), Noisy()
    >>> y = trained(keras.ops.ones((2, 3)), training=True), fresh(keras.ops.ones((2, 3)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     trained.save_weights(os.path.join(folder, "a.weights.h5"))
    ...     fresh.load_weights(os.path.join(folder, "a.weights.h5"))
    >>> [bool(keras.ops.all(a == b)) for a, b in zip(seed_states(trained), seed_states(fresh))]
    [True]
    """

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        states = seed_states(self)
        if states:
            store[_KEY] = np.stack([ops.convert_to_numpy(state) for state in states])

    def load_own_variables(self, store: Any) -> None:
        keys = list(store.keys())
        super().load_own_variables({key: store[key] for key in keys if key != _KEY})
        if _KEY not in keys:
            return
        states, values = seed_states(self), np.asarray(store[_KEY])
        if len(states) != len(values):
            raise ValueError(
                "The file should be of a model with as many seed generators (dropout, "
                f"augmentation): `{self.name}` has {len(states)}. "
                f"Received: a file with the states of {len(values)}"
            )
        for state, value in zip(states, values, strict=True):
            state.assign(value)


@contextlib.contextmanager
def fixed_seeds(layer: keras.layers.Layer) -> Iterator[None]:
    """Makes a layer and its parts draw the same numbers each time, and restores their states."""
    states = seed_states(layer)
    kept = [ops.copy(state) for state in states]
    for place, state in enumerate(states):
        state.assign(seed_of_evaluation(place))
    try:
        yield
    finally:
        for state, value in zip(states, kept, strict=True):
            state.assign(value)


def seed_states(model: keras.layers.Layer) -> list[keras.Variable]:
    """Returns the states of all seed generators of a model and its parts, each once.

    They are in the order in which the generators were made.
    """
    seen = {id(variable) for variable in (*model.weights, *model.metrics_variables)}
    states = []
    for variable in model.variables:
        if id(variable) not in seen:
            seen.add(id(variable))
            states.append(variable)
    return states

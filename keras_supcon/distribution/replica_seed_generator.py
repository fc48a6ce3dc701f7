"""Random numbers that differ between replicas."""

import contextlib
from collections.abc import Callable

import keras

from keras_supcon._keras_internals import nested_layers, seed_generators, wrapped_methods
from keras_supcon.distribution.replicas import replica_context
from keras_supcon.seeds import seed_of_replica
from keras_supcon.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_supcon")
class ReplicaSeedGenerator(keras.random.SeedGenerator):
    """A `keras.random.SeedGenerator` whose draws differ between the replicas of a strategy.

    Keras gives every replica of a `tf.distribute` strategy the same random numbers, so that the
    images of all replicas would be augmented alike. Here the index of the replica enters each drawn
    seed. The state stays the same on all replicas, and a single replica draws what
    `keras.random.SeedGenerator` draws.

    Args:
        seed: Integer, or None for a random one.
        **kwargs: As for `keras.random.SeedGenerator`.

    Example:

    >>> import keras, numpy as np
    >>> from keras_supcon.distribution import ReplicaSeedGenerator
    >>> ours, plain = ReplicaSeedGenerator(7), keras.random.SeedGenerator(7)
    >>> draws = [keras.random.uniform((3,), seed=generator) for generator in (ours, plain)]
    >>> np.array_equal(*draws)
    True
    """

    def next(self, ordered: bool = True) -> Tensor:
        return _for_replica(super().next(ordered))


def replica_seeds(model: keras.Model) -> contextlib.AbstractContextManager:
    """Makes all seed generators of a model draw as `ReplicaSeedGenerator` does, within the context.

    Args:
        model: A model, whose own generators and their states stay as they are.
    """
    generators = [
        generator
        for layer in nested_layers(model)
        for generator in seed_generators(layer)
        if type(generator) is keras.random.SeedGenerator  # others know what they do
    ]
    return wrapped_methods(generators, "next", _drawing_per_replica)


def _drawing_per_replica(
    generator: keras.random.SeedGenerator, draw: Callable[..., Tensor]
) -> Callable[..., Tensor]:
    return lambda ordered=True: _for_replica(draw(ordered))


def _for_replica(seed: Tensor) -> Tensor:
    context = replica_context()
    return seed if context is None else seed_of_replica(seed, context.replica_id_in_sync_group)

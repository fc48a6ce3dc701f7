"""Lets layers draw random numbers from a given seed instead of their own generators."""

import contextlib
import contextvars
from collections.abc import Iterator

import keras
import numpy as np

from keras_supcon.typing import Tensor


class SeedSequence(keras.random.SeedGenerator):
    """Gives the seeds (a, b), (a, b + 1), (a, b + 2), ... to the draws of one trace.

    It stands in for a seed generator, without a state.

    Args:
        seed: Pair (a, b) of integers, a TensorFlow tensor.
    """

    # The constructor of the base would make a variable for the state.
    def __init__(self, seed: Tensor) -> None:
        self._seed = seed
        self._num_drawn = 0

    def next(self, ordered: bool = True) -> Tensor:
        seed = self._seed + np.array([0, self._num_drawn])
        self._num_drawn += 1
        return seed


_SEQUENCE: contextvars.ContextVar[SeedSequence | None] = contextvars.ContextVar(
    "seed_sequence", default=None
)


@contextlib.contextmanager
def stateless_seeds(seed: Tensor) -> Iterator[None]:
    """Makes all layers of this package that are called or traced within draw from `seed` alone.

    A layer's own generator advances with each draw. In a parallel `tf.data` map the order of the
    elements is left to chance; a seed for each element makes it irrelevant. The seeds of the layers
    have no effect within. Draws in the body of a TensorFlow loop, which is traced once, would be
    the same in each iteration.

    Args:
        seed: Pair of integers `(2,)`, a TensorFlow tensor.
    """
    token = _SEQUENCE.set(SeedSequence(seed))
    try:
        yield
    finally:
        _SEQUENCE.reset(token)


def current_seed_sequence() -> SeedSequence | None:
    """Returns the sequence of the innermost `stateless_seeds`, or None outside."""
    return _SEQUENCE.get()

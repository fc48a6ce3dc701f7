"""Random numbers that depend on a given seed and on nothing else."""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np


class SeedSequence(keras.random.SeedGenerator):
    """The seeds (a, b), (a, b + 1), (a, b + 2), ... for the draws of one trace, in place of a
    generator with a state.

    Args:
        seed: Pair (a, b) of integers, a TensorFlow tensor.
    """

    def __init__(
        self, seed: Any
    ) -> None:  # not that of the base, which makes the variable that is not wanted here
        self._seed = seed
        self._num_drawn = 0

    def next(self, ordered: bool = True) -> Any:
        seed = self._seed + np.array([0, self._num_drawn])
        self._num_drawn += 1
        return seed


_SEQUENCE: contextvars.ContextVar[SeedSequence | None] = contextvars.ContextVar(
    "seed_sequence", default=None
)


@contextlib.contextmanager
def stateless_seeds(seed: Any) -> Iterator[None]:
    """Makes the layers of this package draw from `seed` alone, for what is called or traced within.

    A layer's own generator moves on with each draw. In a parallel `tf.data` map it would be chance
    which element draws first; with a seed for each element it does not matter. The seeds of the
    layers have no effect within. Draws in the body of a TensorFlow loop, which is traced once,
    would be the same in each turn.

    Args:
        seed: Pair of integers `(2,)`, a TensorFlow tensor.
    """
    token = _SEQUENCE.set(SeedSequence(seed))
    try:
        yield
    finally:
        _SEQUENCE.reset(token)


def current_seed_sequence() -> SeedSequence | None:
    """The sequence of the innermost `stateless_seeds`, or None outside."""
    return _SEQUENCE.get()

"""Seeds derived from seeds, and the state of random generators outside a model.

Layers, replicas, files and elements that share one seed must not draw the same numbers, so each
derives its own. A run resumes with the numbers that it began with: the arithmetic of each function
here is fixed, and `tests/package/test_seeds.py` holds it to values. New code takes `derive_seed`.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any

import keras
import numpy as np

from keras_supcon.arguments import is_whole
from keras_supcon.typing import Tensor

_LIMIT = 2**31  # Keras and TensorFlow take seeds below it
# Large primes: neighboring seeds of a user, such as 1 and 2, should not meet after so many steps.
_REPLICA_STRIDE = 1_000_003
_TRACE_STRIDE = 1_000_003
_PART_STRIDE = 15_485_863
_EVALUATION_SEED = 20200423  # any number; it decides which views an evaluation sees


def check_seed(seed: Any, or_none: bool = False) -> int | None:
    """Checks that a seed is a whole number, of any sign and size, or None where that is allowed.

    Raises:
        ValueError: If it is not.
    """
    if not is_whole(seed) and not (or_none and seed is None):
        expected = (
            "a whole number, or None for another order each time" if or_none else "a whole number"
        )
        raise ValueError(f"`seed` should be {expected}. Received: seed={seed!r}")
    return None if seed is None else int(seed)


def random_generator(seed: int) -> np.random.Generator:
    """Returns NumPy's generator of a seed of any sign and size."""
    return np.random.default_rng(seed % 2**64)


def derive_seed(seed: int | None, *path: int | str) -> int | None:
    """Derives a seed from a seed and a path, such as the names and numbers of what draws.

    Args:
        seed: Whole number, of any sign and size, or None.
        *path: Whole numbers and strings. Other paths give unrelated seeds, `("view", 1)` and
            `("view1",)` included.

    Returns:
        A whole number from 0 up to 2^31 - 1, alike on every machine; None for None.

    Example:

    >>> from keras_supcon.seeds import derive_seed
    >>> derive_seed(1, "encoder"), derive_seed(2, "encoder"), derive_seed(1, "encoder", 0)
    (1243223716, 1371653040, 1593509537)
    """
    if seed is None:
        return None
    place = json.dumps([int(seed), *path]).encode()
    return int.from_bytes(hashlib.blake2b(place, digest_size=8).digest(), "big") % _LIMIT


def seed_of_class(seed: int | None, class_name: str) -> int | None:
    """Returns the seed of a layer of a class.

    Layers that share a seed, such as a layer within another, then draw different numbers.
    """
    return None if seed is None else (seed + zlib.crc32(class_name.encode())) % _LIMIT


def seed_of_part(seed: int | None, number: int) -> int | None:
    """Returns the seed of a part of a layer, numbered from 1.

    Parts of the same class then draw different numbers.
    """
    return None if seed is None else (seed + number * _PART_STRIDE) % _LIMIT


def seed_of_keras_cv_part(seed: int | None, number: int) -> int | None:
    """Returns the seed of a keras-cv layer within a recipe, numbered from 0.

    With one seed for all, the numbers that crop the images would flip them too.
    """
    return None if seed is None else seed + number


def seed_of_trace(graph_seed: int, number: int) -> int:
    """Returns the global seed of a traced function, numbered from 0 within the surrounding graph.

    TensorFlow numbers the random operations of each graph from 0, so that after
    `keras.utils.set_random_seed` all loops of a step would draw the same numbers. The stride
    exceeds the number of operations of a step by far.
    """
    return graph_seed + _TRACE_STRIDE * (number + 1)


def seed_of_evaluation(number: int) -> np.ndarray:
    """Returns the state `(2,)` of a seed generator, numbered from 0 in a model, for evaluation.

    Generators of the same state would draw the same numbers.
    """
    return np.array([_EVALUATION_SEED + number, 0])


def seed_of_replica(seed: Tensor, replica: Tensor | int) -> Tensor:
    """Returns the drawn seed `(2,)` of a replica of a `tf.distribute` strategy.

    Replicas then draw different numbers from the same state. Replica 0 draws what a single device
    draws.
    """
    import tensorflow as tf

    offset = tf.cast(replica, seed.dtype) * _REPLICA_STRIDE
    return seed + tf.stack([offset, tf.zeros((), seed.dtype)])


def nth_seed(seed: Tensor, number: int) -> Tensor:
    """Returns the seed of a draw, numbered from 0, from the pair `(2,)` of an element."""
    return seed + np.array([0, number])


def fold_in(seed: int, *numbers: Tensor) -> Tensor:
    """Derives a pair of int32 for stateless random operations from a seed of any size and places.

    All bits are mixed. `tf.random.fold_in` alone leaves the last number as it is in the pair, and
    users count on from a pair: the draws of one element would be those of the next.

    Args:
        seed: Whole number, of any sign and size.
        *numbers: Whole numbers, also tensors of TensorFlow.
    """
    import tensorflow as tf

    key = tf.constant([seed & 0x7FFFFFFF, (seed >> 31) & 0x7FFFFFFF], "int32")
    for number in numbers:
        key = tf.random.fold_in(tf.cast(key, "int64"), tf.cast(number, "int64"), alg="philox")
    return tf.random.stateless_uniform(
        (2,), key, minval=None, maxval=None, dtype="int32", alg="philox"
    )


def as_int64(seed: int | None) -> int | None:
    """Returns the seed as `tf.data` takes it: itself, or its last 63 bits."""
    return seed if seed is None or -(2**63) <= seed < 2**63 else seed % 2**63


def random_states() -> list[np.ndarray]:
    """Returns the states of random generators outside a model.

    They are torch's own, from which dropout without a seed draws on PyTorch. Other backends have
    none.
    """
    if keras.backend.backend() != "torch":
        return []
    import torch

    states = [torch.get_rng_state().numpy()]
    return [*states, torch.cuda.get_rng_state().numpy()] if torch.cuda.is_available() else states


def set_random_states(states: list[np.ndarray]) -> None:
    """Sets the states that `random_states` returned."""
    if not states:
        return
    import torch

    torch.set_rng_state(torch.from_numpy(states[0]))
    if len(states) > 1 and torch.cuda.is_available():
        torch.cuda.set_rng_state(torch.from_numpy(states[1]))

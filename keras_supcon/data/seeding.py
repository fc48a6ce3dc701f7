"""Seeds that are functions of a seed and of places in the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras_supcon.arguments import is_whole

if TYPE_CHECKING:
    import tensorflow as tf


def check_seed(seed: Any, or_none: bool = False) -> int | None:
    """Raises `ValueError` unless the seed is a whole number, of any sign and size, or None where
    that is allowed.
    """
    if not is_whole(seed) and not (or_none and seed is None):
        expected = (
            "a whole number, or None for another order each time" if or_none else "a whole number"
        )
        raise ValueError(f"`seed` should be {expected}. Received: seed={seed!r}")
    return None if seed is None else int(seed)


def int64_of(seed: int | None) -> int | None:
    """The seed as `tf.data` takes it: itself, or its last 63 bits."""
    return seed if seed is None or -(2**63) <= seed < 2**63 else seed % 2**63


def seed_of(seed: int, *numbers: tf.Tensor) -> tf.Tensor:
    """A pair of int32 for stateless random ops from an integer of any size and further integers,
    all bits mixed.

    `tf.random.fold_in` alone leaves the last number as it is in the pair, and users count on from a
    pair: the draws of one element would be those of the next.
    """
    import tensorflow as tf

    key = tf.constant([seed & 0x7FFFFFFF, (seed >> 31) & 0x7FFFFFFF], "int32")
    for number in numbers:
        key = tf.random.fold_in(tf.cast(key, "int64"), tf.cast(number, "int64"), alg="philox")
    return tf.random.stateless_uniform(
        (2,), key, minval=None, maxval=None, dtype="int32", alg="philox"
    )

"""Seeds that are functions of a seed and of places in the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


def seed_of(seed: int, *numbers: tf.Tensor) -> tf.Tensor:
    """A pair of int32 for stateless random ops from an integer of any size and further integers, all bits mixed.

    `tf.random.fold_in` alone leaves the last number as it is in the pair, and users count on from a pair: the draws
    of one element would be those of the next.
    """
    import tensorflow as tf

    key = tf.constant([seed & 0x7FFFFFFF, (seed >> 31) & 0x7FFFFFFF], "int32")
    for number in numbers:
        key = tf.random.fold_in(tf.cast(key, "int64"), tf.cast(number, "int64"), alg="philox")
    return tf.random.stateless_uniform((2,), key, minval=None, maxval=None, dtype="int32", alg="philox")

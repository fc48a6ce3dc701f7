"""Seeds derived from the seed of an augmentation layer, so that no two draw the same numbers."""

import zlib

# Far more than the seeds that a user gives to neighboring layers differ by.
_PART_STRIDE = 15_485_863
# Far more than the random operations of a step, by whose numbers TensorFlow tells them apart.
_TRACE_STRIDE = 1_000_003


def seed_of_class(seed: int | None, class_name: str) -> int | None:
    """Returns the seed of a layer's generator.

    Layers that share a seed, such as a layer within another, then draw different numbers.
    """
    return None if seed is None else (seed + zlib.crc32(class_name.encode())) % 2**31


def seed_of_part(seed: int | None, number: int) -> int | None:
    """Returns the seed of a layer within a policy, for parts numbered from 1."""
    return None if seed is None else (seed + number * _PART_STRIDE) % 2**31


def seed_of_keras_cv_part(seed: int | None, number: int) -> int | None:
    """Returns the seed of a keras-cv layer within a policy, for parts numbered from 0."""
    return None if seed is None else seed + number


def seed_of_trace(graph_seed: int, number: int) -> int:
    """Returns the seed of a function within a TensorFlow graph.

    Args:
        graph_seed: Seed of the outer graph.
        number: Number of random operations that the outer graph has so far.
    """
    return graph_seed + _TRACE_STRIDE * (number + 1)

"""Random numbers of images that do not depend on the batch in which an image comes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from keras_supcon.seeds import derive_seed


class Streams:
    """Draws for each image of a batch from a stream of its own.

    Philox numbers its random blocks. Draw d of image i takes the blocks from `i * 2^128 + d * 2^64`
    on, so that one generator serves all images: placing it at a stream takes a microsecond, making
    one twenty.

    Args:
        seed: Whole number, of any sign and size.
        place: What draws: the name of a corruption and its severity.
        first: Index of the first image of the batch.
        count: Number of images.
    """

    def __init__(self, seed: int, place: tuple[int | str, ...], first: int, count: int) -> None:
        self._bits = np.random.Philox(key=derive_seed(seed, "corruption", *place))
        self._generator = np.random.Generator(self._bits)
        self._images = range(first, first + count)
        self._num_draws = 0

    def normal(self, shape: tuple[int, ...]) -> np.ndarray:
        """Draws float32 `(images, *shape)` of mean 0 and deviation 1."""
        drawn = np.empty((len(self._images), *shape), "float32")
        for row, generator in zip(drawn, self._each(), strict=True):
            generator.standard_normal(dtype="float32", out=row)
        return drawn

    def uniform(self, shape: tuple[int, ...], low: float = 0, high: float = 1) -> np.ndarray:
        """Draws float32 `(images, *shape)` from `low` up to `high`."""
        drawn = np.empty((len(self._images), *shape), "float32")
        for row, generator in zip(drawn, self._each(), strict=True):
            generator.random(dtype="float32", out=row)
        drawn *= high - low
        drawn += low
        return drawn

    def integers(self, shape: tuple[int, ...], low: int, high: int) -> np.ndarray:
        """Draws int8 `(images, *shape)` from `low` up to `high - 1`."""
        drawn = np.empty((len(self._images), *shape), "int8")
        for row, generator in zip(drawn, self._each(), strict=True):
            row[...] = generator.integers(low, high, shape, dtype="int8")
        return drawn

    def poisson(self, means: np.ndarray) -> np.ndarray:
        """Draws counts, as float32, whose means are those of an array `(images, ...)`."""
        drawn = np.empty(means.shape, "float32")
        for row, mean, generator in zip(drawn, means, self._each(), strict=True):
            row[...] = generator.poisson(mean)
        return drawn

    def _each(self) -> Iterator[np.random.Generator]:
        """Yields the generator, placed at the next stream of each image in turn."""
        state = self._bits.state
        state["buffer_pos"], state["has_uint32"] = 4, 0  # nothing is left of the draw before
        state["state"]["counter"][:2] = 0, self._num_draws
        self._num_draws += 1
        for image in self._images:
            state["state"]["counter"][2] = image
            self._bits.state = state
            yield self._generator

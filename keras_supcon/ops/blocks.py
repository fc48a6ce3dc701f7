"""Cuts rows into blocks of equal size."""

from typing import Any

from keras import ops

from keras_supcon.ops.pairs import PADDING, Rows
from keras_supcon.typing import Tensor

# On CPUs products of 1024 rows run near peak speed, and a tile of them still fits the cache.
BLOCK_SIZE = 1024


def fits_one_block(num_rows: Tensor | int, block_size: int | None) -> bool:
    """Checks whether rows are statically known to fit one block."""
    return isinstance(num_rows, int) and num_rows <= (
        BLOCK_SIZE if block_size is None else block_size
    )


class Blocks:
    """Cuts rows into blocks of equal size, the last one padded with zero rows."""

    def __init__(
        self,
        features: Tensor,
        rows: Rows,
        block_size: Any = None,
        needed: tuple[str, ...] = ("index", "group", "rank"),
    ):
        self.num_rows, self.dim = features.shape[0], features.shape[1]
        if self.num_rows is None:
            self.num_rows = ops.shape(features)[0]
        largest = BLOCK_SIZE if block_size is None else block_size
        self.count = (self.num_rows + largest - 1) // largest
        if isinstance(self.count, int):
            self.count = max(self.count, 1)
            self.size = max(-(-self.num_rows // self.count), 1)
        else:
            self.count = ops.maximum(self.count, 1)
            self.size = ops.maximum((self.num_rows + self.count - 1) // self.count, 1)
        self.dtype = features.dtype
        self._all_present = rows.present is None
        self._features = self.split(features)
        valid = (
            ops.ones((self.num_rows, 1), dtype=features.dtype)
            if rows.present is None
            else rows.present[:, None]
        )
        self._valid = self.split(valid)
        self._rows = {name: self.split(getattr(rows, name)[:, None], PADDING) for name in needed}

    @property
    def is_full(self) -> bool:
        """Whether all rows are known to be present and none pads a block."""
        are_known = isinstance(self.num_rows, int) and isinstance(self.size, int)
        return are_known and self.count * self.size == self.num_rows and self._all_present

    @property
    def is_single(self) -> bool:
        return isinstance(self.count, int) and self.count == 1

    def split(self, vectors: Tensor, fill: int = 0) -> Any:
        """Reshapes `(rows, dim)` to `(blocks, size, dim)`, or to a list of the only block."""
        if self.is_single and self.size == self.num_rows:
            return [vectors]
        missing = self.count * self.size - self.num_rows
        if not isinstance(missing, int) or missing > 0:
            filling = ops.full((missing, vectors.shape[1]), fill, dtype=vectors.dtype)
            vectors = ops.concatenate([vectors, filling], axis=0)
        return ops.reshape(vectors, (self.count, self.size, vectors.shape[1]))

    def join(self, blocks: Any) -> Any:
        """Reshapes `(blocks, size, dim)` to `(rows, dim)`."""
        return ops.reshape(blocks, (-1, blocks.shape[-1]))[: self.num_rows]

    def zeros(self, dim: int) -> Any:
        return ops.zeros((self.count, self.size, dim), dtype=self.dtype)

    def features(self, index: Tensor | int) -> Any:
        return self._features[index]

    def valid(self, index: Tensor | int) -> Any:
        return self._valid[index]

    def rows(self, index: Tensor | int) -> Rows:
        return Rows(**{name: vectors[index] for name, vectors in self._rows.items()})

    def ends(self, vector: Tensor) -> tuple[Any, Any]:
        """Returns the smallest and largest item of an integer vector `(rows,)` in each block.

        With several blocks the vector ascends.
        """
        if self.is_single:
            return ops.min(vector, initial=PADDING)[None], ops.max(vector, initial=-1)[None]
        # One more item, so that an empty vector has ends as well.
        vector = ops.concatenate([vector, ops.full((1,), PADDING, dtype=vector.dtype)])
        first = ops.arange(self.count, dtype="int32") * self.size
        last = ops.minimum(first + self.size, self.num_rows) - 1
        return ops.take(vector, first), ops.take(vector, ops.maximum(last, first))

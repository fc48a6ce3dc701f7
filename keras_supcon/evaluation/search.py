"""Nearest neighbors by cosine, in blocks of queries: never a matrix of all pairs."""

from collections.abc import Iterator

import numpy as np

# Bytes of similarities in a block. Larger blocks are no faster, smaller ones waste the threads of
# the matrix product.
_BLOCK_BYTES = 2**26
_FEWEST_GROUPS = 1024


def normalize_rows(embeddings: np.ndarray, dtype: str = "float32") -> np.ndarray:
    """Returns rows of unit length; a row of zeros stays zero.

    Args:
        embeddings: `(n, d)`, finite.
        dtype: Dtype of the result.
    """
    embeddings = np.asarray(embeddings)
    # The largest value first, since squares of float32 overflow from 1.8e19 on.
    largest = np.abs(embeddings).max(axis=1, keepdims=True)
    rows = (embeddings / np.where(largest > 0, largest, 1)).astype(dtype, copy=False)
    norms = np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, None]
    return rows / np.where(norms > 0, norms, 1)


def similarity_blocks(
    queries: np.ndarray, gallery: np.ndarray
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields the dot products of some queries with the whole gallery at a time.

    Args:
        queries: `(q, d)`.
        gallery: `(n, d)`.

    Yields:
        `(rows, similarities)`: the place of the queries, and `(rows, n)`, which the next block
        overwrites.
    """
    size = max(1, min(len(queries), _BLOCK_BYTES // (4 * len(gallery))))
    columns = np.ascontiguousarray(gallery.T)
    memory = np.empty((size, len(gallery)), np.result_type(queries, gallery))
    for start in range(0, len(queries), size):
        rows = slice(start, min(start + size, len(queries)))
        block = memory[: rows.stop - rows.start]
        np.matmul(queries[rows], columns, out=block)
        yield rows, block


def nearest(
    queries: np.ndarray, gallery: np.ndarray, num_neighbors: int
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the rows of the gallery with the largest dot products, the largest first.

    Equal ones are in the order of the gallery. The time is that of the matrix product and two
    passes over it; beside the results it needs about 100 MB and a copy of the gallery.

    Args:
        queries: `(q, d)`, of unit length for cosines.
        gallery: `(n, d)`, of unit length for cosines.
        num_neighbors: Number of neighbors, from 1 to n.

    Returns:
        `(similarities, indices)`, each `(q, num_neighbors)`.
    """
    similarities = np.empty((len(queries), num_neighbors), np.result_type(queries, gallery))
    indices = np.empty((len(queries), num_neighbors), "int64")
    for rows, *of_rows in nearest_blocks(queries, gallery, num_neighbors):
        similarities[rows], indices[rows] = of_rows
    return similarities, indices


def nearest_blocks(
    queries: np.ndarray, gallery: np.ndarray, num_neighbors: int
) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Yields what `nearest` returns for some queries at a time.

    Yields:
        `(rows, similarities, indices)`: the place of the queries, and the others for these.
    """
    for rows, block in similarity_blocks(queries, gallery):
        yield (rows, *_largest(block, num_neighbors))


def _largest(block: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the largest values of each row and their columns, in order."""
    candidates = block >= _lower_bound(block, number)[:, None]
    row, column = np.divmod(np.flatnonzero(candidates), block.shape[1])
    counts = np.bincount(row, minlength=len(block))
    values = np.empty((len(block), number), block.dtype)
    columns = np.empty((len(block), number), "int64")
    few = counts <= 4 * number
    if few.any():
        width = counts[few].max()
        table = np.full((len(block), width), -np.inf, block.dtype)
        places = np.zeros((len(block), width), "int64")
        is_few = few[row]
        row_of, column_of = row[is_few], column[is_few]
        place = (np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts))[is_few]
        table[row_of, place] = block[row_of, column_of]
        places[row_of, place] = column_of
        order = np.argsort(-table[few], axis=1, kind="stable")[:, :number]
        values[few] = np.take_along_axis(table[few], order, axis=1)
        columns[few] = np.take_along_axis(places[few], order, axis=1)
    for i in np.flatnonzero(~few):  # many are equal
        values[i], columns[i] = _largest_of_row(block[i], number)
    return values, columns


def _lower_bound(block: np.ndarray, number: int) -> np.ndarray:
    """Returns a value of each row that at least `number` of its values reach, and few more.

    It is the value at that place among the maxima of groups of columns: at most as large as the
    value at that place of the row, and close to it if there are many groups.
    """
    groups = max(_FEWEST_GROUPS, 4 * number)
    size = block.shape[1] // groups
    if size < 2:
        return np.partition(block, -number, axis=1)[:, -number]
    maxima = block[:, : groups * size].reshape(len(block), size, groups).max(axis=1)
    return np.partition(maxima, -number, axis=1)[:, -number]


def _largest_of_row(row: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    last = np.partition(row, -number)[-number]
    larger = np.flatnonzero(row > last)
    equal = np.flatnonzero(row == last)[: number - len(larger)]
    chosen = np.concatenate([larger[np.argsort(-row[larger], kind="stable")], equal])
    return row[chosen], chosen

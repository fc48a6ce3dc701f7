"""Scores of a ranking by cosine: recall at k, R-precision, MAP at R, mean average precision."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from keras_supcon.arguments import check_whole_number
from keras_supcon.array_checks import check_embeddings, check_labels
from keras_supcon.evaluation.search import normalize_rows

# Bytes of similarities in a block.
_BLOCK_BYTES = 2**26
# Cosines of float64 that differ by less are those of rows of one direction. In float32 the rounding
# of collapsed rows would be a ranking.
_EQUAL = 1e-12


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Places of the images of a query's class among all images of the gallery, nearest first.

    An image of another class that is as near as one of the query's class comes first, so that equal
    embeddings count as errors.

    Args:
        first_place: `(q,)`: the place of the nearest image of the class, from 1 on; 0 for a query
            without one.
        r_precision: `(q,)`: share of the class among the first R images, with R the number of
            images of the class; NaN for a query without one.
        average_precision_at_r: `(q,)`: the mean over the first R places of the precision up to
            there, 0 where the image is of another class; NaN likewise.
        average_precision: `(q,)`: the mean over the images of the class of the precision up to
            their place; NaN likewise.
    """

    first_place: np.ndarray
    r_precision: np.ndarray
    average_precision_at_r: np.ndarray
    average_precision: np.ndarray

    @property
    def has_match(self) -> np.ndarray:
        """Whether the gallery has an image of the query's class, other than the query."""
        return self.first_place > 0

    def recall_at(self, k: int) -> float:
        """Returns the share of queries, of those that have a match, with one in the first k."""
        places = self.first_place[self.has_match]
        return float((places <= k).mean()) if len(places) else float("nan")


def rank(
    queries: np.ndarray,
    query_labels: np.ndarray,
    gallery: np.ndarray | None = None,
    gallery_labels: np.ndarray | None = None,
) -> Ranking:
    """Ranks the gallery for each query, by cosine.

    The time is that of the matrix product and of sorting each row; the memory is some tens of MB.

    Args:
        queries: Embeddings `(q, d)`.
        query_labels: Class ids `(q,)`.
        gallery: Embeddings `(n, d)`. None for the other queries: a query never finds itself.
        gallery_labels: Class ids `(n,)`, with `gallery`.

    Raises:
        ValueError: If embeddings are not finite rows of one width, or labels do not match them.
    """
    queries = check_embeddings("embeddings", queries)
    query_labels = check_labels("labels", query_labels, len(queries))
    is_own = gallery is None
    if (gallery is None) != (gallery_labels is None):
        raise ValueError(
            "`gallery` and `gallery_labels` should be given together. Received: "
            f"gallery={'None' if is_own else 'an array'}, "
            f"gallery_labels={'None' if gallery_labels is None else 'an array'}"
        )
    if is_own:
        gallery, gallery_labels = queries, query_labels
    else:
        gallery = check_embeddings("gallery", gallery)
        gallery_labels = check_labels("gallery_labels", gallery_labels, len(gallery))
        if gallery.shape[1] != queries.shape[1]:
            raise ValueError(
                "`gallery` should have the width of `embeddings`. Received: "
                f"gallery.shape={gallery.shape}, embeddings.shape={queries.shape}"
            )
    order = np.argsort(gallery_labels, kind="stable")
    sorted_labels = gallery_labels[order]
    columns = np.ascontiguousarray(normalize_rows(gallery, "float64")[order].T)
    rows = normalize_rows(queries, "float64")
    # The place of each query in the sorted gallery, if it is in there.
    own_column = np.empty(len(order), "int64")
    own_column[order] = np.arange(len(order))

    number = len(queries)
    ranking = Ranking(np.zeros(number, "int64"), *(np.full(number, np.nan) for _ in range(3)))
    for members, first, last in _blocks_of_a_class(query_labels, sorted_labels):
        similarities = rows[members] @ columns
        if is_own:
            similarities[np.arange(len(members)), own_column[members]] = -np.inf
        matches = -np.sort(-similarities[:, first:last], axis=1)
        matches = matches[:, : last - first - is_own]
        if not matches.shape[1]:
            continue
        others = np.sort(
            np.concatenate([similarities[:, :first], similarities[:, last:]], axis=1), axis=1
        )
        for query, match, other in zip(members, matches, others, strict=True):
            _score(ranking, query, match, other)
    return ranking


def _blocks_of_a_class(
    query_labels: np.ndarray, sorted_labels: np.ndarray
) -> Iterator[tuple[np.ndarray, int, int]]:
    """Yields some queries of one class, and where that class is in the sorted gallery."""
    size = max(1, _BLOCK_BYTES // (8 * len(sorted_labels)))
    for label in np.unique(query_labels[query_labels >= 0]):  # the others have no class
        first, last = (np.searchsorted(sorted_labels, label, side) for side in ("left", "right"))
        members = np.flatnonzero(query_labels == label)
        if first < last:
            for start in range(0, len(members), size):
                yield members[start : start + size], int(first), int(last)


def _score(ranking: Ranking, query: int, matches: np.ndarray, others: np.ndarray) -> None:
    """Writes the scores of one query.

    Args:
        ranking: What is written to.
        query: Number of the query.
        matches: Similarities with the images of its class, the largest first.
        others: Similarities with all other images, in ascending order.
    """
    number = len(matches)
    found = np.arange(1, number + 1)
    # Others as near come first.
    places = found + len(others) - np.searchsorted(others, matches - _EQUAL)
    precision = found / places
    ranking.first_place[query] = places[0]
    ranking.r_precision[query] = (places <= number).sum() / number
    ranking.average_precision_at_r[query] = precision[places <= number].sum() / number
    ranking.average_precision[query] = precision.mean()


def recall_at_k(embeddings: np.ndarray, labels: np.ndarray, k: int = 1) -> float:
    """Computes the share of images with another image of their class among the k nearest.

    Nearest is by cosine; the image itself does not count. An image of another class that is as near
    counts as nearer. Images without another image of their class, and those without a
    label (below 0), are left out.

    Args:
        embeddings: `(n, d)`.
        labels: Class ids `(n,)`.
        k: Number of neighbors, at least 1.

    Returns:
        A share in [0, 1]; NaN if no image has another one of its class.

    Raises:
        ValueError: If `k` is below 1, embeddings are not finite rows, or labels do not match them.

    Reference:
        Jégou et al., Product Quantization for Nearest Neighbor Search, TPAMI 2011.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.evaluation import recall_at_k
    >>> rows = np.array([[1, 0], [1, 0.1], [0, 1], [0.9, 0.2]])
    >>> recall_at_k(rows, [0, 0, 1, 1], k=1), recall_at_k(rows, [0, 0, 1, 1], k=2)
    (0.75, 0.75)
    """
    k = check_whole_number("k", k, at_least=1)
    return rank(embeddings, labels).recall_at(k)


def map_at_r(embeddings: np.ndarray, labels: np.ndarray) -> float:
    """Computes the mean average precision at R, the number of other images of a class.

    It is 1 if each image is nearer to all images of its class than to any other: unlike recall, it
    looks at the whole class. Nearest is by cosine; an image of another class that is as near counts
    as nearer. Images without another image of their class, and those without a
    label (below 0), are left out.

    Args:
        embeddings: `(n, d)`.
        labels: Class ids `(n,)`.

    Returns:
        A number in [0, 1]; NaN if no image has another one of its class.

    Raises:
        ValueError: If embeddings are not finite rows, or labels do not match them.

    Reference:
        Musgrave et al., A Metric Learning Reality Check, ECCV 2020, section 3.2.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.evaluation import map_at_r
    >>> map_at_r(np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]]), [0, 0, 1, 1])
    1.0
    """
    return mean_of_matched(rank(embeddings, labels).average_precision_at_r)


def mean_of_matched(scores: np.ndarray) -> float:
    """Returns the mean over the queries that have a match; NaN if none has."""
    scores = scores[~np.isnan(scores)]
    return float(scores.mean()) if len(scores) else float("nan")

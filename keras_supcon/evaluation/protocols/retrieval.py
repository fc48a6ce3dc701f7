"""Retrieval: how high images of the same class rank."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from keras_supcon.arguments import check_each, is_whole
from keras_supcon.array_checks import check_embeddings, check_labels
from keras_supcon.evaluation.reporting.charts import draw_lines
from keras_supcon.evaluation.results import ARRAY, Result, describe, percent
from keras_supcon.evaluation.scores.ranking import Ranking, mean_of_matched, rank

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class RetrievalResult(Result):
    """What `retrieval` measured.

    Args:
        recall_at: Recall for each number of neighbors.
        r_precision: Mean share of the class among the first R images.
        map_at_r: Mean average precision at R.
        mean_average_precision: Mean average precision over the whole gallery.
        queries: Number of queries that have a match.
        ranking: Scores of each query.
        protocol: Sizes, choices and versions.
    """

    recall_at: dict[int, float]
    r_precision: float
    map_at_r: float
    mean_average_precision: float
    queries: int
    ranking: Ranking = dataclasses.field(repr=False, metadata=ARRAY)

    title: ClassVar[str] = "Retrieval"
    caption: ClassVar[str] = (
        "Share of images with one of their class among the nearest others, by the number of these."
    )

    def rows(self) -> list[dict[str, str]]:
        return [
            {
                **{f"recall at {k}": percent(share) for k, share in self.recall_at.items()},
                "R-precision": percent(self.r_precision),
                "MAP at R": percent(self.map_at_r),
                "mean average precision": percent(self.mean_average_precision),
            }
        ]

    def plot(self, narrow: bool = False) -> Figure:
        return self.plot_together({"recall": self}, narrow)

    @classmethod
    def plot_together(cls, results: Mapping[str, RetrievalResult], narrow: bool = False) -> Figure:
        recalls = {name: one.recall_at for name, one in results.items()}
        series = {name: (list(one), list(one.values())) for name, one in recalls.items()}
        return draw_lines(
            series, "nearest images", "recall", log_x=True, percent=True, narrow=narrow
        )


def retrieval(
    embeddings: np.ndarray,
    labels: np.ndarray,
    gallery: np.ndarray | None = None,
    gallery_labels: np.ndarray | None = None,
    *,
    ks: Sequence[int] = (1, 2, 4, 8),
) -> RetrievalResult:
    """Ranks images by cosine to each query, and scores where those of its class are.

    Without a gallery each image queries all others, never itself. An image of another class that is
    as near as one of the query's class counts as nearer, so that collapsed embeddings score 0, not
    1. Queries without an image of their class in the gallery are left out; the result says how many
    count.

    Args:
        embeddings: Queries `(q, d)`.
        labels: Class ids `(q,)`.
        gallery: Embeddings `(n, d)` of other images that are searched; None for the queries.
        gallery_labels: Class ids `(n,)`, with `gallery`.
        ks: Numbers of neighbors for the recall, at least 1.

    Returns:
        Recall at k, R-precision, MAP at R and mean average precision.

    Raises:
        ValueError: If embeddings are not finite rows of one width, labels do not match them, no
            query has a match, or a k is below 1.

    Reference:
        Musgrave et al., A Metric Learning Reality Check, ECCV 2020, section 3.2.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> rows = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]])
    >>> result = keras_supcon.evaluation.retrieval(rows, [0, 0, 1, 1], ks=(1,))
    >>> result.recall_at, result.map_at_r
    ({1: 1.0}, 1.0)
    """
    ks = check_each("ks", ks, lambda k: is_whole(k, at_least=1), "whole numbers of at least 1")
    embeddings = check_embeddings("embeddings", embeddings)
    labels = check_labels("labels", labels, len(embeddings))
    ranking = rank(embeddings, labels, gallery, gallery_labels)
    queries = int(ranking.has_match.sum())
    if not queries:
        raise ValueError(
            "`labels` should have a class with another image to find. Received: no image whose "
            "class has another image"
        )
    return RetrievalResult(
        recall_at={int(k): ranking.recall_at(k) for k in sorted(ks)},
        r_precision=mean_of_matched(ranking.r_precision),
        map_at_r=mean_of_matched(ranking.average_precision_at_r),
        mean_average_precision=mean_of_matched(ranking.average_precision),
        queries=queries,
        ranking=ranking,
        protocol=describe(
            "retrieval",
            queries=len(embeddings),
            queries_with_a_match=queries,
            gallery="the other queries" if gallery is None else f"{len(gallery)} other images",
            features=embeddings.shape[1],
            classes=len(np.unique(labels)),
            similarity="cosine",
            ties="images of other classes first",
        ),
    )

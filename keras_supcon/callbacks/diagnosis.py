"""What figures of an embedding say about its health, in words.

Figures of a ResNet-10 of width 0.25 on the digits set the limits. Before training its features
after the last ReLU have a mean cosine of 0.95 and a uniformity of -0.16; its projections still have
a mean cosine of 0.96 when their neighbors are right for 61% of the images. So neither a uniformity
above -0.5 nor a cosine of 0.95 is a sign of collapse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from keras_supcon.array_checks import check_embeddings, check_labels
from keras_supcon.evaluation.scores.geometry import (
    dead_dimensions,
    effective_rank,
    embedding_std,
    mean_cosine,
    uniformity,
    within_class_variance_ratio,
)
from keras_supcon.evaluation.search import nearest, normalize_rows

# Rows differ from their mean direction by 3% of their length: sqrt(1 - 0.999).
COLLAPSED_COSINE = 0.999
# An accuracy of chance exceeds its expectation by so many standard deviations once in 40 times.
# More of them would call good accuracies of few images chance: 57% of 21 images of three classes.
CHANCE_DEVIATIONS = 2
# Late in training, in the terminal phase of Papyan et al., the ratio goes from 0.1 to below 0.01.
# That of the digits' features after 23 epochs of SupCon is 0.4.
CLASS_COLLAPSED_RATIO = 0.01
# A third of the features of the untrained ResNet are dead after its ReLU, and none later.
DEAD_SHARE = 0.5

DIAGNOSES = {
    "collapsed": (
        "all images have almost the same embedding, with a mean cosine of {mean_cosine:.5f}. A "
        "contrastive loss then stays at its chance level, such as log(2N - 1) for N pairs. A "
        "lower learning rate, a warm-up or batch normalization in the encoder may help"
    ),
    "chance level": (
        "the nearest neighbor of an image has its class for {nearest_neighbor_accuracy:.1%} of the "
        "images, which is about chance, {chance:.1%}. The embedding does not tell the classes "
        "apart: the labels may not belong to the images, or nothing is learned"
    ),
    "class-collapsed": (
        "the images of a class are almost at one point: the variance within classes is "
        "{within_class_variance_ratio:.2g} times that between them. Late in supervised training "
        "this is normal, of projections above all. Of features it may mean that they transfer "
        "less well to classes that are finer or new"
    ),
    "dead dimensions": (
        "{dead_dimensions:.0%} of the features are constant over the images, as dead ReLU units "
        "are. A lower learning rate may help, or the encoder is wider than the data need"
    ),
    "not finite": "the embedding is not finite: the training has diverged",
}

FIGURES = (
    "alignment",
    "uniformity",
    "effective_rank",
    "embedding_std",
    "mean_cosine",
    "dead_dimensions",
    "within_class_variance_ratio",
    "nearest_neighbor_accuracy",
)


def measure_representation(rows: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Computes the figures of labeled embeddings that tell their health.

    Args:
        rows: Finite `(n, d)`. All figures but the rank are those of rows of unit length.
        labels: Class ids `(n,)`, at least two classes.

    Returns:
        A number for each of `FIGURES`.
    """
    unit = normalize_rows(rows)
    return {
        "alignment": class_alignment(unit, labels),
        "uniformity": uniformity(unit),
        "effective_rank": effective_rank(rows),
        "embedding_std": embedding_std(unit),
        "mean_cosine": mean_cosine(unit),
        "dead_dimensions": dead_dimensions(unit),
        "within_class_variance_ratio": within_class_variance_ratio(unit, labels),
        "nearest_neighbor_accuracy": nearest_neighbor_accuracy(unit, labels),
    }


def diagnose(figures: Mapping[str, float], labels: np.ndarray) -> tuple[str, ...]:
    """Names what is wrong with an embedding.

    Args:
        figures: Result of `measure_representation`.
        labels: The class ids that these are of.

    Returns:
        Some of the keys of `DIAGNOSES`; none for a healthy embedding. Of a collapsed one the other
        signs are consequences, which are left out.
    """
    if math.isnan(figures["mean_cosine"]):
        return ("not finite",)
    if figures["mean_cosine"] > COLLAPSED_COSINE:
        return ("collapsed",)
    chance = chance_accuracy(labels)
    deviation = math.sqrt(chance * (1 - chance) / len(labels))
    signs = {
        "chance level": figures["nearest_neighbor_accuracy"]
        <= chance + CHANCE_DEVIATIONS * deviation,
        "class-collapsed": figures["within_class_variance_ratio"] < CLASS_COLLAPSED_RATIO,
        "dead dimensions": figures["dead_dimensions"] > DEAD_SHARE,
    }
    return tuple(name for name, is_so in signs.items() if is_so)


def explain(
    diagnosis: Sequence[str], figures: Mapping[str, float], labels: np.ndarray
) -> list[str]:
    """Returns a sentence or two for each part of a diagnosis."""
    chance = chance_accuracy(labels)
    return [f"{name}: {DIAGNOSES[name].format(**figures, chance=chance)}" for name in diagnosis]


def class_alignment(rows: np.ndarray, labels: np.ndarray) -> float:
    """Computes the mean squared distance over all pairs of rows of one class.

    It is `evaluation.alignment` with `alpha=2` of all these pairs, without building them: those of
    a class of n rows have the sum `n sum_i ||z_i||^2 - ||sum_i z_i||^2`.

    Args:
        rows: `(n, d)`.
        labels: Class ids `(n,)`.

    Returns:
        A number of at least 0; NaN if no class has two rows.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.callbacks.diagnosis import class_alignment
    >>> class_alignment(np.array([[0.0, 1.0], [1.0, 0.0], [5.0, 5.0]]), np.array([0, 0, 1]))
    2.0
    """
    rows, labels = check_embeddings("rows", rows), check_labels("labels", labels, len(rows))
    total, pairs = 0.0, 0
    for one in np.unique(labels):
        # Less the first row, equal rows have a distance of exactly 0.
        own = rows[labels == one].astype("float64")
        own -= own[0].copy()
        mean = own.sum(axis=0)
        total += len(own) * np.sum(own * own) - mean @ mean
        pairs += len(own) * (len(own) - 1) // 2
    return float(max(total, 0.0) / pairs) if pairs else math.nan


def nearest_neighbor_accuracy(rows: np.ndarray, labels: np.ndarray) -> float:
    """Computes the share of rows whose nearest other row, by cosine, is of their class.

    Args:
        rows: `(n, d)` of unit length, at least two.
        labels: Class ids `(n,)`.

    Returns:
        A share in [0, 1].
    """
    _, neighbors = nearest(rows, rows, 2)
    first, second = neighbors.T
    # A row is mostly the first neighbor of itself, but not where others equal it.
    other = np.where(first == np.arange(len(rows)), second, first)
    return float((labels[other] == labels).mean())


def chance_accuracy(labels: np.ndarray) -> float:
    """Returns the share of the largest class, which a guess that looks at nothing reaches."""
    return float(np.unique(labels, return_counts=True)[1].max() / len(labels))

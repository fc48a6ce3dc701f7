"""Scores of the geometry of embeddings: alignment, uniformity, rank and signs of collapse.

Sums are in float64. No matrix of all pairs is built: beside float64 copies of the rows, memory is
that of some tiles of 1024 x 1024.
"""

import math
from typing import Any

import numpy as np

from keras_supcon.arguments import check_not_negative, check_positive
from keras_supcon.array_checks import check_embeddings, check_labels
from keras_supcon.evaluation.search import normalize_rows

# Rows of a tile of pairs. Products of 1024 rows run near peak speed.
_TILE_ROWS = 1024
_EPSILON = 1e-7
_LARGEST = float(np.finfo("float64").max)
# Standard deviations of rows of unit length in float32 that are only that of rounding.
_ROUNDING = float(np.finfo("float32").eps)


def alignment(x: Any, y: Any, alpha: float = 2) -> float:
    """Computes the mean distance of paired rows to a power, `mean_i ||x_i - y_i||^alpha`.

    0 means that both rows of each pair are equal. Rows are taken as they are. The authors take rows
    of unit length; `x / np.linalg.norm(x, axis=1, keepdims=True)` makes them.

    Args:
        x: `(n, d)`.
        y: `(n, d)`, row by row the positives of `x`, such as other views of the same images.
        alpha: Positive number; the authors take 2.

    Returns:
        A number of at least 0, at most `2^alpha` for rows of unit length.

    Raises:
        ValueError: If arrays are not finite rows of one shape, or `alpha` is not positive.

    Reference:
        Wang and Isola, Understanding Contrastive Representation Learning through Alignment and
        Uniformity on the Hypersphere, ICML 2020.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.evaluation import alignment
    >>> alignment(np.eye(3), np.eye(3)), alignment([[1.0, 0.0]], [[0.0, 1.0]])
    (0.0, 2.0)
    """
    x, y = check_embeddings("x", x), check_embeddings("y", y)
    alpha = check_positive("alpha", alpha)
    if x.shape != y.shape:
        raise ValueError(
            "`y` should have the shape of `x`, a row for each of its rows. Received: "
            f"x.shape={x.shape}, y.shape={y.shape}"
        )
    difference = np.subtract(x, y, dtype="float64")
    squares = np.einsum("nd,nd->n", difference, difference)
    return float(np.mean(squares ** (alpha / 2)))


def uniformity(x: Any, t: float = 2) -> float:
    """Computes `log mean exp(-t ||x_i - x_j||^2)` over all pairs of different rows.

    0 means that all rows are equal, lower is more uniform. Uniform rows of unit length in many
    dimensions are about sqrt(2) apart, so that the value tends to `-2 t`. Rows are taken as they
    are. The authors take rows of unit length. The time is that of the products of all pairs: 60,000
    rows of 512 take about 45 seconds on one core.

    Args:
        x: `(n, d)`, at least two rows.
        t: Positive number; the authors take 2.

    Returns:
        A number of at most 0, at least `-4 t` for rows of unit length.

    Raises:
        ValueError: If the array is not two finite rows or more, or `t` is not positive.

    Reference:
        Wang and Isola, Understanding Contrastive Representation Learning through Alignment and
        Uniformity on the Hypersphere, ICML 2020.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.evaluation import uniformity
    >>> uniformity(np.eye(3)), uniformity(np.ones((3, 2)))
    (-4.0, 0.0)
    """
    x, t = check_embeddings("x", x, at_least=2), check_positive("t", t)
    # Distances stay the same, and lose less to rounding the shorter the rows are.
    x, unit = _in_units(x)
    x -= x.mean(axis=0)
    t = min(t * unit * unit, _LARGEST)  # 0 times infinity would be NaN
    blocks = [x[start : start + _TILE_ROWS] for start in range(0, len(x), _TILE_ROWS)]
    squares = [np.einsum("nd,nd->n", block, block) for block in blocks]
    largest, total = -math.inf, 0.0  # the sum is `total * exp(largest)`
    for i, rows in enumerate(blocks):
        for j in range(i, len(blocks)):
            exponents = rows @ blocks[j].T
            exponents *= -2
            exponents += squares[i][:, None]
            exponents += squares[j]
            np.maximum(exponents, 0, out=exponents)  # rounding
            with np.errstate(over="ignore"):
                exponents *= -t
            if i == j:
                exponents[np.tril_indices(len(rows))] = -math.inf  # each pair once
            of_tile = exponents.max()
            if of_tile == -math.inf:  # a single row, or rows beyond the range of float64
                continue
            higher = max(largest, of_tile)
            exponents -= higher
            total *= math.exp(largest - higher)
            total += np.exp(exponents, out=exponents).sum()
            largest = higher
    num_pairs = len(x) * (len(x) - 1) / 2
    return float(largest + math.log(total / num_pairs)) if total else -math.inf


def effective_rank(x: Any) -> float:
    """Computes RankMe, the number of directions that rows fill: `exp(-sum_k p_k log p_k)`.

    `p_k = s_k / sum(s) + 1e-7`, with the singular values s of the matrix as it is, not centered.
    `effective_rank(x - x.mean(axis=0))` is that of the covariance, without the mean direction. Of
    d equal singular values the rank is d, up to about 0.1% more with the 1e-7. It is 1 for rows of
    one direction and 0 for rows of zeros.

    It compares runs of one method. SupCon takes the projections of C classes to C - 1 dimensions on
    purpose, so that their rank tends to C - 1: the rank of the features before the projection head
    says more.

    Singular values come from QR factorizations of blocks of rows, one after another. They differ
    from those of the whole matrix by rounding in float64 alone, since the matrix is never squared.
    60,000 rows of 512 take about three seconds on one core.

    Args:
        x: `(n, d)`, at least two rows. The authors take 25,600.

    Returns:
        A number from 1 to about `min(n, d)`, or 0.

    Raises:
        ValueError: If the array is not two finite rows or more.

    Reference:
        Garrido et al., RankMe: Assessing the Downstream Performance of Pretrained Self-Supervised
        Representations by Their Rank, ICML 2023, equation 1.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.evaluation import effective_rank
    >>> round(effective_rank(np.eye(5)), 3), round(effective_rank(np.ones((5, 5))), 3)
    (5.0, 1.0)
    """
    singular = _singular_values(check_embeddings("x", x, at_least=2))
    total = singular.sum()
    if total == 0:
        return 0.0
    shares = singular / total + _EPSILON
    return max(1.0, float(np.exp(-np.sum(shares * np.log(shares)))))


def _singular_values(x: np.ndarray) -> np.ndarray:
    """Returns the singular values `(min(n, d),)` of a matrix, from triangular factors of blocks.

    They are in a unit that keeps their squares within the range of float64.
    """
    unit = _unit(x)
    num_rows = max(_TILE_ROWS, 2 * x.shape[1])
    triangle = np.zeros((0, x.shape[1]))
    for start in range(0, len(x), num_rows):
        rows = np.concatenate([triangle, x[start : start + num_rows] / unit])
        triangle = np.linalg.qr(rows, mode="r")
    return np.linalg.svd(triangle, compute_uv=False)


def embedding_std(x: Any) -> float:
    """Computes the standard deviation over rows of unit length, averaged over dimensions.

    It is `1 / sqrt(d)` where rows of unit length spread over all dimensions, and 0 where all have
    collapsed to one direction.

    Args:
        x: `(n, d)`, at least two rows of any length.

    Returns:
        A number from 0 to `1 / sqrt(d)`.

    Raises:
        ValueError: If the array is not two finite rows or more.

    Reference:
        Chen and He, Exploring Simple Siamese Representation Learning, CVPR 2021, section 4.1.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.evaluation import embedding_std
    >>> embedding_std([[1, 0], [-1, 0], [0, 1], [0, -1]]), embedding_std([[1, 2]] * 3)
    (0.7071067811865476, 0.0)
    """
    return float(_stds_of_unit_rows(x).mean())


def dead_dimensions(x: Any, threshold: float = 0.01) -> float:
    """Computes the share of dimensions that are all but constant over rows of unit length.

    Such a dimension has a standard deviation of at most `threshold` times the largest one. If all
    rows have one direction, up to rounding in float32, then all dimensions are dead. Other signs of
    collapse are for `embedding_std`: where all deviations are equally small, none is dead.

    Args:
        x: `(n, d)`, at least two rows of any length.
        threshold: Number of at least 0, as a share of the largest standard deviation.

    Returns:
        A share in [0, 1].

    Raises:
        ValueError: If the array is not two finite rows or more, or `threshold` is negative.

    Example:

    >>> from keras_supcon.evaluation import dead_dimensions
    >>> dead_dimensions([[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0]])
    0.5
    """
    threshold = check_not_negative("threshold", threshold)
    stds = _stds_of_unit_rows(x)
    return float(np.mean(stds <= max(threshold * stds.max(), _ROUNDING)))


def _in_units(x: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns rows in float64, divided by a unit if their squares would overflow or vanish."""
    unit = _unit(x)
    return np.divide(x, unit, dtype="float64"), unit


def _unit(x: np.ndarray) -> float:
    largest = float(np.abs(x).max())
    return 1.0 if 1e-100 < largest < 1e100 or largest == 0 else largest


def _stds_of_unit_rows(x: Any) -> np.ndarray:
    rows = normalize_rows(check_embeddings("x", x, at_least=2))
    # Less the first row, equal rows have a deviation of exactly 0.
    return np.std(np.subtract(rows, rows[0], dtype="float64"), axis=0)


def mean_cosine(x: Any) -> float:
    """Computes the mean cosine of all pairs of different rows.

    It is near 0 where rows spread over all directions, and 1 where all have collapsed to one. It
    takes no pairs, since the sum of their products is `(||sum_i z_i||^2 - n) / 2`.

    Args:
        x: `(n, d)`, at least two rows of any length. A row of zeros has cosine 0 with any other.

    Returns:
        A number from `-1 / (n - 1)` to 1.

    Raises:
        ValueError: If the array is not two finite rows or more.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.evaluation import mean_cosine
    >>> mean_cosine(np.eye(4)), mean_cosine(np.ones((4, 4)))
    (0.0, 1.0)
    """
    rows = normalize_rows(check_embeddings("x", x, at_least=2)).astype("float64")
    total, number = rows.sum(axis=0), len(rows)
    return min(1.0, float((total @ total - np.sum(rows * rows)) / (number * (number - 1))))


def within_class_variance_ratio(x: Any, labels: Any) -> float:
    """Computes `tr(S_W) / tr(S_B)`, the variance within classes by that of the class means.

    0 means that each class has collapsed to a point of its own, as it does late in training (NC1 of
    neural collapse). It is infinite where all class means are equal. Every row has the same weight,
    also in the variance of the means.

    Args:
        x: `(n, d)`.
        labels: Class ids `(n,)`. Rows of negative ids, which are unlabeled, are left out.

    Returns:
        A number of at least 0.

    Raises:
        ValueError: If the array is not finite rows, labels do not match it, or the rows have fewer
            than two classes.

    Reference:
        Papyan, Han and Donoho, Prevalence of Neural Collapse during the Terminal Phase of Deep
        Learning Training, PNAS 2020.

    Example:

    >>> from keras_supcon.evaluation import within_class_variance_ratio
    >>> within_class_variance_ratio([[0.0], [2.0], [8.0], [10.0]], [0, 0, 1, 1])
    0.0625
    """
    x = check_embeddings("x", x)
    labels = check_labels("labels", labels, len(x))
    x, labels = x[labels >= 0], labels[labels >= 0]
    classes, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise ValueError(
            "`labels` should hold at least two classes. Received: labels of "
            f"{len(classes)} class{'' if len(classes) == 1 else 'es'}"
        )
    x, _ = _in_units(x)
    x -= x[0]  # so that equal rows have means of exactly 0
    by_class = np.split(x[np.argsort(places, kind="stable")], np.cumsum(counts)[:-1])
    means = np.stack([rows.mean(axis=0) for rows in by_class])
    within = np.sum((x - means[places]) ** 2)
    between = counts @ np.sum((means - x.mean(axis=0)) ** 2, axis=1)
    return float(within / between) if between > 0 else math.inf

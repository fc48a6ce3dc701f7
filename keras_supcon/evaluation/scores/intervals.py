"""Intervals of scores, and tests of the difference of two models on the same images."""

from collections.abc import Callable

import numpy as np

from keras_supcon.extras import require_extra
from keras_supcon.seeds import random_generator

CONFIDENCE = 0.95
_SIGNS_AT_ONCE = 2**24


def accuracy_interval(right: int, number: int, confidence: float = CONFIDENCE) -> tuple:
    """Returns the Wilson interval of a share: of the images, were they drawn anew.

    It says nothing of other trainings of the same model.

    Args:
        right: Number of right predictions.
        number: Number of predictions, at least 1.
        confidence: Probability of the interval.

    Returns:
        `(low, high)`.

    Reference:
        Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927.
    """
    require_extra("report", "scipy", by="`accuracy_interval`")
    from scipy.stats import binomtest

    interval = binomtest(int(right), int(number)).proportion_ci(confidence, method="wilson")
    return (float(interval.low), float(interval.high))


def bootstrap(
    statistic: Callable[[np.ndarray], float], number: int, resamples: int = 1000, seed: int = 0
) -> np.ndarray:
    """Returns a statistic of images that are drawn with replacement, again and again.

    Args:
        statistic: Function of the places `(number,)` of the drawn images.
        number: Number of images.
        resamples: Number of draws.
        seed: Seed of the draws: models that share it are measured on the same images.
    """
    rng = random_generator(seed)
    return np.array([statistic(rng.integers(0, number, number)) for _ in range(resamples)])


def percentile_interval(draws: np.ndarray, confidence: float = CONFIDENCE) -> tuple:
    """Returns the middle share of bootstrap draws, `(low, high)`."""
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return (float(low), float(high))


def basic_interval(estimate: float, draws: np.ndarray, confidence: float = CONFIDENCE) -> tuple:
    """Returns the bootstrap interval of a statistic that is biased upward in small samples.

    The draws are as far above the estimate as the estimate is above the truth; so the interval
    mirrors them. It does not go below 0.

    Reference:
        Davison and Hinkley, Bootstrap Methods and their Application, 1997, equation 5.6.
    """
    low, high = percentile_interval(draws, confidence)
    return (max(0.0, 2 * estimate - high), max(0.0, 2 * estimate - low))


def mcnemar(is_right: np.ndarray, other_is_right: np.ndarray) -> float:
    """Computes the exact McNemar test of two models on the same images.

    It is the probability, if both models were equally good, that the images on which only one of
    them is right split at least as unevenly as they do. It does not consider other trainings of the
    two models.

    Args:
        is_right: `(n,)`, bool.
        other_is_right: `(n,)`, bool.

    Returns:
        A probability, two-sided; 1 if the models are right on the same images.

    Reference:
        McNemar, Note on the Sampling Error of the Difference Between Correlated Proportions, 1947.
    """
    require_extra("report", "scipy", by="`mcnemar`")
    from scipy.stats import binomtest

    only_first = int((is_right & ~other_is_right).sum())
    only_second = int((other_is_right & ~is_right).sum())
    if not only_first + only_second:
        return 1.0
    return float(binomtest(only_first, only_first + only_second).pvalue)


def permutation_test(differences: np.ndarray, resamples: int = 10_000, seed: int = 0) -> float:
    """Computes the permutation test of the mean of paired differences.

    It is the share of random swaps of the two models, image by image, after which the mean
    difference is at least as far from 0.

    Args:
        differences: `(n,)`, of a score of each image.
        resamples: Number of random swaps.
        seed: Seed of the swaps.

    Returns:
        A probability, two-sided, from 1 / (resamples + 1) to 1.

    Reference:
        Kornblith et al., Do Better ImageNet Models Transfer Better?, CVPR 2019, appendix B.8; with
        the observed order counted, as Phipson and Smyth, 2010.
    """
    differences = differences[differences != 0].astype("float64")
    if not len(differences):
        return 1.0
    rng = random_generator(seed)
    observed = abs(differences.sum())
    # Sums in another order differ by rounding, and should count as equal.
    bound = observed - 1e-9 * np.abs(differences).sum()
    at_least, left = 0, resamples
    while left:
        drawn = min(left, max(1, _SIGNS_AT_ONCE // len(differences)))
        signs = rng.integers(0, 2, (drawn, len(differences)), dtype="int8") * 2 - 1
        at_least += int((np.abs(signs @ differences) >= bound).sum())
        left -= drawn
    return (at_least + 1) / (resamples + 1)

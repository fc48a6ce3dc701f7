"""Differences between two arms, seed by seed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from keras_supcon.extras import require_extra

CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class PairedDifference:
    """The mean of differences that are paired by seed, with Student's interval.

    Args:
        differences: A difference for each seed.
        low: Lower end of the 95% interval of the mean.
        high: Its upper end.
    """

    differences: tuple[float, ...]
    low: float
    high: float

    @property
    def mean(self) -> float:
        """Mean of the differences."""
        return float(np.mean(self.differences))

    def text(self, scale: float = 100) -> str:
        """Returns the mean with its interval, such as `+1.20 (-0.30 to +2.70)`.

        Args:
            scale: Factor of the numbers; 100 for points.
        """
        mean, low, high = (f"{scale * one:+.2f}" for one in (self.mean, self.low, self.high))
        return f"{mean} ({low} to {high})"

    @property
    def num_missing(self) -> int:
        """Number of seeds without a difference, since a training diverged."""
        return sum(map(math.isnan, self.differences))

    @property
    def num_positive(self) -> int:
        """Number of seeds whose difference is above 0."""
        return sum(difference > 0 for difference in self.differences)


def paired_difference(first: Sequence[float], second: Sequence[float]) -> PairedDifference:
    """Computes the mean of `first - second` over seeds, with its 95% interval.

    The interval is Student's, for differences that are normal: `mean +- t s / sqrt(n)`, with the
    quantile t of `n - 1` degrees of freedom and the standard deviation s of the differences.

    Args:
        first: A number for each seed, at least two. With one that is NaN so is the interval.
        second: Numbers of the same seeds.

    Returns:
        Differences, their mean and its interval.

    Raises:
        ValueError: If there are not as many of both, fewer than two, or infinite ones.
        ImportError: If SciPy is missing (`pip install keras-supcon[report]`).

    Example:

    >>> from keras_supcon.experiments import paired_difference
    >>> found = paired_difference([0.90, 0.92, 0.91], [0.88, 0.89, 0.90])
    >>> round(found.mean, 3), round(found.low, 3), round(found.high, 3), found.num_positive
    (0.02, -0.005, 0.045, 3)
    """
    require_extra("report", "scipy", by="`paired_difference`")
    from scipy import stats

    first, second = (np.asarray(one, "float64") for one in (first, second))
    if first.shape != second.shape or first.ndim != 1 or len(first) < 2:
        raise ValueError(
            "`first` and `second` should be numbers of the same seeds, at least two. Received: "
            f"shapes {first.shape} and {second.shape}"
        )
    if np.isinf(first).any() or np.isinf(second).any():
        raise ValueError(
            "`first` and `second` should be numbers, and NaN where a training diverged. Received: "
            f"first={first}, second={second}"
        )
    differences = first - second
    mean, number = differences.mean(), len(differences)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, number - 1) * differences.std(ddof=1)
    half /= math.sqrt(number)
    return PairedDifference(tuple(differences.tolist()), float(mean - half), float(mean + half))

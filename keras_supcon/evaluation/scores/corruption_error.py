"""The mean corruption error, also relative to a baseline such as AlexNet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from keras_supcon.arguments import check_choice, check_choices, check_probability
from keras_supcon.evaluation.corruptions.constants import CORRUPTIONS, EXTRA_CORRUPTIONS

NUM_SEVERITIES = 5
ALEXNET_ERRORS: Mapping[str, float] = MappingProxyType(
    {
        "gaussian_noise": 0.886428,
        "shot_noise": 0.894468,
        "impulse_noise": 0.922640,
        "defocus_blur": 0.819880,
        "glass_blur": 0.826268,
        "motion_blur": 0.785948,
        "zoom_blur": 0.798360,
        "snow": 0.866816,
        "frost": 0.826572,
        "fog": 0.819324,
        "brightness": 0.564592,
        "contrast": 0.853204,
        "elastic_transform": 0.646056,
        "pixelate": 0.717840,
        "jpeg_compression": 0.606500,
    }
)
"""Error rates of AlexNet on ImageNet-C, means over the five severities, from its authors' code."""
ALEXNET_CLEAN_ERROR = 0.4348
"""Error rate of the same AlexNet on the validation set of ImageNet."""

Errors = Mapping[str, Sequence[float]]
Baseline = Mapping[str, Sequence[float] | float] | str | None


def corruption_errors(
    errors: Errors, baseline: Baseline = None, names: Sequence[str] | None = None
) -> dict[str, float]:
    """Computes the corruption error of each corruption, in percent.

    The corruption error is the sum of the error rates over the severities, divided by that of the
    baseline: 100 is as many errors as the baseline makes. Without a baseline it is the mean error
    rate.

    Args:
        errors: For each corruption, five error rates in [0, 1], from severity 1 to 5.
        baseline: The same for a baseline, whose five rates may be given by their mean; `"alexnet"`
            for `ALEXNET_ERRORS`, which are for images of 224 pixels; or None.
        names: Corruptions that count. None for the 15 of `CORRUPTIONS`, all of which `errors` then
            has to hold; others that it holds do not count.

    Returns:
        Percentages by name, in the order of `names`.

    Raises:
        ValueError: If a name is unknown or lacks errors, an error rate is not in [0, 1], or a
            baseline makes no errors.

    Reference:
        Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and
        Perturbations, ICLR 2019, section 4.3.

    Example:

    >>> from keras_supcon.evaluation.scores.corruption_error import corruption_errors
    >>> halves = {"fog": [0.1, 0.2, 0.3, 0.4, 0.5], "snow": [0.3] * 5}
    >>> corruption_errors(halves, {"fog": 0.6, "snow": 0.3}, names=["fog", "snow"])
    {'fog': 50.0, 'snow': 100.0}
    """
    names = _check_names(names)
    ours = _mean_errors("errors", errors, names)
    if baseline is None:
        return {name: 100 * ours[name] for name in names}
    theirs = _mean_errors("baseline", _check_baseline(baseline), names, means=True)
    for name in names:
        if theirs[name] == 0:
            raise ValueError(
                "`baseline` should make some errors, which errors are divided by. Received: none "
                f"for {name!r}"
            )
    return {name: 100 * ours[name] / theirs[name] for name in names}


def mean_corruption_error(
    errors: Errors, baseline: Baseline = None, names: Sequence[str] | None = None
) -> float:
    """Computes the mean corruption error (mCE), in percent.

    It is the mean of `corruption_errors`. For ImageNet-C it is taken relative to AlexNet, for
    CIFAR-10-C without a baseline.

    Args:
        errors: As for `corruption_errors`.
        baseline: As for `corruption_errors`.
        names: As for `corruption_errors`.

    Returns:
        A percentage, such as 67.2.

    Raises:
        ValueError: As `corruption_errors`.

    Reference:
        Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and
        Perturbations, ICLR 2019, section 4.3.

    Example:

    >>> from keras_supcon.evaluation.scores.corruption_error import (
    ...     ALEXNET_ERRORS,
    ...     mean_corruption_error,
    ... )
    >>> halves = {name: [error / 2] * 5 for name, error in ALEXNET_ERRORS.items()}
    >>> round(mean_corruption_error(halves, "alexnet"), 6)
    50.0
    """
    return float(np.mean(list(corruption_errors(errors, baseline, names).values())))


def relative_mean_corruption_error(
    errors: Errors,
    clean_error: float,
    baseline: Mapping[str, Sequence[float] | float] | str,
    baseline_clean_error: float | None = None,
    names: Sequence[str] | None = None,
) -> float:
    """Computes the relative mean corruption error, in percent.

    It compares how much corruption adds to the error on clean images: 100 is as much as it adds to
    that of the baseline. It is negative for a model that makes fewer errors on corrupted images.

    Args:
        errors: As for `corruption_errors`.
        clean_error: Error rate on the images as they are, in [0, 1].
        baseline: As for `corruption_errors`, but not None.
        baseline_clean_error: Error rate of the baseline on the images as they are; None for
            `ALEXNET_CLEAN_ERROR`, with `"alexnet"` alone.
        names: As for `corruption_errors`.

    Returns:
        A percentage, such as 94.6.

    Raises:
        ValueError: As `corruption_errors`, if corruption adds nothing to the error of the baseline,
            or its clean error is missing.

    Reference:
        Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and
        Perturbations, ICLR 2019, section 4.3.

    Example:

    >>> from keras_supcon.evaluation.scores.corruption_error import (
    ...     relative_mean_corruption_error,
    ... )
    >>> errors, baseline = {"fog": [0.3] * 5}, {"fog": [0.6] * 5}
    >>> round(relative_mean_corruption_error(errors, 0.2, baseline, 0.4, names=["fog"]), 6)
    50.0
    """
    names = _check_names(names)
    ours = _mean_errors("errors", errors, names)
    clean_error = check_probability("clean_error", clean_error)
    theirs = _mean_errors("baseline", _check_baseline(baseline), names, means=True)
    if baseline_clean_error is None and baseline == "alexnet":
        baseline_clean_error = ALEXNET_CLEAN_ERROR
    baseline_clean_error = check_probability("baseline_clean_error", baseline_clean_error)
    for name in names:
        if theirs[name] <= baseline_clean_error:
            raise ValueError(
                "`baseline` should make more errors than `baseline_clean_error` on each "
                f"corruption. Received: {theirs[name]} for {name!r}, baseline_clean_error="
                f"{baseline_clean_error}"
            )
    ratios = [(ours[name] - clean_error) / (theirs[name] - baseline_clean_error) for name in names]
    return float(100 * np.mean(ratios))


def _check_names(names: Sequence[str] | None) -> tuple[str, ...]:
    if names is None:
        return CORRUPTIONS
    return check_choices("names", names, (*CORRUPTIONS, *EXTRA_CORRUPTIONS))


def _check_baseline(baseline: Any) -> Mapping[str, Sequence[float] | float]:
    if isinstance(baseline, str):
        check_choice("baseline", baseline, ("alexnet",))
        return ALEXNET_ERRORS
    return baseline


def _mean_errors(
    argument: str, errors: Any, names: Sequence[str], means: bool = False
) -> dict[str, float]:
    """Checks error rates, and takes their means over severities.

    Args:
        argument: Name of the argument.
        errors: Dictionary of five rates; with `means` also of their mean.
        names: Corruptions that it has to hold.
        means: See `errors`.
    """
    if not isinstance(errors, Mapping):
        raise ValueError(
            f"`{argument}` should be a dictionary from corruptions to error rates. Received: "
            f"{argument}={errors!r}"
        )
    missing = [name for name in names if name not in errors]
    if missing:
        raise ValueError(
            f"`{argument}` should hold all corruptions of `names`. Received: none for "
            f"{', '.join(missing)}"
        )
    result = {}
    for name in names:
        rates = np.asarray(errors[name])
        is_right = rates.shape == (NUM_SEVERITIES,) or (means and rates.ndim == 0)
        # Comparisons with NaN are false.
        if not (is_right and rates.dtype.kind in "fiu" and ((rates >= 0) & (rates <= 1)).all()):
            raise ValueError(
                f"`{argument}` should hold {NUM_SEVERITIES} error rates in [0, 1] for each "
                f"corruption{', or their mean' if means else ''}. Received: "
                f"{errors[name]!r} for {name!r}"
            )
        result[name] = float(rates.mean(dtype="float64"))
    return result

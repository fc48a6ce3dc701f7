"""Accuracy with labels of a few training images alone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from keras_supcon.arguments import check_each, check_whole_number, is_number, is_whole
from keras_supcon.evaluation.protocols.cross_validation import (
    MOST_FOLDS,
    REGULARIZATIONS,
    choose_regularization,
)
from keras_supcon.evaluation.protocols.linear import check_regularizations
from keras_supcon.evaluation.protocols.logistic_regression import Standardizer, fit_probe
from keras_supcon.evaluation.protocols.splits import Splits, check_splits, draw_per_class
from keras_supcon.evaluation.reporting.charts import draw_lines
from keras_supcon.evaluation.results import Result, describe, percent, percent_with_interval
from keras_supcon.evaluation.scores.intervals import CONFIDENCE
from keras_supcon.extras import require_extra
from keras_supcon.seeds import check_seed, derive_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class FewLabels:
    """Accuracy with one number of labels.

    Args:
        name: What was labeled, such as `"1%"` or `"5 per class"`.
        labels: Number of labeled images.
        accuracies: Accuracy on the test images for each draw.
        accuracy: Their mean.
        interval: The 95% interval of the mean over draws (Student's t); from NaN to NaN for one
            draw.
        regularizations: The chosen one for each draw.
    """

    name: str
    labels: int
    accuracies: tuple[float, ...]
    accuracy: float
    interval: tuple[float, float]
    regularizations: tuple[float, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FewLabelResult(Result):
    """What `few_label_evaluation` measured.

    Args:
        parts: For each number of labels its accuracies.
        protocol: Sizes, choices, seeds and versions.
    """

    parts: tuple[FewLabels, ...]

    title: ClassVar[str] = "Few labels"
    caption: ClassVar[str] = (
        "Accuracy of a linear classifier that saw the labels of a few training images; the band is "
        "the 95% interval of the mean over draws of these images."
    )

    def __getitem__(self, name: str) -> FewLabels:
        """Returns the part of a name, such as `"1%"`."""
        for part in self.parts:
            if part.name == name:
                return part
        raise KeyError(name)

    def rows(self) -> list[dict[str, str]]:
        return [
            {
                "labeled": part.name,
                "images": str(part.labels),
                "accuracy": percent_with_interval(part.accuracy, part.interval)
                if len(part.accuracies) > 1
                else percent(part.accuracy),
                "lowest": percent(min(part.accuracies)),
                "highest": percent(max(part.accuracies)),
            }
            for part in self.parts
        ]

    def plot(self, narrow: bool = False) -> Figure:
        return self.plot_together({"linear": self}, narrow)

    @classmethod
    def plot_together(cls, results: Mapping[str, FewLabelResult], narrow: bool = False) -> Figure:
        series, intervals = {}, {}
        for name, result in results.items():
            parts = sorted(result.parts, key=lambda part: part.labels)
            series[name] = ([part.labels for part in parts], [part.accuracy for part in parts])
            intervals[name] = tuple(zip(*(part.interval for part in parts), strict=True))
        return draw_lines(
            series,
            "labeled images",
            "accuracy",
            log_x=True,
            intervals=intervals,
            percent=True,
            narrow=narrow,
        )


def few_label_evaluation(
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    *,
    fractions: Sequence[float] = (0.01, 0.1),
    per_class: Sequence[int] = (1, 5),
    draws: int = 5,
    seed: int = 0,
    regularizations: Sequence[float] = REGULARIZATIONS,
) -> FewLabelResult:
    """Fits linear classifiers to a few labeled embeddings, for several draws of these.

    The labeled images are drawn class by class, at least one of each class. Cross-validation of
    them alone, in up to three folds, chooses the regularization; where all classes but one have one
    image it is 1. Features are standardized by all training embeddings, which needs no labels.

    Args:
        train: Embeddings `(train, d)`.
        train_labels: Class ids `(train,)`.
        test: Embeddings `(test, d)`.
        test_labels: Class ids `(test,)`.
        fractions: Shares of the training images that are labeled, above 0 and at most 1.
        per_class: Numbers of labeled images per class, at least 1; a class with fewer images gives
            all it has.
        draws: Number of draws, at least 1.
        seed: Seed of the draws.
        regularizations: Positive factors to choose from.

    Returns:
        For each number of labels the accuracies, their mean and its interval.

    Raises:
        ValueError: If arrays are not as in `linear_evaluation`, or numbers are out of their ranges.
        ImportError: If scikit-learn is missing (`pip install keras-supcon[report]`).

    Reference:
        Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, ICML
        2020, section 6, who fine-tune instead.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> rng = np.random.default_rng(0)
    >>> labels = np.arange(400) % 4
    >>> rows = np.eye(4)[labels] + 0.3 * rng.normal(size=(400, 4))
    >>> split = rows[:200], labels[:200], rows[200:], labels[200:]
    >>> result = keras_supcon.evaluation.few_label_evaluation(*split, fractions=(), per_class=(5,))
    >>> result["5 per class"].labels, result["5 per class"].accuracy > 0.9
    (20, True)
    """
    require_extra("report", "sklearn", "scipy", by="`few_label_evaluation`")
    splits = check_splits(train, train_labels, test, test_labels)
    draws = check_whole_number("draws", draws, at_least=1)
    check_seed(seed)
    regularizations = check_regularizations(regularizations)
    fractions, per_class = _check_fractions(fractions), _check_per_class(per_class)
    numbers = {
        **{f"{one} per class": one for one in per_class},
        **{f"{100 * one:g}%": one for one in fractions},
    }
    if len(numbers) < len(per_class) + len(fractions):
        raise ValueError(
            "`fractions` and `per_class` should have different numbers. Received: "
            f"fractions={fractions}, per_class={per_class}"
        )
    if not numbers:
        raise ValueError(
            "`fractions` or `per_class` should have a number. Received: fractions=(), per_class=()"
        )
    standardizer = Standardizer(splits.train)
    parts = []
    for name, number in numbers.items():
        counts = _counts(splits.train_labels, number)
        fitted = [
            _fit(splits, counts, regularizations, standardizer, derive_seed(seed, name, draw))
            for draw in range(draws)
        ]
        accuracies, chosen = zip(*fitted, strict=True)
        labeled = sum(counts.values())
        mean = float(np.mean(accuracies))
        parts.append(FewLabels(name, labeled, accuracies, mean, _interval(accuracies), chosen))
    return FewLabelResult(
        parts=tuple(parts),
        protocol=describe(
            "few_label_evaluation",
            **splits.sizes,
            fractions=list(fractions),
            per_class=list(per_class),
            draws=draws,
            regularizations=list(regularizations),
            chosen_by=f"cross-validation of the labeled images in up to {MOST_FOLDS} folds",
            features_are="standardized by all training images",
            seed=seed,
        ),
    )


def _check_fractions(fractions: Any) -> Sequence[float]:
    fractions = check_each(
        "fractions",
        fractions,
        lambda one: is_number(one) and 0 < one <= 1,
        "numbers above 0 and at most 1",
        may_be_empty=True,
    )
    return [float(one) for one in fractions]


def _check_per_class(per_class: Any) -> Sequence[int]:
    per_class = check_each(
        "per_class",
        per_class,
        lambda one: is_whole(one, at_least=1),
        "whole numbers of at least 1",
        may_be_empty=True,
    )
    return [int(one) for one in per_class]


def _counts(labels: np.ndarray, number: float | int) -> dict[int, int]:
    """Returns how many images of each class are labeled."""
    classes, available = np.unique(labels, return_counts=True)
    return {
        int(one): min(n, number if isinstance(number, int) else max(1, round(number * n)))
        for one, n in zip(classes, available.tolist(), strict=True)
    }


def _fit(
    splits: Splits,
    counts: dict[int, int],
    regularizations: Sequence[float],
    standardizer: Standardizer,
    seed: int,
) -> tuple[float, float]:
    """Returns the accuracy with one draw of labeled images, and the chosen regularization."""
    labeled = draw_per_class(splits.train_labels, counts, seed)
    rows, labels = splits.train[labeled], splits.train_labels[labeled]
    chosen = choose_regularization(rows, labels, regularizations, standardizer, seed)
    probe = fit_probe(rows, labels, chosen, standardizer)
    return float((probe.predict(splits.test) == splits.test_labels).mean()), chosen


def _interval(accuracies: Sequence[float]) -> tuple[float, float]:
    if len(accuracies) < 2:
        return (math.nan, math.nan)
    from scipy.stats import t

    mean, half = np.mean(accuracies), np.std(accuracies, ddof=1) / math.sqrt(len(accuracies))
    half *= t.ppf((1 + CONFIDENCE) / 2, len(accuracies) - 1)
    return (float(max(0.0, mean - half)), float(min(1.0, mean + half)))

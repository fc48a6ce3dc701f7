"""Paired comparison of two models on the same images."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from keras_supcon.arguments import check_whole_number, is_pair
from keras_supcon.array_checks import check_numbers
from keras_supcon.evaluation.reporting.charts import draw_bars
from keras_supcon.evaluation.results import Result, describe, percent
from keras_supcon.evaluation.scores.intervals import (
    bootstrap,
    mcnemar,
    percentile_interval,
    permutation_test,
)
from keras_supcon.extras import require_extra
from keras_supcon.seeds import check_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PairedComparison(Result):
    """What `compare` measured.

    Args:
        names: Names of the two models.
        scores: Mean score of each.
        difference: The first minus the second.
        interval: 95% interval of the difference over images (paired bootstrap).
        only_first: Images on which the first alone is right; None for scores that are not 0 or 1.
        only_second: Images on which the second alone is right; None likewise.
        mcnemar: Probability of so uneven a split of these images between equally good models; None
            likewise.
        permutation: Probability of so large a difference if the two were swapped at random, image
            by image.
        protocol: Sizes, choices, seeds and versions.
    """

    names: tuple[str, str]
    scores: tuple[float, float]
    difference: float
    interval: tuple[float, float]
    only_first: int | None
    only_second: int | None
    mcnemar: float | None
    permutation: float

    title: ClassVar[str] = "Comparison"
    caption: ClassVar[str] = (
        "Scores of the two models on the same images. The interval and the tests consider other "
        "images, not other trainings."
    )

    def rows(self) -> list[dict[str, str]]:
        low, high = self.interval
        row = {
            self.names[0]: percent(self.scores[0]),
            self.names[1]: percent(self.scores[1]),
            "difference in points": f"{100 * self.difference:+.2f} "
            f"({100 * low:+.2f} to {100 * high:+.2f})",
        }
        if self.mcnemar is not None:
            row["only the first right"] = str(self.only_first)
            row["only the second right"] = str(self.only_second)
            row["McNemar p"] = _probability(self.mcnemar)
        return [{**row, "permutation p": _probability(self.permutation)}]

    def plot(self, narrow: bool = False) -> Figure:
        return draw_bars(
            dict(zip(self.names, self.scores, strict=True)), "score", percent=True, narrow=narrow
        )


def _probability(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"


def compare(
    first: Any,
    second: Any,
    *,
    names: tuple[str, str] = ("first", "second"),
    resamples: int = 10_000,
    seed: int = 0,
) -> PairedComparison:
    """Compares two models on the same images, image by image.

    Paired, since most images are equally hard for both models: the interval of the difference is
    far narrower than those of the two accuracies suggest. Neither the interval nor the tests
    consider how much another training of the same model would differ.

    Args:
        first: What a protocol returned for the first model, such as a `LinearResult`; or a score of
            each image `(n,)`, such as whether it was classified right.
        second: The same for the second model, on the same images in the same order.
        names: Names of the models.
        resamples: Number of bootstrap draws and of random swaps, at least 1.
        seed: Seed of both.

    Returns:
        The difference with its interval, the exact McNemar test of right and wrong predictions, and
        the permutation test.

    Raises:
        ValueError: If the two are of other images or of other lengths, or if names are equal.
        ImportError: If SciPy is missing (`pip install keras-supcon[report]`).

    Reference:
        Kornblith et al., Do Better ImageNet Models Transfer Better?, CVPR 2019, appendix B.8.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> first, second = np.ones(50, bool), np.arange(50) >= 6  # six images that the first alone has
    >>> result = keras_supcon.evaluation.compare(first, second)
    >>> round(result.difference, 2), result.only_first, result.mcnemar
    (0.12, 6, 0.03125)
    """
    require_extra("report", "scipy", by="`compare`")
    resamples = check_whole_number("resamples", resamples, at_least=1)
    check_seed(seed)
    if not is_pair(names) or str(names[0]) == str(names[1]):
        raise ValueError(f"`names` should be two different names. Received: names={names!r}")
    _check_same_images(first, second)
    scores = [_scores("first", first), _scores("second", second)]
    if len(scores[0]) != len(scores[1]):
        raise ValueError(
            "`first` and `second` should be of the same images. Received: "
            f"{len(scores[0])} and {len(scores[1])} images"
        )
    differences = scores[0] - scores[1]
    draws = bootstrap(lambda rows: differences[rows].mean(), len(differences), resamples, seed)
    are_bools = all(np.isin(one, (0, 1)).all() for one in scores)
    return PairedComparison(
        names=tuple(map(str, names)),
        scores=(float(scores[0].mean()), float(scores[1].mean())),
        difference=float(differences.mean()),
        interval=percentile_interval(draws),
        only_first=int((differences == 1).sum()) if are_bools else None,
        only_second=int((differences == -1).sum()) if are_bools else None,
        mcnemar=mcnemar(*(one == 1 for one in scores)) if are_bools else None,
        permutation=permutation_test(differences, resamples, seed),
        protocol=describe(
            "compare",
            compared=[
                one.protocol["protocol"] if isinstance(one, Result) else "scores of images"
                for one in (first, second)
            ],
            images=len(differences),
            interval=f"paired bootstrap, {resamples} draws of images",
            resamples=resamples,
            seed=seed,
        ),
    )


def _check_same_images(first: Any, second: Any) -> None:
    labels = [getattr(one, "labels", None) for one in (first, second)]
    if all(one is not None for one in labels) and not np.array_equal(*labels):
        raise ValueError(
            "`first` and `second` should be of the same images in the same order. Received: "
            "results with different labels"
        )


def _scores(name: str, scores: Any) -> np.ndarray:
    """Returns the score of each image, float64 `(n,)`."""
    result = scores
    if isinstance(scores, Result):
        scores = scores.image_scores()
    if scores is None:
        raise ValueError(
            f"`{name}` should be a result with a score of each image. Received: {name} of "
            f"type {type(result).__name__}"
        )
    return check_numbers(name, scores).astype("float64")

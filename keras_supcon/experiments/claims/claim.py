"""A claim of a paper as an experiment that is declared before it runs."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from keras_supcon.arguments import (
    check_below_1,
    check_choice,
    check_each,
    check_whole_number,
    is_number,
)
from keras_supcon.experiments.claims.tier import Tier
from keras_supcon.experiments.trials import (
    NO_SHARES,
    PairedDifference,
    Training,
    check_measurement,
    numbers_of,
)

GROUPS = ("accuracy", "loss", "training", "representation", "beyond the paper")
EXPECTED = ("higher", "lower", "equal", "not lower")
HOLDS, NOT_SHOWN, CONTRADICTED = VERDICTS = ("holds", "not shown", "contradicted")


@dataclasses.dataclass(frozen=True)
class Arm:
    """One side of an experiment: a training, or several whose numbers are combined.

    Args:
        training: The training, or several.
        learning_rates: Learning rates to choose from; the one with the highest accuracy on
            validation images is taken for all seeds. Empty for that of the training.
        combine: What becomes of the numbers of several trainings: their `"mean"` or their
            `"deviation"`, the standard deviation.

    Raises:
        ValueError: If there is no training, or `combine` is none of these.
    """

    training: Training | tuple[Training, ...]
    learning_rates: tuple[float, ...] = ()
    combine: Literal["mean", "deviation"] = "mean"

    def __post_init__(self) -> None:
        check_choice("combine", self.combine, ("mean", "deviation"))
        if not self.trainings or not all(isinstance(one, Training) for one in self.trainings):
            raise ValueError(
                f"`training` should be a `Training` or several. Received: {self.training!r}"
            )
        rates = check_each(
            "learning_rates",
            self.learning_rates,
            lambda one: is_number(one) and one > 0,
            "positive numbers",
            may_be_empty=True,
        )
        object.__setattr__(self, "learning_rates", tuple(map(float, rates)))

    @property
    def trainings(self) -> tuple[Training, ...]:
        """The trainings."""
        return self.training if isinstance(self.training, tuple) else (self.training,)

    def combined(self, numbers: Sequence[float]) -> float:
        """Combines a number of each training."""
        if len(numbers) == 1:
            return float(numbers[0])
        if self.combine == "mean":
            return float(np.mean(numbers))
        return float(np.std(numbers, ddof=1))


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Says which number of an arm is expected to be higher, lower or equal to that of another.

    Args:
        first: Name of an arm.
        second: Name of an arm, of the same one if the numbers are different.
        expected: `"higher"` if the first is expected to be so, `"lower"`, `"equal"` or
            `"not lower"`.
        number: Name of the number, see `MEASUREMENTS`.
        second_number: Name of the number of the second arm, if it is another one.
        margin: With `"equal"` and `"not lower"`: the largest mean difference that counts as none.
            That of shares is below 1: 0.01 is a point.

    Raises:
        ValueError: For another `expected`, and for these two without a positive margin.
    """

    first: str
    second: str
    expected: Literal["higher", "lower", "equal", "not lower"] = "higher"
    number: str = "accuracy"
    second_number: str | None = None
    margin: float = 0.0

    def __post_init__(self) -> None:
        check_choice("expected", self.expected, EXPECTED)
        if (self.margin > 0) != (self.expected in ("equal", "not lower")):
            raise ValueError(
                "`margin` should be positive with expected='equal' and 'not lower', and 0 "
                f"otherwise. Received: margin={self.margin}, expected={self.expected!r}"
            )
        if self.number not in NO_SHARES:
            check_below_1("margin", self.margin)

    @property
    def numbers(self) -> tuple[str, str]:
        """Names of the numbers of both arms."""
        return self.number, self.second_number or self.number

    def verdict(self, difference: PairedDifference) -> str:
        """Judges the interval of the difference between the first and the second arm.

        `"higher"` holds if the whole interval is above 0, and is contradicted if all of it is below
        0. `"not lower"` is the same with `-margin` in place of 0. `"equal"` holds if the interval
        is within the margin, and is contradicted if all of it is outside. Otherwise nothing was
        shown, also if a training diverged.
        """
        low, high = difference.low, difference.high
        if self.expected == "equal":
            holds = -self.margin <= low and high <= self.margin
            contradicted = low > self.margin or high < -self.margin
        else:
            low, high = (-high, -low) if self.expected == "lower" else (low, high)
            holds, contradicted = low > -self.margin, high < -self.margin
        return HOLDS if holds else CONTRADICTED if contradicted else NOT_SHOWN


@dataclasses.dataclass(frozen=True)
class Exact:
    """What a computation without training found.

    Args:
        statement: What was computed, with its numbers.
        holds: Whether it is as claimed.
        values: Lines of a picture, from a name to its x and y values.
        x_label: What x is.
        y_label: What y is.
    """

    statement: str
    holds: bool
    values: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    x_label: str
    y_label: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim, and the experiment that puts it to the test.

    Args:
        title: The claim, a sentence.
        group: Its place in the documents, one of `GROUPS`.
        source: Publication and place.
        published: The published figures.
        expectation: What is expected here and why. It is written before the experiment runs and is
            not changed afterwards.
        equal: What is equal between the arms, above all the budget.
        arms: Makes the arms of a tier, by their names. None for a claim that is computed.
        measurements: What is measured on each training, see `MEASUREMENTS`.
        comparisons: What is compared. The claim holds if all of these hold, and is contradicted if
            one is contradicted.
        shows_all: Whether all numbers of the arms are shown, not only those that are compared.
        compute: Computes a claim that needs no training.
        axis: What the names of the arms are values of, if they are numbers.
        seeds: Number of seeds, at least 5.
        is_prominent: Whether it is in the short table of verdicts.

    Raises:
        ValueError: If it has neither arms with comparisons nor a computation, or fewer seeds.
    """

    title: str
    group: str
    source: str
    published: str
    expectation: str
    equal: str = ""
    arms: Callable[[Tier], Mapping[str, Arm]] | None = None
    measurements: tuple[str, ...] = ("accuracy",)
    comparisons: tuple[Comparison, ...] = ()
    shows_all: bool = False
    compute: Callable[[], Exact] | None = None
    axis: str | None = None
    seeds: int = 5
    is_prominent: bool = False

    def __post_init__(self) -> None:
        check_whole_number("seeds", self.seeds, at_least=5)
        check_choice("group", self.group, GROUPS)
        if (self.compute is None) != bool(self.arms and self.comparisons):
            raise ValueError(
                "A claim should have either `arms` and `comparisons`, or `compute`. Received: "
                f"{self.title!r}"
            )
        for name, kind in (("measurements", str), ("comparisons", Comparison)):
            check_each(
                name,
                getattr(self, name),
                lambda one, kind=kind: isinstance(one, kind),
                "names" if kind is str else "`Comparison`, with a comma after a single one",
                may_be_empty=True,
            )
        for name in self.measurements:
            check_measurement(name)
        for name in ("title", "source", "published", "expectation"):
            if not getattr(self, name).strip():
                raise ValueError(f"`{name}` should not be blank. Received: {self.title!r}")

    def checked_arms(self, tier: Tier) -> dict[str, Arm]:
        """Returns the arms of a tier.

        Raises:
            ValueError: If a comparison names another one, or a number that is not measured, or if
                names of arms do not end in the number that `axis` asks for.
        """
        if self.arms is None:
            return {}
        arms = self.arms(tier)
        if not isinstance(arms, Mapping) or not all(isinstance(arm, Arm) for arm in arms.values()):
            raise ValueError(f"`arms` should return names with their `Arm`. Received: {arms!r}")
        measured = [number for name in self.measurements for number in numbers_of(name)]
        for comparison in self.comparisons:
            for name in (comparison.first, comparison.second):
                if name not in arms:
                    raise ValueError(
                        f"`comparisons` should be of the arms {list(arms)}. Received: {name!r} in "
                        f"{self.title!r}"
                    )
            for number in comparison.numbers:
                if number not in measured:
                    raise ValueError(
                        f"`comparisons` should be of the numbers {measured}, which `measurements` "
                        f"have. Received: {number!r} in {self.title!r}"
                    )
        for name in arms:
            if self.axis is not None and not _ends_in_number(name):
                raise ValueError(
                    "With `axis` the name of an arm should end in a space and a number. Received: "
                    f"{name!r} in {self.title!r}"
                )
        return dict(arms)

    @property
    def numbers(self) -> list[str]:
        """Names of the numbers of each arm that are kept and shown."""
        if self.shows_all:
            return [number for name in self.measurements for number in numbers_of(name)]
        return sorted({number for one in self.comparisons for number in one.numbers})


def _ends_in_number(name: str) -> bool:
    try:
        return math.isfinite(float(name.rpartition(" ")[2]))
    except ValueError:
        return False


@contextlib.contextmanager
def naming(what: str) -> Iterator[None]:
    """Returns a context whose errors begin with what they are of.

    Args:
        what: Such as a claim, by its name.
    """
    try:
        yield
    except (ValueError, RuntimeError) as error:
        kind = ValueError if isinstance(error, ValueError) else RuntimeError
        raise kind(f"{what}: {error}") from error


def joint_verdict(verdicts: Sequence[str]) -> str:
    """Returns the verdict of several comparisons together."""
    if CONTRADICTED in verdicts:
        return CONTRADICTED
    return HOLDS if all(verdict == HOLDS for verdict in verdicts) else NOT_SHOWN

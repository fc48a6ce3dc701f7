"""What became of a claim: differences with their intervals, verdict and cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_supcon.experiments.claims.claim import (
    CONTRADICTED,
    HOLDS,
    Claim,
    Comparison,
    Exact,
    joint_verdict,
)
from keras_supcon.experiments.trials import PairedDifference, paired_difference, scale_of


@dataclasses.dataclass(frozen=True)
class Compared:
    """A comparison and what was found.

    Args:
        comparison: What was compared.
        difference: The difference between its arms, seed by seed.
    """

    comparison: Comparison
    difference: PairedDifference

    @property
    def verdict(self) -> str:
        """Its verdict."""
        return self.comparison.verdict(self.difference)

    @property
    def text(self) -> str:
        """The mean difference with its interval, in points where the numbers are shares."""
        found = self.difference
        if found.num_missing:
            return f"diverged with {found.num_missing} of {len(found.differences)} seeds"
        return found.text(scale_of(self.comparison.number))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What was found of a claim.

    Args:
        name: Name of the claim.
        claim: The claim.
        compared: Its comparisons.
        arms: From an arm to its numbers, from their names to one for each seed.
        learning_rates: From an arm to the learning rate that was chosen or given.
        validation: From an arm that chose a learning rate to the validation accuracy of each, for
            each of its trainings.
        seconds: What its trainings and measurements took, those that chose included and those that
            it shares with other claims.
        exact: What was computed, of a claim without training.
    """

    name: str
    claim: Claim
    compared: tuple[Compared, ...] = ()
    arms: Mapping[str, Mapping[str, tuple[float, ...]]] = dataclasses.field(default_factory=dict)
    learning_rates: Mapping[str, str] = dataclasses.field(default_factory=dict)
    validation: Mapping[str, Sequence[Mapping[float, float]]] = dataclasses.field(
        default_factory=dict
    )
    seconds: float = 0.0
    exact: Exact | None = None

    @property
    def verdict(self) -> str:
        """`"holds"`, `"not shown"` or `"contradicted"`."""
        if self.exact is not None:
            return HOLDS if self.exact.holds else CONTRADICTED
        return joint_verdict([one.verdict for one in self.compared])

    @property
    def decisive(self) -> Compared | None:
        """The first comparison with the verdict of all together; None if nothing is compared."""
        return next((one for one in self.compared if one.verdict == self.verdict), None)

    def to_dict(self) -> dict[str, Any]:
        """Returns everything that was found, fit for JSON."""
        return {
            "title": self.claim.title,
            "verdict": self.verdict,
            "seconds": round(self.seconds, 1),
            "comparisons": [
                {
                    **dataclasses.asdict(one.comparison),
                    "differences": list(one.difference.differences),
                    "mean": one.difference.mean,
                    "low": one.difference.low,
                    "high": one.difference.high,
                    "verdict": one.verdict,
                }
                for one in self.compared
            ],
            "arms": {
                arm: {name: list(values) for name, values in numbers.items()}
                for arm, numbers in self.arms.items()
            },
            "learning_rates": dict(self.learning_rates),
            "validation_accuracies": {arm: list(one) for arm, one in self.validation.items()},
            "exact": None if self.exact is None else self.exact.statement,
        }


def compare_arms(
    claim: Claim, arms: Mapping[str, Mapping[str, tuple[float, ...]]]
) -> tuple[Compared, ...]:
    """Compares the numbers of arms as a claim says."""
    compared = []
    for comparison in claim.comparisons:
        first, second = (
            arms[arm][number]
            for arm, number in zip(
                (comparison.first, comparison.second), comparison.numbers, strict=True
            )
        )
        compared.append(Compared(comparison, paired_difference(first, second)))
    return tuple(compared)


def mean_text(name: str, values: tuple[float, ...]) -> str:
    """Returns the mean of a number over seeds with its standard deviation, as text."""
    scale = scale_of(name)
    deviation = np.std(values, ddof=1) if len(values) > 1 else 0.0
    return f"{scale * np.mean(values):.2f} +- {scale * deviation:.2f}"


def comparison_name(compared: Compared) -> str:
    """Returns what was compared, such as `out - in, accuracy`."""
    one = compared.comparison
    first, second = (name.replace("_", " ") for name in one.numbers)
    if first == second:
        return f"{one.first} - {one.second}, {first}"
    return f"{one.first}, {first} - {one.second}, {second}"

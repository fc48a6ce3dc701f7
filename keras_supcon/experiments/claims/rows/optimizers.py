"""The optimizer of pre-training."""

import dataclasses

from keras_supcon.experiments.claims import Arm, Claim, Comparison, Tier
from keras_supcon.recipes import Component

# Momentum and LARS want other learning rates than the others.
_FACTORS = {"LARS": 300.0, "SGD": 30.0}


def arms(tier: Tier) -> dict[str, Arm]:
    def arm(name: str, **arguments: float) -> Arm:
        training = dataclasses.replace(tier.sweep, optimizer=Component(name, arguments))
        factor = _FACTORS.get(name, 1.0)
        return Arm(training, tuple(factor * rate for rate in tier.learning_rates))

    return {
        "LARS": arm("LARS", weight_decay=1e-6),
        "momentum": arm("SGD", momentum=0.9),
        "RMSprop": arm("RMSprop"),
    }


CLAIM = Claim(
    title="LARS is the best optimizer of pre-training",
    group="training",
    source="Khosla et al., 2020, table 3",
    published="LARS 78.7, RMSprop 77.8, momentum 77.7, each with its best second optimizer",
    expectation=(
        "Not shown: LARS is for batches of thousands. The classifier is fitted to its optimum, so "
        "that there is no second optimizer to pair it with."
    ),
    equal="Everything else; each chooses among four learning rates, a factor of 30 apart in all.",
    arms=arms,
    comparisons=(Comparison("LARS", "RMSprop"), Comparison("LARS", "momentum")),
)

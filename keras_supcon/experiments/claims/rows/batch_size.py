"""The batch size of both methods."""

import dataclasses
import math

from keras_supcon.experiments.claims import Arm, Claim, Comparison, Tier, cross_entropy

_MULTIPLES = (1, 2, 4, 8)
_METHODS = ("SupCon", "cross-entropy")


def arms(tier: Tier) -> dict[str, Arm]:
    found = {}
    for method, training in zip(_METHODS, (tier.sweep, cross_entropy(tier.sweep)), strict=True):
        for multiple in _MULTIPLES:
            size = multiple * tier.smallest_batch
            rate = training.learning_rate * math.sqrt(size / training.batch_size)
            found[f"{method} {multiple}"] = Arm(
                dataclasses.replace(training, batch_size=size, learning_rate=rate)
            )
    return found


CLAIM = Claim(
    title="Larger batches help both methods",
    group="training",
    source="Khosla et al., 2020, figure 4b",
    published="curves, up to 6,144 images",
    expectation=(
        "Contradicted: at equal epochs a larger batch has fewer updates, and a run of a few epochs "
        "lives by their number. The paper trained for 350 epochs."
    ),
    equal="Epochs; the learning rate grows with the square root of the batch size.",
    arms=arms,
    comparisons=tuple(Comparison(f"{method} 8", f"{method} 1") for method in _METHODS),
    axis="batch size, in multiples of the smallest",
)

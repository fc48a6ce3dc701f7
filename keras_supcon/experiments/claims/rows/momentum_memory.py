"""A memory of a momentum encoder in place of a large batch."""

import dataclasses

from keras_supcon.experiments.claims import Arm, Claim, Comparison, Tier
from keras_supcon.recipes import Component


def arms(tier: Tier) -> dict[str, Arm]:
    memory = Component("MoCo", {"queue_size": tier.queue_size, "momentum": 0.99})
    small = dataclasses.replace(tier.sweep, batch_size=tier.smallest_batch, model=memory)
    large = dataclasses.replace(tier.sweep, batch_size=8 * tier.smallest_batch)
    return {
        "memory": Arm(small, tier.learning_rates),
        "large batch": Arm(large, tier.learning_rates),
    }


CLAIM = Claim(
    title="A momentum memory with small batches is as good as large batches",
    group="training",
    source="Khosla et al., 2020, section 4.1",
    published="79.1 with a memory of 8,192 and batches of 256 against 78.7 with batches of 6,144",
    expectation=(
        "Above the large batch, which has an eighth of the updates; not above the small batch "
        "without a memory, which ten classes do not need."
    ),
    equal="Epochs; each chooses among four learning rates.",
    arms=arms,
    comparisons=(Comparison("memory", "large batch", "not lower", margin=0.01),),
)

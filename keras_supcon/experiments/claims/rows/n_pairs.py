"""SupCon against N-pairs."""

from keras_supcon.experiments.claims import Arm, Claim, Comparison, Tier, with_loss


def arms(tier: Tier) -> dict[str, Arm]:
    other = with_loss(tier.sweep, "NPairsLoss")
    return {
        "SupCon": Arm(tier.sweep, tier.learning_rates),
        "N-pairs": Arm(other, tier.learning_rates),
    }


CLAIM = Claim(
    title="SupCon is more accurate than N-pairs",
    group="loss",
    source="Khosla et al., 2020, section 3.2.3 and supplement",
    published="78.7 against 57.4",
    expectation=(
        "Holds, by a few points: it is SupCon at temperature 1, where the loss is nearly flat."
    ),
    equal="Everything but the loss; each chooses among four learning rates.",
    arms=arms,
    comparisons=(Comparison("SupCon", "N-pairs"),),
    is_prominent=True,
)

"""SupCon against triplet."""

from keras_supcon.experiments.claims import Arm, Claim, Comparison, Tier, with_loss


def arms(tier: Tier) -> dict[str, Arm]:
    other = with_loss(tier.sweep, "TripletLoss")
    return {
        "SupCon": Arm(tier.sweep, tier.learning_rates),
        "triplet": Arm(other, tier.learning_rates),
    }


CLAIM = Claim(
    title="SupCon is more accurate than the triplet loss",
    group="loss",
    source="Khosla et al., 2020, section 3.2.3, where it is a limit of SupCon",
    published="no figure",
    expectation=(
        "Holds, by a point or two: the loss of triplets vanishes once they are apart by the margin."
    ),
    equal="Everything but the loss; each chooses among four learning rates.",
    arms=arms,
    comparisons=(Comparison("SupCon", "triplet"),),
    is_prominent=False,
)

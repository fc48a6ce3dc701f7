"""SupCon against max-margin."""

from keras_supcon.experiments.claims import Arm, Claim, Comparison, Tier, with_loss


def arms(tier: Tier) -> dict[str, Arm]:
    other = with_loss(tier.sweep, "MaxMarginLoss")
    return {
        "SupCon": Arm(tier.sweep, tier.learning_rates),
        "max-margin": Arm(other, tier.learning_rates),
    }


CLAIM = Claim(
    title="SupCon is more accurate than the max-margin loss",
    group="loss",
    source="Khosla et al., 2020, table 2",
    published="76.5 against 70.5 (CIFAR-100), 78.7 against 78.0 (ImageNet)",
    expectation="Holds, by a point or two.",
    equal="Everything but the loss; each chooses among four learning rates.",
    arms=arms,
    comparisons=(Comparison("SupCon", "max-margin"),),
    is_prominent=False,
)

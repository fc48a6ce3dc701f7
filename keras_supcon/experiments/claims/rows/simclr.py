"""SupCon against SimCLR."""

from keras_supcon.experiments.claims import Arm, Claim, Comparison, Tier, with_loss


def arms(tier: Tier) -> dict[str, Arm]:
    other = with_loss(tier.sweep, "NTXentLoss", temperature=0.1)
    return {
        "SupCon": Arm(tier.sweep, tier.learning_rates),
        "SimCLR": Arm(other, tier.learning_rates),
    }


CLAIM = Claim(
    title="SupCon is more accurate than SimCLR",
    group="loss",
    source="Khosla et al., 2020, table 2",
    published="76.5 against 70.7 (CIFAR-100), 78.7 against 70.2 (ImageNet)",
    expectation="Holds, by five points or more: SimCLR sees no labels until the linear classifier.",
    equal="Everything but the loss; each chooses among four learning rates.",
    arms=arms,
    comparisons=(Comparison("SupCon", "SimCLR"),),
    is_prominent=True,
)

"""Features before the head against projections."""

from keras_supcon.experiments.claims import Arm, Claim, Comparison, Tier, with_loss


def arms(tier: Tier) -> dict[str, Arm]:
    return {
        "SimCLR": Arm(with_loss(tier.sweep, "NTXentLoss", temperature=0.1)),
        "SupCon": Arm(tier.sweep),
    }


CLAIM = Claim(
    title="Features before the head are better than after it",
    group="representation",
    source="Chen et al., 2020, section 4.2, for SimCLR",
    published="more than 10 points",
    expectation="Holds for SimCLR, by some points; for SupCon by less than a point.",
    equal="The network itself: both classifiers are linear.",
    arms=arms,
    measurements=("linear", "projection"),
    comparisons=(
        Comparison("SimCLR", "SimCLR", "higher", "linear", "projection"),
        Comparison("SupCon", "SupCon", "higher", "linear", "projection"),
    ),
)

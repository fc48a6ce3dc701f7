"""Fine classes in the features of an encoder that had coarse labels."""

from keras_supcon.experiments.claims import Arm, Claim, Comparison, Tier, with_loss


def arms(tier: Tier) -> dict[str, Arm]:
    return {
        "SupCon": Arm(tier.coarse),
        "SimCLR": Arm(with_loss(tier.coarse, "NTXentLoss", temperature=0.1)),
    }


CLAIM = Claim(
    title="SupCon with coarse labels tells fine classes less well than SimCLR without labels",
    group="beyond the paper",
    source="Chen et al., Perfectly Balanced, ICML 2022, on class collapse",
    published="no figure for emoji",
    expectation=(
        "Contradicted: after few epochs the classes are far from collapsed, and the coarse labels "
        "are a part of the fine ones."
    ),
    equal="Everything but the loss. Trained on 9 groups of emoji, told apart are 98 subgroups.",
    arms=arms,
    measurements=("accuracy", "finer:subgroup"),
    comparisons=(Comparison("SupCon", "SimCLR", "lower", "finer:subgroup"),),
)

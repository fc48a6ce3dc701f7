"""A projection head, and the features before and after it."""

import dataclasses

from keras_supcon.experiments.claims import Arm, Claim, Comparison, Tier, with_loss


def arms(tier: Tier) -> dict[str, Arm]:
    simclr = with_loss(tier.sweep, "NTXentLoss", temperature=0.1)
    return {
        "SimCLR": Arm(simclr),
        "SimCLR without head": Arm(dataclasses.replace(simclr, head=None)),
        "SupCon": Arm(tier.sweep),
        "SupCon without head": Arm(dataclasses.replace(tier.sweep, head=None)),
    }


CLAIM = Claim(
    title="A projection head makes the features before it better",
    group="representation",
    source="Chen et al., 2020, section 4.2, for SimCLR",
    published="more than 10 points above no head",
    expectation=(
        "Holds for SimCLR, by a few points. Not shown for SupCon, whose loss asks for what the "
        "classifier needs."
    ),
    equal="Everything but the head, the learning rate included.",
    arms=arms,
    measurements=("linear",),
    comparisons=(
        Comparison("SimCLR", "SimCLR without head", number="linear"),
        Comparison("SupCon", "SupCon without head", number="linear"),
    ),
)

"""A projection head in SimCLR."""

import dataclasses

from keras_supcon.experiments.claims import Arm, Claim, Comparison, Tier, with_loss


def arms(tier: Tier) -> dict[str, Arm]:
    simclr = with_loss(tier.sweep, "NTXentLoss", temperature=0.1)
    return {
        "SimCLR": Arm(simclr),
        "SimCLR without head": Arm(dataclasses.replace(simclr, head=None)),
    }


CLAIM = Claim(
    title="A projection head makes SimCLR's features before it better",
    group="representation",
    source="Chen et al., 2020, section 4.2",
    published="more than 10 points above no head",
    expectation="Holds, by a few points.",
    equal="Everything but the head, the learning rate included.",
    arms=arms,
    measurements=("linear",),
    comparisons=(Comparison("SimCLR", "SimCLR without head", number="linear"),),
)

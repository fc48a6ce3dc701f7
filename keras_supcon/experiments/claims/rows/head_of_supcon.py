"""A projection head in SupCon."""

import dataclasses

from keras_supcon.experiments.claims import Arm, Claim, Comparison, Tier


def arms(tier: Tier) -> dict[str, Arm]:
    return {
        "SupCon": Arm(tier.sweep),
        "SupCon without head": Arm(dataclasses.replace(tier.sweep, head=None)),
    }


CLAIM = Claim(
    title="A projection head makes SupCon's features before it better",
    group="representation",
    source="Khosla et al., 2020, section 3.1, which takes the head over from SimCLR",
    published="no figure",
    expectation="Not shown: the loss of SupCon asks for what the classifier needs.",
    equal="Everything but the head, the learning rate included.",
    arms=arms,
    measurements=("linear",),
    comparisons=(Comparison("SupCon", "SupCon without head", number="linear"),),
)

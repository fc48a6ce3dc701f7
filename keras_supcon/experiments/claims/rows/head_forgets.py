"""Transformations that pre-training applies, before and after the head."""

import dataclasses

from keras_supcon.experiments.claims import Arm, Claim, Comparison, Tier, with_loss
from keras_supcon.recipes import Component

_NAME = "SimCLR"


def arms(tier: Tier) -> dict[str, Arm]:
    simclr = with_loss(tier.sweep, "NTXentLoss", temperature=0.1)
    transformations = (
        Component("RandomRotation", {"factor": 0.5, "fill_mode": "constant"}),
        Component("Rescaling", {"scale": 1 / 255}),
        Component("GaussianNoise", {"stddev": 0.2}),
        Component("Rescaling", {"scale": 255}),
    )
    return {_NAME: Arm(dataclasses.replace(simclr, transformations=transformations))}


CLAIM = Claim(
    title="The head forgets the transformations of pre-training",
    group="representation",
    source="Chen et al., 2020, table 3",
    published="rotation 67.6 before and 25.6 after the head, noise 99.5 and 59.6",
    expectation=(
        "Holds, with smaller differences: after few epochs the projections still tell both in part."
    ),
    equal="The network itself. Pre-training rotates the images and adds noise, as there.",
    arms=arms,
    measurements=("head",),
    comparisons=tuple(
        Comparison(_NAME, _NAME, "higher", f"{name}_before_head", f"{name}_after_head")
        for name in ("rotation", "gaussian_noise")
    ),
)

"""A classifier in the same run against one in a second stage."""

import dataclasses

from keras_supcon.experiments.claims import Arm, Claim, Comparison, Tier

_NAME = "SupCon"


def arms(tier: Tier) -> dict[str, Arm]:
    return {_NAME: Arm(dataclasses.replace(tier.sweep, joint_classifier=True))}


CLAIM = Claim(
    title="A classifier in the same run is as good as a second stage",
    group="accuracy",
    source="Khosla et al., 2020, section 4.5",
    published="roughly the same",
    expectation=(
        "Contradicted, the second stage being better by more than a point: the classifier of the "
        "run has seen augmented images alone, and the encoder moved under it."
    ),
    equal="The encoder itself; the classifier sends it no gradient.",
    arms=arms,
    measurements=("accuracy", "linear"),
    comparisons=(Comparison(_NAME, _NAME, "not lower", "accuracy", "linear", margin=0.01),),
)

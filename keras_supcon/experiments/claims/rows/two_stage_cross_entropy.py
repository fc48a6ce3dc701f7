"""A second stage for cross-entropy, as a control."""

from keras_supcon.experiments.claims import Claim, Comparison
from keras_supcon.experiments.claims.claim import Arm
from keras_supcon.experiments.claims.rows.supcon_and_cross_entropy import arms as all_arms
from keras_supcon.experiments.claims.tier import Tier

_NAME = "cross-entropy, equal views"


def arms(tier: Tier) -> dict[str, Arm]:
    return {_NAME: all_arms(tier)[_NAME]}


CLAIM = Claim(
    title="A second stage brings cross-entropy nothing",
    group="accuracy",
    source="Khosla et al., 2020, table 7",
    published="73.7 with a second stage against 77.1 without",
    expectation=(
        "Contradicted: in the pilot a linear classifier on the frozen encoder was 1.3 points "
        "better. Unlike their second stage it is fitted to images without augmentation, and "
        "chooses its regularization."
    ),
    equal="The encoder itself.",
    arms=arms,
    measurements=("accuracy", "linear"),
    comparisons=(Comparison(_NAME, _NAME, "lower", "linear", "accuracy"),),
    is_prominent=True,
)

"""A second stage for cross-entropy, as a control."""

from keras_supcon.experiments.claims import Arm, Claim, Comparison, Tier
from keras_supcon.experiments.claims.rows.supcon_and_cross_entropy import equal_views

_NAME = "cross-entropy, equal views"


def arms(tier: Tier) -> dict[str, Arm]:
    return {_NAME: equal_views(tier)[_NAME]}


CLAIM = Claim(
    title="A second stage makes cross-entropy worse",
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

"""Linear classifiers on another data set."""

from keras_supcon.experiments.claims import Claim, Comparison
from keras_supcon.experiments.claims.rows.supcon_and_cross_entropy import equal_views

CLAIM = Claim(
    title="SupCon transfers as well as cross-entropy",
    group="representation",
    source="Khosla et al., 2020, table 4",
    published="84.27 against 84.67, mean of 12 data sets after fine-tuning",
    expectation=(
        "Contradicted, SupCon being worse by more than a point: it keeps less of what does not "
        "tell the classes apart, and here the encoder stays frozen."
    ),
    equal="As for the claim on accuracy. Handwritten digits, a linear classifier.",
    arms=equal_views,
    measurements=("transfer:digits",),
    comparisons=(
        Comparison(
            "SupCon", "cross-entropy, equal views", "not lower", "transfer:digits", margin=0.01
        ),
    ),
)

"""Linear classifiers from a few labels, on encoders that had all of them."""

from keras_supcon.experiments.claims import Claim, Comparison
from keras_supcon.experiments.claims.rows.supcon_and_cross_entropy import equal_views

CLAIM = Claim(
    title="SupCon's features need fewer labels than those of cross-entropy",
    group="representation",
    source="Khosla et al., 2020, figure 4, on less training data",
    published="curves",
    expectation=(
        "Holds for 1% of the labels: classes that are pulled together need few images to be found. "
        "Not shown for 10%."
    ),
    equal="As for the claim on accuracy; both encoders have had all labels.",
    arms=equal_views,
    measurements=("few_labels",),
    comparisons=(
        Comparison("SupCon", "cross-entropy, equal views", number="one_percent"),
        Comparison("SupCon", "cross-entropy, equal views", number="ten_percent"),
    ),
)

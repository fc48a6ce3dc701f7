"""The features of both methods under the same classifier."""

from keras_supcon.experiments.claims import Claim, Comparison
from keras_supcon.experiments.claims.rows.supcon_and_cross_entropy import equal_views

CLAIM = Claim(
    title="SupCon's features are better than those of cross-entropy under one linear classifier",
    group="beyond the paper",
    source="This package; the paper compares with cross-entropy's own classifier",
    published="no figure",
    expectation=(
        "Contradicted at equal views: in the pilot a linear classifier on the features of "
        "cross-entropy had 87.4 where their own one had 86.1, and SupCon 86.4."
    ),
    equal="As for the claim on accuracy, and the linear classifier.",
    arms=equal_views,
    measurements=("linear",),
    comparisons=(Comparison("SupCon", "cross-entropy, equal views", number="linear"),),
)

"""Accuracy on corrupted images."""

from keras_supcon.experiments.claims import Claim, Comparison
from keras_supcon.experiments.claims.rows.supcon_and_cross_entropy import equal_views

CLAIM = Claim(
    title="SupCon is more robust to corruption than cross-entropy",
    group="representation",
    source="Khosla et al., 2020, figure 3",
    published="mean corruption error 67.2 against 68.6 (ImageNet-C)",
    expectation=(
        "Holds: on all of Fashion-MNIST one seed was 0.6 points better on corrupted images."
    ),
    equal="As for the claim on accuracy; 15 corruptions in 5 severities of 1,000 test images.",
    arms=equal_views,
    measurements=("corruption",),
    comparisons=(
        Comparison("SupCon", "cross-entropy, equal views", number="corrupted_accuracy"),
        Comparison("SupCon", "cross-entropy, equal views", "lower", "accuracy_lost"),
    ),
    is_prominent=True,
)

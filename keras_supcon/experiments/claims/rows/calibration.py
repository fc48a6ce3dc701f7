"""Calibration of the classifiers on clean images."""

from keras_supcon.experiments.claims import Claim, Comparison
from keras_supcon.experiments.claims.rows.supcon_and_cross_entropy import equal_views

CLAIM = Claim(
    title="SupCon is better calibrated than cross-entropy on clean images",
    group="representation",
    source="Khosla et al., 2020, table 6",
    published="calibration error 0.024 against 0.039; under corruption not better",
    expectation=(
        "Not shown or contradicted: after a short training with augmentation cross-entropy is "
        "hardly overconfident, which its calibration error on ImageNet came from."
    ),
    equal="As for the claim on accuracy.",
    arms=equal_views,
    measurements=("calibration",),
    comparisons=(Comparison("SupCon", "cross-entropy, equal views", "lower", "calibration_error"),),
    is_prominent=True,
)

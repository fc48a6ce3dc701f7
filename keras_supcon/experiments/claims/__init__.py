"""Claims of papers, each an experiment that is declared before it runs, and their verdicts."""

from keras_supcon.experiments.claims.claim import Arm, Claim, Comparison, Exact
from keras_supcon.experiments.claims.claims import Claims, ClaimsSettings
from keras_supcon.experiments.claims.outcome import Outcome
from keras_supcon.experiments.claims.tier import TIERS, Tier, cross_entropy, with_loss

__all__ = [
    "TIERS",
    "Arm",
    "Claim",
    "Claims",
    "ClaimsSettings",
    "Comparison",
    "Exact",
    "Outcome",
    "Tier",
    "cross_entropy",
    "with_loss",
]

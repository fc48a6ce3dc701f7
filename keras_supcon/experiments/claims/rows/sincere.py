"""SINCERE: other positives leave the denominator."""

from keras_supcon.experiments.claims import Arm, Claim, Comparison, Tier, with_loss


def arms(tier: Tier) -> dict[str, Arm]:
    sincere = with_loss(tier.sweep, denominator="one_positive")
    return {
        "SupCon": Arm(tier.sweep, tier.learning_rates),
        "SINCERE": Arm(sincere, tier.learning_rates),
    }


CLAIM = Claim(
    title="SINCERE classifies as well as SupCon",
    group="beyond the paper",
    source="Feeney and Hughes, 2023",
    published="equal accuracy, wider margins between classes",
    expectation="Holds within a point.",
    equal="Everything but the denominator; each chooses among four learning rates.",
    arms=arms,
    comparisons=(Comparison("SINCERE", "SupCon", "not lower", margin=0.01),),
)

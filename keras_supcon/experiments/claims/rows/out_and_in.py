"""The mean over positives outside and inside the logarithm."""

from keras_supcon.experiments.claims import Arm, Claim, Comparison, Tier, with_loss


def arms(tier: Tier) -> dict[str, Arm]:
    return {
        "out": Arm(tier.sweep, tier.learning_rates),
        "in": Arm(with_loss(tier.sweep, summation="in"), tier.learning_rates),
    }


CLAIM = Claim(
    title="The sum over positives belongs outside the logarithm",
    group="loss",
    source="Khosla et al., 2020, table 1",
    published="78.7 against 67.4",
    expectation=(
        "Holds, by a point or two: with ten classes and short training the loss inside saturates "
        "on the easiest positive, but pairs of easy classes are few."
    ),
    equal="Everything but the loss; each chooses among four learning rates.",
    arms=arms,
    comparisons=(Comparison("out", "in"),),
    is_prominent=True,
)

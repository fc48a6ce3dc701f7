"""The number of positives of an anchor."""

from keras_supcon.experiments.claims import Arm, Claim, Comparison, Tier, with_loss


def arms(tier: Tier) -> dict[str, Arm]:
    views = tier.sweep.num_views
    return {
        "1 positive": Arm(with_loss(tier.sweep, positives_cap=0)),
        "3 positives": Arm(with_loss(tier.sweep, positives_cap=views)),
        "5 positives": Arm(with_loss(tier.sweep, positives_cap=2 * views)),
        "all positives": Arm(tier.sweep),
    }


CLAIM = Claim(
    title="More positives help, then level off",
    group="loss",
    source="Khosla et al., 2020, table 5",
    published="1: 69.3, 3: 76.6, 5: 78.0, 7: 78.4, 9: 78.3, all: 78.5",
    expectation=(
        "From 1 to 3 a clear gain, of most of the way to all; from 3 on not shown. Positives "
        "beyond the limit leave the denominator too, so that with one positive it is the loss of "
        "SimCLR without false negatives."
    ),
    equal="Everything but the limit, the learning rate included.",
    arms=arms,
    comparisons=(
        Comparison("3 positives", "1 positive"),
        Comparison("all positives", "5 positives", "equal", margin=0.01),
    ),
    is_prominent=True,
)

"""SupCon against cross-entropy on pictures in color with many classes."""

import dataclasses

from keras_supcon.experiments.claims import Arm, Claim, Comparison, Tier, cross_entropy


def arms(tier: Tier) -> dict[str, Arm]:
    images = dataclasses.replace(tier.coarse.images, label="subgroup")
    supcon = dataclasses.replace(tier.coarse, images=images)
    longer, rates = 2 * supcon.epochs, tier.learning_rates
    return {
        "SupCon": Arm(supcon, rates),
        "SupCon, twice the epochs": Arm(dataclasses.replace(supcon, epochs=longer), rates),
        "cross-entropy, twice the epochs": Arm(cross_entropy(supcon, epochs=longer), rates),
    }


CLAIM = Claim(
    title="SupCon is more accurate than cross-entropy on 98 subgroups of emoji",
    group="accuracy",
    source="Khosla et al., 2020, table 2, of other data sets",
    published="76.5 against 75.3 (CIFAR-100)",
    expectation=(
        "Contradicted at equal views, by five points or more; at equal updates not shown. A pilot "
        "of 20 epochs of SupCon, 40 of SupCon and 40 of cross-entropy had 35, 41 and 42."
    ),
    equal=(
        "All but the budget, which decides: the first comparison has equal views of each image, "
        "the second equal updates, where SupCon sees twice the views."
    ),
    arms=arms,
    comparisons=(
        Comparison("SupCon", "cross-entropy, twice the epochs"),
        Comparison("SupCon, twice the epochs", "cross-entropy, twice the epochs"),
    ),
)

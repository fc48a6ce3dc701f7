"""The spread of accuracy over hyper-parameters."""

import dataclasses

from keras_supcon.experiments.claims import Arm, Claim, Comparison, Tier, cross_entropy
from keras_supcon.experiments.trials import Training
from keras_supcon.recipes import Component

_ADAMW = Component("AdamW", {"weight_decay": 0.05})
_OPTIMIZERS = (Component("Adam"), Component("RMSprop"), _ADAMW)
_STRENGTHS = (0.0, 0.3, 1.0)
_SHARE_OF_EPOCHS = 0.6


def variants(tier: Tier, training: Training) -> tuple[Training, ...]:
    """Returns nine of the 27 settings, in which each pair of values occurs once."""
    return tuple(
        dataclasses.replace(
            training,
            learning_rate=rate,
            optimizer=_OPTIMIZERS[column],
            augmentation=Component(
                training.augmentation.name,
                {
                    **training.augmentation.arguments,
                    "strength": _STRENGTHS[(row + column) % len(_STRENGTHS)],
                },
            ),
        )
        for row, rate in enumerate(tier.learning_rates[: len(_OPTIMIZERS)])
        for column in range(len(_OPTIMIZERS))
    )


def arms(tier: Tier) -> dict[str, Arm]:
    epochs = round(_SHARE_OF_EPOCHS * tier.sweep.epochs)
    supcon = dataclasses.replace(tier.sweep, epochs=epochs)
    plain = cross_entropy(supcon, epochs=supcon.num_views * supcon.epochs)
    return {
        "SupCon": Arm(variants(tier, supcon), combine="deviation"),
        "cross-entropy": Arm(variants(tier, plain), combine="deviation"),
    }


CLAIM = Claim(
    title="SupCon varies less with hyper-parameters than cross-entropy",
    group="training",
    source="Khosla et al., 2020, figure 4a",
    published="less spread over augmentations, optimizers and learning rates",
    expectation=(
        "Holds: the linear classifier makes up for a part of what the encoder missed. A number is "
        "the standard deviation of the accuracy over nine settings."
    ),
    equal="Views; the nine settings of learning rate, optimizer and augmentation.",
    arms=arms,
    comparisons=(Comparison("SupCon", "cross-entropy", "lower"),),
    is_prominent=True,
)

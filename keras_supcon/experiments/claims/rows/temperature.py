"""The temperature of the loss."""

from keras_supcon.experiments.claims import Arm, Claim, Comparison, Tier, with_loss

_TEMPERATURES = (0.03, 0.05, 0.1, 0.2, 0.5, 1.0)


def arms(tier: Tier) -> dict[str, Arm]:
    return {
        f"SupCon {temperature:g}": Arm(with_loss(tier.sweep, temperature=temperature))
        for temperature in _TEMPERATURES
    }


CLAIM = Claim(
    title="A temperature of 0.1 is better than much lower and higher ones",
    group="training",
    source="Khosla et al., 2020, figure 4d",
    published="up to 3 points above other temperatures",
    expectation=(
        "Above 1 by a point, where the loss is nearly flat; not shown against 0.03 and 0.5. The "
        "neighbors 0.05 and 0.2 are drawn but not compared."
    ),
    equal="Everything but the temperature, the learning rate included.",
    arms=arms,
    comparisons=tuple(
        Comparison("SupCon 0.1", f"SupCon {other}") for other in ("0.03", "0.5", "1")
    ),
    axis="temperature",
    is_prominent=True,
)

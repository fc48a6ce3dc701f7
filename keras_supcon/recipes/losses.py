"""The losses of the recipes."""

from keras_supcon.recipes.recipe import Component


def supcon(temperature: float, scale_by_temperature: bool) -> Component:
    """Returns equation 2 of the paper over all pairs of views."""
    options = {"summation": "out", "denominator": "all", "contrast_mode": "all"}
    return Component(
        "SupConLoss",
        {"temperature": temperature, **options, "scale_by_temperature": scale_by_temperature},
    )


def ntxent(temperature: float) -> Component:
    """Returns SimCLR's loss."""
    return Component("NTXentLoss", {"temperature": temperature})


def cross_entropy(label_smoothing: float = 0.0) -> Component:
    """Returns Keras' cross-entropy of probabilities and one-hot labels."""
    return Component("CategoricalCrossentropy", {"label_smoothing": label_smoothing})


def negative_cosine() -> Component:
    """Returns BYOL's loss."""
    return Component("NegativeCosineLoss")

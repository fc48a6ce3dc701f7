"""Linear classifiers of the second stage, on features that one can tell apart."""

import types

import numpy as np
import pytest

from keras_supcon.experiments.trials.images import Arrays
from keras_supcon.experiments.trials.second_optimizer import second_optimizer_accuracies

pytestmark = [pytest.mark.neutral, pytest.mark.slow]


def encoder_with(distance):
    """An encoder whose three classes lie at this distance from each other, with deviation 1."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 2000)
    features = rng.normal(size=(2000, 8)) + distance / np.sqrt(2) * np.eye(8)[labels]
    features = (5 + 100 * features).astype("float32")
    images = np.zeros((1000, 1, 1, 1), "uint8")
    return types.SimpleNamespace(
        seed=3,
        arrays=Arrays(images, labels[:1000], images, labels[1000:]),
        train_features=features[:1000],
        test_features=features[1000:],
    )


def test_every_optimizer_comes_near_to_the_best_classifier():
    """Two of three classes at distance d are told apart with the probability Phi(d / 2)."""
    found = second_optimizer_accuracies(encoder_with(distance=6.0))
    assert set(found) == {"then_lars", "then_momentum", "then_rmsprop"}
    assert min(found.values()) > 0.97
    assert second_optimizer_accuracies(encoder_with(distance=6.0)) == found
    chance = second_optimizer_accuracies(encoder_with(distance=0.0))
    assert max(chance.values()) < 0.45

"""Linear classifiers that optimizers train on the features of a frozen encoder."""

from __future__ import annotations

import keras
import numpy as np

from keras_supcon import optimizers
from keras_supcon.evaluation.protocols.logistic_regression import Standardizer
from keras_supcon.evaluation.protocols.splits import hold_out
from keras_supcon.experiments.from_recipe import make_component
from keras_supcon.experiments.trials.trained import Trained
from keras_supcon.recipes import Component
from keras_supcon.seeds import derive_seed

_OPTIMIZERS = {
    "lars": (Component("LARS"), (1.0, 3.0, 10.0)),
    "momentum": (Component("SGD", {"momentum": 0.9}), (0.03, 0.1, 0.3)),
    "rmsprop": (Component("RMSprop"), (1e-3, 3e-3, 1e-2)),
}
SECOND_OPTIMIZER_ACCURACIES = tuple(f"then_{name}" for name in _OPTIMIZERS)
_EPOCHS, _BATCH_SIZE, _PREDICTED, _VALIDATION = 20, 256, 1000, 0.1


def second_optimizer_accuracies(trained: Trained) -> dict[str, float]:
    """Measures how the optimizer of the second stage changes the accuracy.

    A linear classifier has 20 epochs on the standardized features, from the same weights with each
    optimizer. Each chooses among three learning rates by the loss on a tenth of the training
    images, and then trains on all of them.

    Args:
        trained: The encoder.

    Returns:
        Test accuracies `then_lars`, `then_momentum` and `then_rmsprop`.
    """
    arrays = trained.arrays
    standardizer = Standardizer(trained.train_features)
    train, test = standardizer(trained.train_features), standardizer(trained.test_features)
    labels, seed = arrays.train_labels, derive_seed(trained.seed, "second optimizer")
    held_out = hold_out(labels, _VALIDATION, seed)
    found = {}
    for name, (optimizer, rates) in _OPTIMIZERS.items():
        classifier = _Classifier(arrays.num_classes, train.shape[1], optimizer, seed)
        losses = []
        for rate in rates:
            classifier.fit(train[~held_out], labels[~held_out], rate)
            losses.append(classifier.loss(train[held_out], labels[held_out]))
        classifier.fit(train, labels, rates[int(np.argmin(losses))])
        found[f"then_{name}"] = classifier.accuracy(test, arrays.test_labels)
    return found


class _Classifier:
    """A linear classifier that is compiled once, and trained from the same weights each time."""

    def __init__(self, num_classes: int, width: int, optimizer: Component, seed: int) -> None:
        initializer = keras.initializers.GlorotUniform(seed)
        self._model = keras.Sequential(
            [keras.Input((width,)), keras.layers.Dense(num_classes, kernel_initializer=initializer)]
        )
        room = optimizers if optimizer.name == "LARS" else keras.optimizers
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self._optimizer = make_component(room, optimizer, learning_rate=1.0)
        self._model.compile(self._optimizer, loss)
        self._optimizer.build(self._model.trainable_variables)
        self._seed = seed
        self._state = [*self._model.variables, *self._optimizer.variables]
        self._first = [keras.ops.convert_to_numpy(variable) for variable in self._state]

    def fit(self, features: np.ndarray, labels: np.ndarray, learning_rate: float) -> None:
        """Trains it, from its first weights."""
        keras.utils.set_random_seed(self._seed)
        for variable, value in zip(self._state, self._first, strict=True):
            variable.assign(value)
        self._optimizer.learning_rate = learning_rate
        self._model.fit(features, labels, _BATCH_SIZE, _EPOCHS, verbose=0)

    def loss(self, features: np.ndarray, labels: np.ndarray) -> float:
        """Computes the mean cross-entropy."""
        return float(self._model.evaluate(features, labels, _PREDICTED, verbose=0))

    def accuracy(self, features: np.ndarray, labels: np.ndarray) -> float:
        """Computes the share of rows that are classified right."""
        logits = self._model.predict(features, _PREDICTED, verbose=0)
        return float(np.mean(logits.argmax(axis=1) == labels))

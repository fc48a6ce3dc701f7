"""One training of an encoder and a classifier, which leaves the encoder as it was."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from keras_supcon._keras_internals import nested_layers
from keras_supcon.models import LinearClassifier
from keras_supcon.seeds import derive_seed
from keras_supcon.typing import Tensor, TensorTree

_MOMENTUM = 0.9


def take(images: TensorTree, rows: np.ndarray) -> TensorTree:
    return tree.map_structure(lambda one: one[rows], images)


@dataclasses.dataclass(frozen=True)
class Trial:
    """Trains copies of the starting weights."""

    encoder: keras.layers.Layer
    augmenter: keras.layers.Layer | None
    num_classes: int
    steps: int
    batch_size: int
    seed: int

    def run(
        self,
        train: tuple[TensorTree, np.ndarray],
        test: tuple[TensorTree, np.ndarray],
        learning_rate: float,
        weight_decay: float,
    ) -> np.ndarray:
        """Returns the probabilities of the test images after a training; NaN if it diverged."""
        number = len(train[1])
        batch_size = min(self.batch_size, number)
        steps_per_epoch = max(1, number // batch_size)
        momentum = max(1 - 10 / steps_per_epoch, 0.9)
        model = FineTunedClassifier(
            self.encoder,
            self.num_classes,
            augmenter=self.augmenter,
            trainable_encoder=True,
            encoder_training_mode=True,
        )
        model.head.kernel_initializer = keras.initializers.GlorotUniform(
            seed=derive_seed(self.seed, "head")
        )
        model(take(train[0], slice(0, 1)))  # builds it, with the dtypes of the inputs
        model.l2 = weight_decay / learning_rate
        model.compile(
            keras.optimizers.SGD(
                keras.optimizers.schedules.CosineDecay(learning_rate, self.steps),
                momentum=_MOMENTUM,
                nesterov=True,
            ),
            "sparse_categorical_crossentropy",
        )
        with _kept(self.encoder, self.augmenter), _batch_norm_momentum(self.encoder, momentum):
            batches = _Batches(*train, batch_size, self.steps, derive_seed(self.seed, "order"))
            model.fit(batches, epochs=1, shuffle=False, verbose=0)
            return _probabilities(model, test[0], self.batch_size)


def _probabilities(model: keras.Model, images: TensorTree, batch_size: int) -> np.ndarray:
    outputs = model.predict(images, batch_size=batch_size, verbose=0)
    return np.asarray(outputs, "float32")


class FineTunedClassifier(LinearClassifier):
    """Adds the squared weights to the loss of a `LinearClassifier`."""

    l2 = 0.0

    def compute_loss(self, *args: Any, **kwargs: Any) -> Tensor:
        loss = super().compute_loss(*args, **kwargs)
        if not self.l2:
            return loss
        squares = [ops.sum(ops.square(weight)) for weight in self.trainable_variables]
        return loss + self.l2 / 2 * sum(squares)


class _Batches(keras.utils.PyDataset):
    """Batches of shuffled images, epoch after epoch, for a number of steps."""

    def __init__(
        self, images: TensorTree, labels: np.ndarray, batch_size: int, steps: int, seed: int
    ) -> None:
        super().__init__()
        self._images, self._labels = images, labels
        self._batch_size, self._steps = batch_size, steps
        rng = np.random.default_rng(seed)
        in_epoch = len(labels) // batch_size * batch_size
        epochs = math.ceil(steps * batch_size / in_epoch)
        self._order = np.concatenate(
            [rng.permutation(len(labels))[:in_epoch] for _ in range(epochs)]
        )

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> tuple[TensorTree, np.ndarray]:
        rows = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        return take(self._images, rows), self._labels[rows]


@contextlib.contextmanager
def _kept(*layers: keras.layers.Layer | None) -> Iterator[None]:
    """Restores all variables of layers, seeds and statistics included."""
    variables = [one for layer in layers if layer is not None for one in layer.variables]
    before = [(one, ops.convert_to_numpy(one.value)) for one in variables]
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)


@contextlib.contextmanager
def _batch_norm_momentum(encoder: keras.layers.Layer, momentum: float) -> Iterator[None]:
    """Sets the momentum of all batch normalization within a layer, and restores it."""
    layers = [
        one for one in nested_layers(encoder) if isinstance(one, keras.layers.BatchNormalization)
    ]
    before = [one.momentum for one in layers]
    try:
        for one in layers:
            one.momentum = momentum
        yield
    finally:
        for one, value in zip(layers, before, strict=True):
            one.momentum = value

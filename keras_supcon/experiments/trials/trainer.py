"""Trains the encoder of a trial."""

from __future__ import annotations

import inspect
import math
from typing import Any

import keras
import numpy as np

from keras_supcon import augmentation, encoders, layers, losses, models, optimizers
from keras_supcon.experiments.from_recipe import make_component, no_class_error
from keras_supcon.experiments.trials.images import Arrays, ImageReader
from keras_supcon.experiments.trials.trained import Trained
from keras_supcon.experiments.trials.training import Training
from keras_supcon.seeds import derive_seed, random_generator

_WARMUP_EPOCHS = 0.5


def check_together(training: Training, arrays: Arrays) -> None:
    """Checks that there are images for a batch, and steps that train.

    Raises:
        ValueError: If not.
    """
    number, batch_size, epochs = len(arrays.train), training.batch_size, training.epochs
    if batch_size > number:
        raise ValueError(
            f"`batch_size` should be at most the number of training images, {number}. Received: "
            f"batch_size={batch_size}"
        )
    if epochs * (number // batch_size) < 2:  # the learning rate of the first one is 0
        raise ValueError(
            f"`epochs` should give two batches or more. Received: epochs={epochs}, of {number} "
            f"training images with batch_size={batch_size}"
        )
    arrays.check_classes()


class Trainer:
    """Trains one encoder after the other, from other seeds.

    The model is compiled once, and begins each seed with the state of a new one.

    Args:
        training: What is trained.
        reader: Reads the images.

    Raises:
        ValueError: If a batch has more images than there are.
    """

    def __init__(self, training: Training, reader: ImageReader) -> None:
        arrays = reader.read(training.images)
        check_together(training, arrays)
        self.training, self.arrays, self._reader = training, arrays, reader
        self._compiled: tuple[keras.Model, keras.layers.Layer] | None = None

    def train(self, seed: int) -> Trained:
        """Trains from a seed: that of the first weights, the order of the images and the views."""
        keras.utils.set_random_seed(derive_seed(seed, "weights"))
        model, encoder = self._make(seed)
        if self._compiled is None:
            self._compiled = model, encoder
        else:
            _copy_state(model, self._compiled[0])
            model, encoder = self._compiled
        batches = _Batches(
            self.arrays.train, self.arrays.train_labels, self.training.batch_size, seed
        )
        order = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs=None: batches.shuffle(epoch + 1)
        )
        model.fit(batches, epochs=self.training.epochs, shuffle=False, verbose=0, callbacks=[order])
        return Trained(self.training, seed, model, encoder, self.arrays, self._reader)

    def check(self) -> None:
        """Makes the parts, to find what does not go together before anything is trained.

        Raises:
            ValueError: If an argument is wrong, or arguments do not go together.
        """
        training = self.training
        for room, component in ((losses, training.loss), (keras.optimizers, training.optimizer)):
            found = getattr(room, component.name, None)
            if found is not None and not inspect.isclass(found):
                raise no_class_error(room, component)
        encoder, augmenter = make_component(encoders, training.encoder), self._augmenter(seed=0)
        self._check_optimizer()
        if not training.is_cross_entropy:
            self._make_model(encoder, augmenter)
            projections = np.zeros((4, training.num_views, 2), "float32")
            make_component(losses, training.loss)(np.array([0, 0, 1, 1]), projections)

    def _make(self, seed: int) -> tuple[keras.Model, keras.layers.Layer]:
        """Makes, builds and compiles a model; the same seed gives all methods one encoder."""
        training = self.training
        shape = self.arrays.train.shape[1:]
        encoder = make_component(encoders, training.encoder)
        encoder.build((None, *shape))
        augmenter = self._augmenter(seed)
        if training.is_cross_entropy:
            images = keras.Input(shape)
            loss, activation = "sparse_categorical_crossentropy", "softmax"
            if training.logit_adjusted:
                loss, activation = losses.LogitAdjustedCrossentropy(self.arrays.class_counts), None
            classifier = keras.layers.Dense(self.arrays.num_classes, activation=activation)
            model = keras.Model(images, classifier(encoder(augmenter(images))))
            model.compile(self._optimizer(), loss=loss)
            return model, encoder
        model = self._make_model(encoder, augmenter)
        model.build((None, *shape))
        return model, encoder

    def _make_model(
        self, encoder: keras.layers.Layer, augmenter: keras.layers.Layer
    ) -> keras.Model:
        """Makes and compiles a model of pre-training."""
        training = self.training
        given: dict[str, Any] = {
            "projection_head": training.head and make_component(layers, training.head),
            "augmenter": augmenter,
        }
        if training.model.name == "ContrastiveModel":
            given["num_views"] = training.num_views
        if training.joint_classifier:
            given["classifier"] = self.arrays.num_classes
            given["stop_gradient"] = not training.classifier_trains_encoder
        if training.logit_adjusted:
            given["class_counts"] = self.arrays.class_counts
        if training.class_centers:
            given["class_centers"] = self.arrays.num_classes
        model = make_component(models, training.model, encoder=encoder, **given)
        model.compile(self._optimizer(), loss=make_component(losses, training.loss))
        return model

    def _augmenter(self, seed: int) -> keras.layers.Layer:
        policy = make_component(
            augmentation,
            self.training.augmentation,
            image_size=self.arrays.train.shape[1:3],
            seed=derive_seed(seed, "views"),
        )
        before = []
        for number, component in enumerate(self.training.transformations):
            kind = getattr(keras.layers, component.name, object)
            draws = "seed" in inspect.signature(kind).parameters
            given = {"seed": derive_seed(seed, "transformation", number)} if draws else {}
            before.append(make_component(keras.layers, component, **given))
        return keras.Sequential([*before, policy]) if before else policy

    def _check_optimizer(self) -> None:
        optimizer, variable = self._optimizer(), keras.Variable(np.zeros(1, "float32"))
        try:
            optimizer.apply([keras.ops.zeros(1)], [variable])
        except NotImplementedError as error:
            raise ValueError(
                "`optimizer` should be a class that trains. Received: "
                f"optimizer={self.training.optimizer.name!r}"
            ) from error

    def _optimizer(self) -> keras.optimizers.Optimizer:
        training = self.training
        steps_per_epoch = len(self.arrays.train) // training.batch_size
        warmup_steps = math.ceil(_WARMUP_EPOCHS * steps_per_epoch)
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0,
            max(training.epochs * steps_per_epoch - warmup_steps, 1),
            warmup_target=training.learning_rate,
            warmup_steps=warmup_steps,
        )
        room = optimizers if training.optimizer.name == "LARS" else keras.optimizers
        return make_component(room, training.optimizer, learning_rate=schedule)


class _Batches(keras.utils.PyDataset):
    """Full batches of images, in an order that depends on the seed and the epoch alone.

    Keras ends an epoch of its own wherever it reads a batch for its shape, which depends on backend
    and model: so `shuffle` says which epoch it is.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, batch_size: int, seed: int) -> None:
        super().__init__()
        self._images, self._labels, self._batch_size = images, labels, batch_size
        self._seed = seed
        self.shuffle(epoch=0)

    def shuffle(self, epoch: int) -> None:
        """Takes the order of an epoch."""
        rng = random_generator(derive_seed(self._seed, "order", epoch))
        self._order = rng.permutation(len(self._images))

    def __len__(self) -> int:
        return len(self._images) // self._batch_size

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self._order[number * self._batch_size : (number + 1) * self._batch_size]
        return self._images[rows], self._labels[rows]


def _copy_state(source: keras.Model, target: keras.Model) -> None:
    """Gives a model the weights, seeds and fresh optimizer of another one of the same kind."""
    source.optimizer.build(source.trainable_variables)
    pairs = [
        *zip(target.variables, source.variables, strict=True),
        *zip(target.optimizer.variables, source.optimizer.variables, strict=True),
    ]
    for variable, value in pairs:
        variable.assign(value)

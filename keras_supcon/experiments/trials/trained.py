"""A trained encoder, and what measurements ask of it."""

from __future__ import annotations

import functools

import keras
import numpy as np

from keras_supcon import evaluation
from keras_supcon.evaluation.protocols.linear import LinearResult
from keras_supcon.experiments.trials.images import Arrays, ImageReader
from keras_supcon.experiments.trials.training import Images, Training
from keras_supcon.seeds import derive_seed

_BATCH_SIZE = 500
_REGULARIZATIONS = tuple(10.0**exponent for exponent in range(-5, 2))


class Trained:
    """A trained encoder with its images. What several measurements need is computed once.

    Args:
        training: What was trained.
        seed: Its seed.
        model: The model of pre-training, or the classifier of cross-entropy.
        encoder: Its encoder.
        arrays: Images.
        reader: Reads the images of other data sets.
    """

    def __init__(
        self,
        training: Training,
        seed: int,
        model: keras.Model,
        encoder: keras.layers.Layer,
        arrays: Arrays,
        reader: ImageReader,
    ) -> None:
        self.training, self.seed, self.model, self.encoder = training, seed, model, encoder
        self.arrays, self._reader = arrays, reader

    @functools.cached_property
    def is_finite(self) -> bool:
        """Whether the training did not diverge."""
        weights = (np.isfinite(weight).all() for weight in self.model.get_weights())
        return all(weights) and bool(np.isfinite(self.embed(self.arrays.train[:_BATCH_SIZE])).all())

    @property
    def has_classifier(self) -> bool:
        """Whether a classifier was trained together with the encoder."""
        return self.training.is_cross_entropy or self.training.joint_classifier

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Computes features `(n, features)` of images."""
        labels = np.zeros(len(images), int)
        return evaluation.embed(self.encoder, (images, labels), _BATCH_SIZE, verbose=False)[0]

    def classify(self, images: np.ndarray) -> np.ndarray:
        """Computes probabilities `(n, classes)` by the classifier that a method is judged by.

        That is the one that was trained with the encoder, or else a linear one on the features.
        """
        if not self.has_classifier:
            return self.linear.probe.probabilities(self.embed(images))
        labels = np.zeros(len(images), int)
        if self.training.is_cross_entropy:
            model = self.model
            if self.training.logit_adjusted:  # its outputs are logits
                model = keras.Sequential([model, keras.layers.Softmax()])
            return evaluation.classify(model, (images, labels), _BATCH_SIZE, verbose=False)[0]
        logits = self.model.classifier(self.embed(images))
        return keras.ops.convert_to_numpy(keras.ops.softmax(logits))

    @functools.cached_property
    def train_features(self) -> np.ndarray:
        """Features of the training images."""
        return self.embed(self.arrays.train)

    @functools.cached_property
    def test_features(self) -> np.ndarray:
        """Features of the images that are measured on."""
        return self.embed(self.arrays.test)

    @functools.cached_property
    def probabilities(self) -> np.ndarray:
        """Probabilities of the images that are measured on, as by `classify`."""
        return self.classify(self.arrays.test) if self.has_classifier else self.linear.probabilities

    @functools.cached_property
    def linear(self) -> LinearResult:
        """Linear evaluation of the features."""
        return self.evaluate_linearly(
            self.train_features,
            self.arrays.train_labels,
            self.test_features,
            self.arrays.test_labels,
        )

    def evaluate_linearly(self, *split: np.ndarray) -> LinearResult:
        """Does linear evaluation of any embeddings, as `evaluation.linear_evaluation` takes them.

        A tenth of the training images chooses among seven regularizations.
        """
        seed = derive_seed(self.seed, "linear evaluation")
        return evaluation.linear_evaluation(*split, seed=seed, regularizations=_REGULARIZATIONS)

    def read_images(self, images: Images) -> Arrays:
        """Reads the images of another data set, with as many channels as those of training."""
        arrays = self._reader.read(images)
        channels = self.arrays.train.shape[-1]
        return arrays._replace(
            train=_in_channels(arrays.train, channels), test=_in_channels(arrays.test, channels)
        )


def _in_channels(images: np.ndarray, channels: int) -> np.ndarray:
    if images.shape[-1] == channels:
        return images
    if channels == 1:
        return np.rint(images.mean(axis=-1, keepdims=True)).astype("uint8")
    return np.repeat(images, channels, axis=-1)

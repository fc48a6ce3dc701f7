"""Embeddings of a whole data set."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from keras_supcon.models import ContrastiveModel, LinearClassifier
from keras_supcon.models.preprocessing import prepare_images


def embed(model: keras.layers.Layer, dataset: Iterable[tuple[Any, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Computes the encoder's features of every image, in inference mode and without augmentation.

    Args:
        model: A `ContrastiveModel` or `LinearClassifier`, whose encoder and preparation of the images are used, or an
            encoder.
        dataset: Batches `(images, labels)`, for instance a `tf.data.Dataset`. It is read once, so shuffled data
            keep their labels.

    Returns:
        `(embeddings, labels)`: float32 `(n, features)` and `(n,)`, in the order of the data set.

    Raises:
        ValueError: If the data set is empty.

    Example:

    >>> import keras_supcon
    >>> encoder = keras_supcon.encoders.ResNet(depth=10, width=0.125, stem="cifar")
    >>> test = keras_supcon.data.load("digits", "test", batch_size=128)
    >>> embeddings, labels = keras_supcon.evaluation.embed(encoder, test)
    >>> embeddings.shape, labels.shape
    ((355, 64), (355,))
    """
    if isinstance(model, (ContrastiveModel, LinearClassifier)):
        embedder = Embedder(model.encoder, model.augmenter)
    else:
        embedder = Embedder(model, None)
    embeddings, labels = [], []
    for images, batch_labels in dataset:
        embeddings.append(embedder.predict_on_batch(np.asarray(images)))
        labels.append(np.asarray(batch_labels))
    if not embeddings:
        raise ValueError("`dataset` should yield at least one batch. Received: an empty data set")
    return np.concatenate(embeddings).astype("float32"), np.concatenate(labels)


class Embedder(keras.Model):
    """Gives an encoder the compiled loop of `keras.Model.predict_on_batch`."""

    def __init__(self, encoder: keras.layers.Layer, augmenter: keras.layers.Layer | None) -> None:
        super().__init__()
        self.encoder = encoder
        self.augmenter = augmenter

    def call(self, images: Any) -> Any:
        return self.encoder(prepare_images(images, self.augmenter, training=False), training=False)

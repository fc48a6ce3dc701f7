"""Embeddings of a whole data set."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from keras_supcon.arguments import check_whole_number
from keras_supcon.models import ContrastiveModel, LinearClassifier
from keras_supcon.models.preprocessing import prepare_images


def embed(
    model: keras.layers.Layer, dataset: Iterable[tuple[Any, Any]] | tuple[Any, Any], batch_size: int = 256
) -> tuple[np.ndarray, np.ndarray]:
    """Computes the encoder's features of every image, in inference mode and without augmentation.

    Args:
        model: A `ContrastiveModel` or `LinearClassifier`, whose encoder and preparation of the images are used, or an
            encoder.
        dataset: Batches `(images, labels)`, for instance a `tf.data.Dataset`. It is read once, so shuffled data
            keep their labels. Or a pair of arrays `(images, labels)` with all of them.
        batch_size: Images in a batch of the arrays, at least 1; ignored for batches.

    Returns:
        `(embeddings, labels)`: float32 `(n, features)` and `(n,)`, in the order of the data set.

    Raises:
        ValueError: If the data set is empty, or the arrays are not of one length.

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
    for images, batch_labels in _batches(dataset, batch_size):
        embeddings.append(embedder.predict_on_batch(np.asarray(images)))
        labels.append(np.asarray(batch_labels))
    if not embeddings:
        raise ValueError("`dataset` should yield at least one batch. Received: an empty data set")
    return np.concatenate(embeddings).astype("float32"), np.concatenate(labels)


def _batches(dataset: Any, batch_size: int) -> Iterable[tuple[Any, Any]]:
    is_pair = isinstance(dataset, tuple) and len(dataset) == 2 and all(hasattr(array, "shape") for array in dataset)
    if not is_pair:
        return dataset
    batch_size = check_whole_number("batch_size", batch_size, at_least=1)
    images, labels = dataset
    if len(images) != len(labels):
        raise ValueError(
            "`dataset` should be two arrays of one length. "
            f"Received: images.shape={tuple(images.shape)}, labels.shape={tuple(labels.shape)}"
        )
    return ((images[i : i + batch_size], labels[i : i + batch_size]) for i in range(0, len(images), batch_size))


class Embedder(keras.Model):
    """Gives an encoder the compiled loop of `keras.Model.predict_on_batch`."""

    def __init__(self, encoder: keras.layers.Layer, augmenter: keras.layers.Layer | None) -> None:
        super().__init__()
        self.encoder = encoder
        self.augmenter = augmenter

    def call(self, images: Any) -> Any:
        return self.encoder(prepare_images(images, self.augmenter, training=False), training=False)

"""Embeddings of a whole data set."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import tree

from keras_supcon.arguments import check_whole_number
from keras_supcon.models import EncoderModel
from keras_supcon.models.encoder_inputs import cast_for_encoder
from keras_supcon.models.encoder_model import augment, one_view
from keras_supcon.typing import Dataset, Tensor, TensorTree


def embed(
    model: keras.layers.Layer,
    dataset: Iterable[tuple[TensorTree, Tensor]] | tuple[TensorTree, Tensor],
    batch_size: int = 256,
) -> tuple[np.ndarray, np.ndarray]:
    """Computes the encoder's features of every image, in inference mode and without augmentation.

    Pixels: images reach the encoder as they are given, integers as floats of the same values. They
    pass through the inference form of the model's augmenter if it has one; nothing scales them. See
    `ContrastiveModel`.

    Args:
        model: A `ContrastiveModel` or another `models.EncoderModel`, whose encoder and image
            preparation are used, or an encoder.
        dataset: Batches `(images, labels)`, for instance a `tf.data.Dataset`. It is read once, so
            that shuffled data keep their labels. Or a pair of arrays `(images, labels)` with all of
            them. Images may be any inputs of the encoder, such as texts, or a dictionary of
            tensors.
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
    if isinstance(model, EncoderModel):
        embedder = Embedder(model.encoder, one_view(model.augmenter))
    else:
        embedder = Embedder(model, None)
    embeddings, labels = [], []
    for images, batch_labels in _batches(dataset, batch_size):
        embeddings.append(embedder.predict_on_batch(tree.map_structure(_as_batch, images)))
        labels.append(np.asarray(batch_labels))
    if not embeddings:
        raise ValueError("`dataset` should yield at least one batch. Received: an empty data set")
    return np.concatenate(embeddings).astype("float32"), np.concatenate(labels)


def _batches(dataset: Dataset, batch_size: int) -> Iterable[tuple[TensorTree, Tensor]]:
    is_pair = isinstance(dataset, tuple) and len(dataset) == 2 and hasattr(dataset[1], "shape")
    if not is_pair or not all(hasattr(array, "shape") for array in tree.flatten(dataset[0])):
        return dataset
    batch_size = check_whole_number("batch_size", batch_size, at_least=1)
    number = len(dataset[1])
    if any(len(array) != number for array in tree.flatten(dataset[0])):
        shapes = [tuple(array.shape) for array in tree.flatten(dataset[0])]
        raise ValueError(
            "`dataset` should be inputs and labels of one length. Received: inputs of shape "
            f"{', '.join(map(str, shapes))}, labels.shape={tuple(dataset[1].shape)}"
        )
    starts = range(0, number, batch_size)
    return (
        tree.map_structure(lambda array, i=i: array[i : i + batch_size], dataset) for i in starts
    )


def _as_batch(inputs: Tensor) -> Tensor:
    """Converts inputs to a NumPy array, or strings to a tensor of the backend.

    Keras does not support NumPy's strings.
    """
    array = np.asarray(inputs)
    return keras.ops.convert_to_tensor(inputs) if array.dtype.kind in "OSU" else array


class Embedder(keras.Model):
    """Gives an encoder the compiled loop of `keras.Model.predict_on_batch`."""

    def __init__(self, encoder: keras.layers.Layer, augmenter: keras.layers.Layer | None) -> None:
        super().__init__()
        self.encoder = encoder
        self.augmenter = augmenter

    def build(self, input_shape: Any) -> None:
        self.built = True  # the encoder builds itself

    def call(self, images: TensorTree) -> Tensor:
        images = augment(self.augmenter, images, training=False)
        return tree.flatten(self.encoder(cast_for_encoder(self.encoder, images), training=False))[0]

"""Labeled data of a callback, read once into memory."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from keras import tree

from keras_supcon.array_checks import as_array, check_labels
from keras_supcon.evaluation.labeled_batches import is_pair_of_arrays, labeled_batches
from keras_supcon.seeds import random_generator
from keras_supcon.typing import TensorTree


@dataclasses.dataclass(frozen=True)
class LabeledData:
    """Images, or other inputs of an encoder, and their classes.

    Args:
        images: `(n, ...)`, or a structure of such arrays.
        labels: int64 `(n,)`.
    """

    images: TensorTree
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def at_most(self, number: int, seed: int) -> LabeledData:
        """Returns so many of the images, drawn without replacement, in their order."""
        if len(self) <= number:
            return self
        rows = np.sort(random_generator(seed).permutation(len(self))[:number])
        return LabeledData(tree.map_structure(lambda a: a[rows], self.images), self.labels[rows])


def read_labeled(name: str, data: Any) -> LabeledData:
    """Reads all images and labels of a data set, or takes those of a pair of arrays.

    Args:
        name: Name of the argument.
        data: A pair of arrays `(images, labels)`, or batches of such pairs, which are read once.

    Returns:
        The data, as NumPy arrays. Arrays that are given are not copied.

    Raises:
        ValueError: If there are no batches `(images, labels)`, they have no end, there is not one
            class id of at least 0 for each image, or the images have fewer than two classes.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.callbacks.labeled_data import read_labeled
    >>> batches = [(np.zeros((3, 8, 8, 1)), [0, 1, 1]), (np.ones((1, 8, 8, 1)), [2])]
    >>> data = read_labeled("data", batches)
    >>> data.images.shape, data.labels.tolist()
    ((4, 8, 8, 1), [0, 1, 1, 2])
    """
    if is_pair_of_arrays(data):
        images, labels = tree.map_structure(as_array, data[0]), data[1]
    else:
        batches, _ = labeled_batches(name, data, batch_size=1)
        parts = [
            (tree.map_structure(as_array, images), np.atleast_1d(as_array(labels)))
            for images, labels in batches
        ]
        if not parts:
            raise ValueError(f"`{name}` should yield at least one batch. Received: no batch")
        try:
            images, labels = tree.map_structure(lambda *arrays: np.concatenate(arrays), *parts)
        except ValueError as error:
            raise ValueError(
                f"`{name}` should yield images of one shape and class ids. {error}"
            ) from None
    labels = check_labels(f"{name}[1]", labels)
    shapes = [array.shape for array in tree.flatten(images)]
    if any(not shape or shape[0] != len(labels) for shape in shapes):
        raise ValueError(
            f"`{name}` should have a label for each image. Received: images of shape "
            f"{', '.join(map(str, shapes))} and {len(labels)} labels"
        )
    classes = np.unique(labels)
    if len(classes) < 2 or classes[0] < 0:
        raise ValueError(
            f"`{name}` should have images of at least two classes, with ids of at least 0. "
            f"Received: {len(labels)} images, classes {classes[:5].tolist()}"
        )
    return LabeledData(images, labels)

"""Checks of the arrays of two splits, and validation images that are drawn from the first."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from keras_supcon.arguments import is_number, name_some
from keras_supcon.array_checks import check_embeddings, check_labels
from keras_supcon.seeds import check_seed, derive_seed

_MOST_NAMED = 5


@dataclasses.dataclass(frozen=True)
class Splits:
    """Embeddings and class ids of the training and test images.

    Args:
        train: `(train, d)`.
        train_labels: int64 `(train,)`.
        test: `(test, d)`.
        test_labels: int64 `(test,)`.
    """

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray

    @property
    def classes(self) -> np.ndarray:
        """Class ids of the training images, in ascending order."""
        return np.unique(self.train_labels)

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes, as the description of a protocol states them."""
        return {
            "train_images": len(self.train),
            "test_images": len(self.test),
            "features": self.train.shape[1],
            "classes": len(self.classes),
        }


def check_splits(train: Any, train_labels: Any, test: Any, test_labels: Any) -> Splits:
    """Checks two splits.

    Raises:
        ValueError: If embeddings are not finite rows of one width, if labels do not match them or
            are negative, if the training images have one class alone, or if a class of the test
            images is not among theirs.
    """
    train, test = check_embeddings("train", train), check_embeddings("test", test)
    train_labels = check_labels("train_labels", train_labels, len(train))
    test_labels = check_labels("test_labels", test_labels, len(test))
    if train.shape[1] != test.shape[1]:
        raise ValueError(
            "`train` and `test` should have the same width, as embeddings of one encoder have. "
            f"Received: train.shape={train.shape}, test.shape={test.shape}"
        )
    check_classes("train_labels", train_labels, "test_labels", test_labels)
    return Splits(train, train_labels, test, test_labels)


def check_classes(name: str, labels: np.ndarray, other_name: str, others: np.ndarray) -> None:
    """Checks that the classes of other images are among those of the training images."""
    check_labeled(name, labels)
    check_labeled(other_name, others)
    classes = np.unique(labels)
    if len(classes) < 2:
        raise ValueError(
            f"`{name}` should have at least two classes. Received: class {classes[0]} alone"
        )
    missing = np.setdiff1d(others, classes)
    if len(missing):
        raise ValueError(
            f"`{name}` should have the classes of `{other_name}`. Received: no image of "
            f"{'class' if len(missing) == 1 else 'classes'} "
            f"{name_some([str(one) for one in missing], _MOST_NAMED)}"
        )


def check_labeled(name: str, labels: np.ndarray) -> None:
    """Checks that all images have a label.

    Raises:
        ValueError: If one has not.
    """
    if len(labels) and labels.min() < 0:
        raise ValueError(
            f"`{name}` should be class ids of at least 0: images without a label should be left "
            f"out. Received: {name} with {labels.min()}"
        )


def check_validation(validation: Any, train: np.ndarray, train_labels: np.ndarray) -> Any:
    """Checks what validation images are given.

    Returns:
        The share of the training images, or `(embeddings, labels)`.

    Raises:
        ValueError: If it is neither a share between 0 and 1 nor embeddings and labels that match
            the training images.
    """
    if is_number(validation) and 0 < validation < 1:
        return float(validation)
    if not isinstance(validation, (tuple, list)) or len(validation) != 2:
        raise ValueError(
            "`validation` should be a share of the training images above 0 and below 1, or a pair "
            f"(embeddings, labels). Received: validation={validation!r}"
        )
    embeddings = check_embeddings("validation[0]", validation[0])
    labels = check_labels("validation[1]", validation[1], len(embeddings))
    if embeddings.shape[1] != train.shape[1]:
        raise ValueError(
            "`validation[0]` should have the width of `train`. Received: "
            f"validation[0].shape={embeddings.shape}, train.shape={train.shape}"
        )
    check_classes("train_labels", train_labels, "validation[1]", labels)
    return embeddings, labels


def draw_per_class(labels: np.ndarray, counts: dict[int, int], seed: int) -> np.ndarray:
    """Draws images of each class without replacement.

    Args:
        labels: Class ids `(n,)`.
        counts: From class id to the number of its images that are drawn.
        seed: Seed of the draw.

    Returns:
        Places of the drawn images, in ascending order.
    """
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(np.flatnonzero(labels == one))[:n] for one, n in counts.items()]
    return np.sort(np.concatenate(drawn))


def hold_out(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Draws a share of each class for validation, at least one image where a class has two.

    Returns:
        Bool `(n,)`, whether an image is for validation.

    Raises:
        ValueError: If no class has two images.
    """
    seed = derive_seed(check_seed(seed), "validation")
    classes, numbers = np.unique(labels, return_counts=True)
    counts = {
        int(one): min(max(round(share * n), 1), n - 1)
        for one, n in zip(classes, numbers, strict=True)
        if n > 1
    }
    if not counts:
        raise ValueError(
            "`train_labels` should have a class with two images, of which one is for validation. "
            "Received: one image of each class"
        )
    is_held_out = np.zeros(len(labels), bool)
    is_held_out[draw_per_class(labels, counts, seed)] = True
    return is_held_out

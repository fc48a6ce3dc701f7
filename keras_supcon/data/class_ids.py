"""Checks of images with a class id each, as arrays."""

from typing import Any

import numpy as np

from keras_supcon.array_checks import check_labels


def check_labeled_images(images: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Checks that two arrays are images, or other samples, with a class id each.

    Args:
        images: Numbers `(n, ...)`.
        labels: Class ids `(n,)` or `(n, 1)`: whole numbers of at least 0, of any dtype.

    Returns:
        The images as they are, and the class ids as int64 `(n,)`.

    Raises:
        ValueError: If the arrays are not as described.
    """
    images = np.asarray(images)
    if images.ndim < 1 or images.dtype.kind not in "biuf":
        raise ValueError(
            "`images` should be an array of numbers, with a sample in each row. Received: "
            f"images.shape={images.shape}, images.dtype={images.dtype}"
        )
    ids = check_class_ids("labels", labels)
    if len(ids) != len(images):
        raise ValueError(
            "`images` and `labels` should have the same length. Received: "
            f"{len(images)} images and {len(ids)} labels"
        )
    return images, ids


def check_class_ids(name: str, labels: Any) -> np.ndarray:
    """Checks that an array holds class ids, of samples that all have a label.

    Args:
        name: Name of the argument.
        labels: Class ids `(n,)` or `(n, 1)`: whole numbers of at least 0, of any dtype.

    Returns:
        int64 `(n,)`.

    Raises:
        ValueError: If the array is not as described. That includes labels of -1, which mean that
            the class is not known.
    """
    ids = check_labels(name, labels)
    if len(ids) and ids.min() < 0:
        raise ValueError(
            f"`{name}` should be class ids of at least 0: images without a label should be left "
            f"out. Received: {name} from {ids.min()} to {ids.max()}"
        )
    return ids

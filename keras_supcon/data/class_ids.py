"""Checks of images with a class id each, as arrays."""

from typing import Any

import numpy as np


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
    """Checks that an array holds class ids.

    Args:
        name: Name of the argument.
        labels: Class ids `(n,)` or `(n, 1)`: whole numbers of at least 0, of any dtype.

    Returns:
        int64 `(n,)`.

    Raises:
        ValueError: If the array is not as described. That includes labels of -1, which mean that
            the class is not known.
    """
    labels = np.asarray(labels)
    array = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    is_whole = array.dtype.kind in "biu" or (
        array.dtype.kind == "f" and bool((array == np.floor(array)).all())
    )
    if array.ndim != 1 or not is_whole:
        raise ValueError(
            f"`{name}` should be whole numbers of shape (n,), the class ids. Received: "
            f"{name}.shape={labels.shape}, {name}.dtype={labels.dtype}"
        )
    if len(array) and (array.min() < 0 or array.max() >= 2**63):
        raise ValueError(
            f"`{name}` should be class ids of at least 0: images without a label should be left "
            f"out. Received: {name} from {array.min()} to {array.max()}"
        )
    return array.astype("int64")

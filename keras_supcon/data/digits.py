"""The 1,797 handwritten digits of scikit-learn, as part of this package."""

import importlib.resources

import numpy as np

SPLITS = ("train", "test")
CLASS_NAMES = [str(digit) for digit in range(10)]


def read_digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads a split of the digits; every fifth image of each class is a test image.

    Args:
        split: `"train"` (1,442 images) or `"test"` (355).

    Returns:
        `(images, labels)`: uint8 `(n, 8, 8, 1)` from 0 to 255, and int64 `(n,)`.

    Raises:
        ValueError: For another split.

    Reference:
        Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
        Repository, 1998 (CC BY 4.0).

    Example:

    >>> from keras_supcon.data.digits import read_digits
    >>> images, labels = read_digits("test")
    >>> images.shape, sorted(set(labels.tolist()))
    ((355, 8, 8, 1), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    if split not in SPLITS:
        raise ValueError(
            f"`split` of the digits should be one of {SPLITS}. Received: split={split!r}"
        )
    with importlib.resources.files("keras_supcon.data").joinpath("digits.npz").open("rb") as file:
        arrays = np.load(file)
        images, labels = arrays["images"], arrays["labels"].astype("int64")
    position_in_class = np.zeros(len(labels), "int64")
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        position_in_class[members] = np.arange(len(members))
    chosen = (position_in_class % 5 == 4) == (split == "test")
    # The scans have 17 gray levels, 0 to 16.
    return np.round(images[chosen] * (255 / 16)).astype("uint8")[..., None], labels[chosen]

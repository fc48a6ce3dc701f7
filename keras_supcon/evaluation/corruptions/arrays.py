"""Corruption of arrays of images."""

from __future__ import annotations

import concurrent.futures
from typing import Any

import numpy as np

from keras_supcon.arguments import check_whole_number
from keras_supcon.evaluation.corruptions.constants import check_severity, corruption_constants
from keras_supcon.evaluation.corruptions.streams import Streams
from keras_supcon.extras import require_extra
from keras_supcon.seeds import check_seed

SMALLEST_SIDE = 8
CHANNELS = (1, 3)
# Images are corrupted in pieces of so many values, 1 MB of float32 that stay in the cache of a
# core.
_VALUES_AT_ONCE = 2**18
# An index takes one of the 64-bit words of a random generator's counter.
_LARGEST_INDEX = 2**62


def corrupt(
    images: np.ndarray,
    name: str,
    severity: int,
    seed: int = 0,
    *,
    first: int = 0,
    constants: str | None = None,
    threads: int = 1,
) -> np.ndarray:
    """Corrupts images as those of ImageNet-C and CIFAR-10-C are corrupted.

    What is drawn for an image depends on `seed`, `name`, `severity` and its index alone: not on the
    other images, nor on the number of threads. Elastic transform scales with the image; the other
    constants are in pixels or independent of size. Gray images give what gray RGB images would;
    frost, spatter and saturation, which color them, are followed by the luminance, and noise is
    that of one channel. Beyond the result it needs less than 100 MB, however many images of up to
    224 pixels there are.

    The results are close to the published data sets, not equal to their files: the seeds of those
    are not known. Frost is drawn, where ImageNet-C has photographs of it.

    Args:
        images: uint8 `(n, height, width, channels)`, of at least one image, at least 8 pixels high
            and wide, with 1 or 3 channels.
        name: Name of a corruption, of `CORRUPTIONS` or `EXTRA_CORRUPTIONS`.
        severity: 1 (weakest) to 5.
        seed: Whole number, of any sign and size.
        first: Index of the first image, from 0 up to 2^62. With it, a data set corrupted in
            batches is the data set corrupted at once.
        constants: `"cifar"`, `"imagenet"` or None, as for `corruption_constants`.
        threads: Number of threads, at least 1.

    Returns:
        uint8 of the shape of `images`. Values are clipped and truncated to levels.

    Raises:
        ValueError: If an argument is none of the above.
        ImportError: If SciPy or Pillow is missing (`pip install keras-supcon[report]`).

    Reference:
        Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and
        Perturbations, ICLR 2019, appendix B.

    Example:

    >>> import keras_supcon
    >>> from keras_supcon.evaluation.corruptions import corrupt
    >>> images, labels = keras_supcon.data.load_arrays("digits", "test")
    >>> blurred = corrupt(images, "defocus_blur", severity=3)
    >>> blurred.shape, blurred.dtype.name
    ((355, 8, 8, 1), 'uint8')
    """
    images = check_images(images)
    height, width, channels = images.shape[1:]
    severity = check_severity(severity)
    numbers = corruption_constants(name, severity, height, width, constants)
    seed = check_seed(seed)
    first = check_whole_number("first", first, at_least=0)
    if first > _LARGEST_INDEX:
        raise ValueError(f"`first` should be at most 2^62. Received: first={first}")
    threads = check_whole_number("threads", threads, at_least=1)
    require_extra("report", "scipy", "PIL", by="`corrupt`")
    # They import SciPy, which not every user needs.
    from keras_supcon.evaluation.corruptions.levels import to_gray, to_levels
    from keras_supcon.evaluation.corruptions.operations import COLORED, OPERATIONS

    operation = OPERATIONS[name]
    corrupted = np.empty_like(images)
    size = max(1, _VALUES_AT_ONCE // (height * width * channels))

    def corrupt_piece(start: int) -> None:
        piece = images[start : start + size].astype("float32") / 255
        streams = Streams(seed, (name, severity), first + start, len(piece))
        if channels == 1 and name in COLORED:
            piece = np.repeat(piece, 3, axis=3)
        piece = operation(piece, streams, *numbers)
        if piece.shape[3] != channels:
            piece = to_gray(np.clip(piece, 0, 1))
        corrupted[start : start + size] = to_levels(piece)

    starts = range(0, len(images), size)
    if threads == 1:
        for start in starts:
            corrupt_piece(start)
    else:
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(corrupt_piece, starts):  # raises what a thread raised
                pass
    return corrupted


def check_images(images: Any) -> np.ndarray:
    """Checks that an array holds images that can be corrupted.

    Returns:
        A NumPy array.

    Raises:
        ValueError: If it does not.
    """
    array = np.asarray(images)
    if array.dtype != "uint8":
        raise ValueError(
            "`images` should be uint8, from 0 to 255, since corruptions are defined for levels. "
            f"Received: images.dtype={array.dtype}"
        )
    if (
        array.ndim != 4
        or len(array) == 0
        or min(array.shape[1:3]) < SMALLEST_SIDE
        or array.shape[3] not in CHANNELS
    ):
        raise ValueError(
            "`images` should have shape (n, height, width, channels), with at least one image, "
            f"{SMALLEST_SIDE} pixels in height and width, and 1 or 3 channels. Received: "
            f"images.shape={array.shape}"
        )
    return array

"""Embeddings for the benchmark of evaluation: features of images by random weights.

Their columns are correlated and their classes overlap, as those of encoders.
"""

import pathlib
import runpy

import numpy as np

NUM_CLASSES = 10
SIDE = 28
_IDX = pathlib.Path(__file__).resolve().parent.parent / "tools" / "idx.py"
# Mean and standard deviation of the pixels of Fashion-MNIST.
_MEAN, _STD = 0.286, 0.353


def read_images(source_dir: str | None, split: str, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns images `(number, 784)` in [0, 1] and class ids, of Fashion-MNIST or made up."""
    if source_dir is None:
        return made_up_images(split, number)
    images, labels = runpy.run_path(str(_IDX))["read_split"](source_dir, split)
    return images[:number].reshape(-1, SIDE**2).astype("float32") / 255, labels[:number]


def made_up_images(split: str, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns noisy patterns, two for each class, in 50 dimensions of falling variance."""
    patterns = np.random.default_rng(0)
    directions = np.linalg.qr(patterns.normal(size=(SIDE**2, 50)))[0].T
    weights = 3 / np.sqrt(np.arange(1, 51))
    centers = patterns.normal(size=(NUM_CLASSES * 2, 50)) * weights
    random = np.random.default_rng({"train": 1, "test": 2}[split])
    chosen = random.integers(0, len(centers), number)
    coordinates = centers[chosen] + 0.7 * random.normal(size=(number, 50)) * weights
    images = _MEAN + coordinates @ directions
    return images.astype("float32"), chosen % NUM_CLASSES


def features(images: np.ndarray, width: int) -> np.ndarray:
    """Returns the outputs of one random layer with ReLU, `(n, width)`."""
    random = np.random.default_rng(width)
    weights = random.normal(size=(images.shape[1], width)) / np.sqrt(images.shape[1])
    bias = 0.3 * random.normal(size=width)
    standardized = (images - _MEAN) / _STD
    return np.maximum(standardized @ weights.astype("float32") + bias, 0).astype("float32")


def write_splits(
    path: pathlib.Path, source_dir: str | None, train: int, test: int, width: int
) -> None:
    """Writes `train`, `train_labels`, `test` and `test_labels` to one file."""
    arrays = {}
    for split, number in (("train", train), ("test", test)):
        images, labels = read_images(source_dir, split, number)
        arrays |= {split: features(images, width), f"{split}_labels": labels}
    np.savez(path, **arrays)

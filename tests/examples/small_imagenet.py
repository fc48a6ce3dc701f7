"""Writes small data sets of real images that TFDS takes for `imagenet2012` and `cifar10`, without
network.

    python -m tests.examples.small_imagenet folder

The images of `imagenet2012` are pieces of the two photographs that scikit-learn ships and digits on
pieces of them, JPEG files of different sizes; those of `cifar10` are such pieces of 32x32 pixels,
PNG. Both have the features and the version of TFDS' own builders, which find them prepared.
"""

import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

NUM_TRAIN, NUM_EVAL = 64, 22
# Temple, flower, digits 0 to 4 and 5 to 9.
LABELS = {"imagenet2012": (663, 985, 530, 531), "cifar10": (0, 3, 6, 9)}
_SPLITS = {"imagenet2012": ("train", "validation"), "cifar10": ("train", "test")}


def write(name: str, data_dir: str | pathlib.Path) -> pathlib.Path:
    """Writes a data set, unless it is there, and returns its folder."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    builder = tfds.builder(name, data_dir=data_dir)
    if builder.is_prepared():
        return pathlib.Path(builder.data_dir)
    shape = builder.info.features["image"].shape
    text = "file_name" if name == "imagenet2012" else "id"
    signature = {
        text: tf.TensorSpec((), "string"),
        "image": tf.TensorSpec(shape, "uint8"),
        "label": tf.TensorSpec((), "int64"),
    }

    def split(number: int, count: int) -> tf.data.Dataset:
        def generate() -> Iterator[dict[str, Any]]:
            rng = np.random.default_rng(number)
            for i in range(count):
                kind = i % len(LABELS[name])
                size = tuple(rng.integers(40, 120, 2)) if shape[0] is None else shape[:2]
                yield {
                    text: f"{number}_{i}.JPEG",
                    "image": _draw(kind, size, rng),
                    "label": LABELS[name][kind],
                }

        return tf.data.Dataset.from_generator(generate, output_signature=signature)

    written = tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        version=str(builder.info.version),
        features=builder.info.features,
        split_datasets={
            split_name: split(number, count)
            for number, (split_name, count) in enumerate(
                zip(_SPLITS[name], (NUM_TRAIN, NUM_EVAL), strict=True)
            )
        },
        data_dir=str(data_dir),
    )
    return pathlib.Path(written.data_dir)


def _draw(kind: int, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A piece of a photograph, for the kinds 2 and 3 with a digit on it; uint8 `(*size, 3)`."""
    from sklearn.datasets import load_digits, load_sample_images

    photographs = load_sample_images().images
    photograph = photographs[kind if kind < len(photographs) else rng.integers(len(photographs))]
    top, left = (
        rng.integers(0, whole - part) for whole, part in zip(photograph.shape, size, strict=False)
    )
    piece = photograph[top : top + size[0], left : left + size[1]].copy()
    if kind >= len(photographs):
        digits = load_digits()
        of_kind = np.flatnonzero((digits.target >= 5) == (kind == 3))
        digit = digits.images[rng.choice(of_kind)] * (255 / 16)
        side = min(size) // 8
        digit = np.kron(digit, np.ones((side, side)))[..., None]
        height, width = digit.shape[:2]
        piece[:height, :width] = np.maximum(piece[:height, :width], digit)
    return piece


if __name__ == "__main__":
    for dataset in LABELS:
        print(write(dataset, sys.argv[1]))

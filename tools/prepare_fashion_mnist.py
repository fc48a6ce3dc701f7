"""Writes the 70,000 Fashion-MNIST images as a TensorFlow Datasets data set, without network.

The four gzipped IDX files come with Debian's package dataset-fashion-mnist (or from the authors'
repository):

    python tools/prepare_fashion_mnist.py --data_dir=build/tfds
    python examples/quickstart.py --dataset=fashion_mnist --data_dir=build/tfds
"""

import gzip
import math
import os
import pathlib
import shutil
import tempfile

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import app, flags

_SOURCE_DIR = flags.DEFINE_string(
    "source_dir", "/usr/share/datasets/fashion-mnist", "Folder with the four *-ubyte.gz files."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder of TFDS data sets to write to.", required=True
)

_PREFIXES = {"train": "train", "test": "t10k"}
_UNSIGNED_BYTE = 8


def read_idx(path: pathlib.Path) -> np.ndarray:
    """Reads a gzipped IDX file of unsigned bytes.

    It has two zero bytes, the type, the rank, the sizes (4 bytes each) and the values.
    """
    with gzip.open(path) as file:
        content = file.read()
    rank = content[3]
    shape = tuple(np.frombuffer(content, ">u4", count=rank, offset=4).tolist())
    values = content[4 + 4 * rank :]
    if content[:3] != bytes([0, 0, _UNSIGNED_BYTE]) or len(values) != math.prod(shape):
        raise ValueError(
            f"{path} should be an IDX file of unsigned bytes. Received: header {content[:4]!r}, "
            f"shape {shape}"
        )
    return np.frombuffer(values, "uint8").reshape(shape)


def prepare(source_dir: str, data_dir: str) -> pathlib.Path:
    """Writes the data set and returns its folder; one that is already there is left as it is.

    Raises:
        FileNotFoundError: If a source file is missing; nothing is written then.
    """
    builder = tfds.builder("fashion_mnist", data_dir=data_dir)
    target = pathlib.Path(builder.data_dir)
    if builder.is_prepared():
        return target
    splits = {}
    for split, prefix in _PREFIXES.items():
        files = [
            pathlib.Path(source_dir) / f"{prefix}-{part}-ubyte.gz"
            for part in ("images-idx3", "labels-idx1")
        ]
        for file in files:
            if not file.is_file():
                raise FileNotFoundError(
                    f"`source_dir` should hold {file.name} (Debian: apt-get install "
                    "dataset-fashion-mnist). "
                    f"Received: source_dir={source_dir!r}"
                )
        images, labels = map(read_idx, files)
        splits[split] = tf.data.Dataset.from_tensor_slices(
            {"image": images[..., None], "label": labels.astype("int64")}
        )
    os.makedirs(data_dir, exist_ok=True)
    # TFDS writes file after file; a move makes the data set appear whole or not at all.
    with tempfile.TemporaryDirectory(dir=data_dir) as unfinished:
        written = tfds.dataset_builders.store_as_tfds_dataset(
            name="fashion_mnist",
            version=str(builder.info.version),
            features=builder.info.features,
            split_datasets=splits,
            data_dir=unfinished,
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(written.data_dir, target)
    return target


def main(argv: list[str]) -> None:
    del argv
    print(prepare(_SOURCE_DIR.value, _DATA_DIR.value))


if __name__ == "__main__":
    app.run(main)

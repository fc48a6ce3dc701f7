"""Writes the 70,000 Fashion-MNIST images as a TensorFlow Datasets data set, without network.

The four gzipped IDX files come with Debian's package dataset-fashion-mnist (or from the authors'
repository):

    python tools/prepare_fashion_mnist.py --data_dir=build/tfds
    python examples/quickstart.py --dataset=fashion_mnist --data_dir=build/tfds
"""

import os
import pathlib
import runpy
import shutil
import tempfile

import tensorflow as tf
import tensorflow_datasets as tfds
from absl import app, flags

_SOURCE_DIR = flags.DEFINE_string(
    "source_dir", "/usr/share/datasets/fashion-mnist", "Folder with the four *-ubyte.gz files."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder of TFDS data sets to write to.", required=True
)

# By its path, since this file is both started and imported.
read_split = runpy.run_path(str(pathlib.Path(__file__).with_name("idx.py")))["read_split"]


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
    for split in ("train", "test"):
        images, labels = read_split(source_dir, split)
        splits[split] = tf.data.Dataset.from_tensor_slices({"image": images, "label": labels})
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

"""Writes the 70,000 Fashion-MNIST images as a TensorFlow Datasets data set, without network.

The four gzipped IDX files come with Debian's package dataset-fashion-mnist (or from the authors'
repository):

    python tools/prepare_fashion_mnist.py --data_dir=build/tfds
    python examples/quickstart.py --dataset=fashion_mnist --data_dir=build/tfds
"""

import pathlib

from absl import app
from data_set_flags import DATA_DIR, SOURCE_DIR
from idx_data_set import prepare_idx

DEFAULT_SOURCE_DIR = "/usr/share/datasets/fashion-mnist"

_LICENSE = "Fashion-MNIST, copyright 2017 Zalando SE. MIT license, which Debian calls Expat.\n"
_SHA256 = "c20b037b83fd066fe39206c909a3e75c287522a7e764e86d6ca9faa46c134ea5"


def prepare(source_dir: str, data_dir: str) -> pathlib.Path:
    """Writes the data set and returns its folder; one that is already there is left as it is.

    Raises:
        FileExistsError: If there is a folder without a complete data set.
        FileNotFoundError: If a source file is missing; nothing is written then.
        ValueError: If a source file is no IDX file.
    """
    # As Debian's package has it beside the images.
    notice = pathlib.Path(source_dir, "../../doc/dataset-fashion-mnist/copyright")
    text = notice.read_text(encoding="utf-8") if notice.is_file() else ""
    return prepare_idx("fashion_mnist", source_dir, data_dir, f"{_LICENSE}\n{text}", _SHA256)


def main(argv: list[str]) -> None:
    del argv
    print(prepare(SOURCE_DIR.value or DEFAULT_SOURCE_DIR, DATA_DIR.value))


if __name__ == "__main__":
    app.run(main)

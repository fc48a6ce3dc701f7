"""Reads IDX files, the format of MNIST and Fashion-MNIST."""

import gzip
import math
import pathlib

import numpy as np

_UNSIGNED_BYTE = 8
_PREFIXES = {"train": "train", "test": "t10k"}


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


def read_split(source_dir: str | pathlib.Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads the images `(n, height, width, 1)` and class ids of `"train"` or `"test"`.

    Raises:
        FileNotFoundError: If a file is missing.
    """
    arrays = []
    for part in ("images-idx3", "labels-idx1"):
        file = pathlib.Path(source_dir) / f"{_PREFIXES[split]}-{part}-ubyte.gz"
        if not file.is_file():
            raise FileNotFoundError(
                f"`source_dir` should hold {file.name} (Debian: apt-get install "
                f"dataset-fashion-mnist). Received: source_dir={str(source_dir)!r}"
            )
        arrays.append(read_idx(file))
    images, labels = arrays
    return images[..., None], labels.astype("int64")

"""Reads IDX files, the format of MNIST and Fashion-MNIST."""

import gzip
import math
import pathlib
import zlib

import numpy as np

_UNSIGNED_BYTE = 8
_PREFIXES = {"train": "train", "test": "t10k"}


def read_idx(path: pathlib.Path) -> np.ndarray:
    """Reads an IDX file of unsigned bytes, gzipped where its name ends in `.gz`.

    It has two zero bytes, the type, the rank, the sizes (4 bytes each) and the values.

    Raises:
        ValueError: If it is another file, or damaged.
    """
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path} should be a gzip file. Received: {error}") from error
    header, rank = content[:4], content[3] if len(content) > 3 else 0
    sizes, values = content[4 : 4 + 4 * rank], content[4 + 4 * rank :]
    shape = tuple(np.frombuffer(sizes[: len(sizes) // 4 * 4], ">u4").tolist())
    is_idx = header[:3] == bytes([0, 0, _UNSIGNED_BYTE]) and len(shape) == rank > 0
    if not is_idx or len(values) != math.prod(shape):
        raise ValueError(
            f"{path} should be an IDX file of unsigned bytes. Received: header {header!r}, shape "
            f"{shape}, {len(values)} values"
        )
    return np.frombuffer(values, "uint8").reshape(shape)


def read_split(source_dir: str | pathlib.Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads the images `(n, height, width, 1)` and class ids of `"train"` or `"test"`.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If one is another file, or damaged.
    """
    arrays = []
    for part in ("images-idx3", "labels-idx1"):
        plain = pathlib.Path(source_dir) / f"{_PREFIXES[split]}-{part}-ubyte"
        gzipped = plain.with_name(f"{plain.name}.gz")
        if not plain.is_file() and not gzipped.is_file():
            raise FileNotFoundError(
                f"`source_dir` should hold {gzipped.name}, or the same without .gz (Fashion-MNIST "
                "on Debian: apt-get install dataset-fashion-mnist). Received: "
                f"source_dir={str(source_dir)!r}"
            )
        arrays.append(read_idx(plain if plain.is_file() else gzipped))
    images, labels = arrays
    return images[..., None], labels.astype("int64")

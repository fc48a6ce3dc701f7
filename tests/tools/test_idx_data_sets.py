"""MNIST and Fashion-MNIST, which `tests/data/test_named.py` reads, from files of the IDX format."""

import gzip
import pathlib

import numpy as np
import pytest
from idx import read_idx, read_split

from keras_supcon import data

pytest.importorskip("tensorflow_datasets")

import prepare_mnist


def write_idx(folder: pathlib.Path, rng: np.random.Generator, zipped: bool) -> dict:
    """Writes ten training and five test images, and returns them with their labels."""
    folder.mkdir()
    written = {}
    for split, prefix, size in (("train", "train", 10), ("test", "t10k", 5)):
        images = rng.integers(0, 256, (size, 28, 28), "uint8")
        labels = (np.arange(size) % 10).astype("uint8")
        for part, values in (("images-idx3", images), ("labels-idx1", labels)):
            shape = b"".join(length.to_bytes(4, "big") for length in values.shape)
            content = bytes([0, 0, 8, values.ndim]) + shape + values.tobytes()
            name = f"{prefix}-{part}-ubyte"
            if zipped:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)
        written[split] = images, labels
    return written


@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_has_the_images_and_labels_of_its_files(tmp_path, rng, zipped):
    written = write_idx(tmp_path / "source", rng, zipped)
    folder = prepare_mnist.prepare(str(tmp_path / "source"), str(tmp_path / "tfds"))
    assert "CC BY-SA 3.0" in (folder / "LICENSE").read_text()
    for split, (images, labels) in written.items():
        for found, expected in zip(
            read_split(tmp_path / "source", split), (images[..., None], labels), strict=True
        ):
            np.testing.assert_array_equal(found, expected)
        stored, stored_labels = data.load_arrays("mnist", split, tmp_path / "tfds")
        order = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
        assert [order[image.tobytes()] for image in stored] == stored_labels.tolist()
        assert len(stored) == len(images)


def test_a_missing_file_is_named_and_nothing_is_written(tmp_path, rng):
    write_idx(tmp_path / "source", rng, zipped=False)
    (tmp_path / "source" / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(
        FileNotFoundError, match="should hold t10k-labels-idx1-ubyte.gz, or the same"
    ):
        prepare_mnist.prepare(str(tmp_path / "source"), str(tmp_path / "tfds"))
    assert not (tmp_path / "tfds").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0\x08",
        b"\0\0\x08\x03\0\0",
        b"\0\0\x08\0",
        b"\0\0\x0d\x01\0\0\0\x01a",
        b"\0\0\x08\x01\0\0\0\x02a",
    ],
    ids=["empty", "short", "header", "rank", "type", "values"],
)
def test_a_damaged_file_is_named(content, tmp_path):
    for name, written in [("plain", content), ("zipped.gz", gzip.compress(content))]:
        path = tmp_path / name
        path.write_bytes(written)
        with pytest.raises(ValueError, match=f"{name} should be an IDX file.*Received: header"):
            read_idx(path)
    whole = gzip.compress(b"\0\0\x08\x01\0\0\0\x02ab")
    for written in (b"no archive", b"", whole[:-4], whole[:12] + b"\xff" + whole[13:]):
        path.write_bytes(written)
        with pytest.raises(ValueError, match="zipped.gz should be"):
            read_idx(path)


def test_the_real_mnist_has_its_known_counts_and_mean(real):
    data_dir = real("mnist")
    images, labels = data.load_arrays("mnist", "train", data_dir)
    # As the data set is normalized everywhere: mean 0.1307, standard deviation 0.3081.
    assert (round(images.mean() / 255, 4), round(images.std() / 255, 4)) == (0.1307, 0.3081)
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(labels).tolist() == counts
    assert len(data.load_arrays("mnist", "test", data_dir)[1]) == 10_000

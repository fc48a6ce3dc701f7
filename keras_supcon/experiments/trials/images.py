"""The images of a trial as arrays."""

from __future__ import annotations

import hashlib
import os
import pathlib
import zipfile
from typing import NamedTuple

import numpy as np

from keras_supcon import data
from keras_supcon.arguments import name_some
from keras_supcon.evaluation.protocols.splits import hold_out
from keras_supcon.experiments.trials.training import Images
from keras_supcon.extras import require_extra
from keras_supcon.files import whole_file

_VALIDATION, _SPLIT_SEED, _BATCH_SIZE = 0.2, 0, 256


class Arrays(NamedTuple):
    """Images uint8 `(n, height, width, channels)` and labels `(n,)` from 0 on."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Training images of each class."""
        return tuple(np.bincount(self.train_labels, minlength=self.num_classes).tolist())

    @property
    def num_classes(self) -> int:
        """One more than the highest label."""
        return int(max(self.train_labels.max(), self.test_labels.max())) + 1

    def check_classes(self) -> None:
        """Checks that there is a training image of every class, and two of some.

        Raises:
            ValueError: If not.
        """
        missing = np.setdiff1d(self.test_labels, self.train_labels)
        if len(missing):
            names = name_some([str(label) for label in missing], most=5)
            raise ValueError(
                "`train_images` should be enough for an image of each class. Received: "
                f"train_images={len(self.train)}, none of the classes {names}"
            )
        if len(np.unique(self.train_labels)) == len(self.train_labels):  # none for validation
            raise ValueError(
                "`train_images` should be enough for two images of a class. Received: "
                f"train_images={len(self.train)}"
            )

    @property
    def digest(self) -> str:
        """Twenty hexadecimal digits of all pixels and labels."""
        hashed = hashlib.blake2b(digest_size=10)
        for array in self:
            hashed.update(f"{array.shape} {array.dtype}".encode())
            hashed.update(np.ascontiguousarray(array).tobytes())
        return hashed.hexdigest()


class ImageReader:
    """Reads the images of trials, and keeps them in files for other processes.

    Where TensorFlow is missing, the files of an earlier run serve instead of the data sets.

    Args:
        folder: Folder of the files.
        data_dir: Folder of TFDS data sets.
        reads_files: Whether files are read where they are there. Otherwise the data sets are, and
            the files are written anew.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        data_dir: str | os.PathLike[str] | None = None,
        reads_files: bool = False,
    ) -> None:
        self._folder, self._data_dir, self._reads_files = folder, data_dir, reads_files
        self._read: dict[Images, Arrays] = {}
        self._digests: dict[Images, str] = {}

    @property
    def for_other_processes(self) -> ImageReader:
        """A reader of the files that this one has written."""
        return ImageReader(self._folder, self._data_dir, reads_files=True)

    def read(self, images: Images) -> Arrays:
        """Reads the images of a trial: those of training, and those that are measured on.

        Raises:
            ValueError: If the data set does not have them, or labels are missing.
            RuntimeError: If the data set cannot be read.
            ImportError: If a package that reads it is missing.
        """
        if images not in self._read:
            self._read[images] = self._read_once(images)
        return self._read[images]

    def digest(self, images: Images) -> str:
        """Reads the images of a trial and returns the digest of their pixels and labels."""
        if images not in self._digests:
            self._digests[images] = self.read(images).digest
        return self._digests[images]

    def _read_once(self, images: Images) -> Arrays:
        path = self._folder / f"{images.digest}.npz"
        if self._reads_files and path.exists():
            return _from_file(path)
        try:
            arrays = read_images(images, self._data_dir)
        except ImportError:
            if not path.exists():
                raise
            return _from_file(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as unfinished, unfinished.open("wb") as file:
            np.savez_compressed(file, **arrays._asdict())
        return arrays


def _from_file(path: pathlib.Path) -> Arrays:
    try:
        with np.load(path) as arrays:
            return Arrays(**arrays)
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise RuntimeError(
            f"The images in {os.fspath(path)!r} are damaged. Start again with TensorFlow, which "
            f"reads them from the data set: {error}"
        ) from error


def read_images(images: Images, data_dir: str | os.PathLike[str] | None = None) -> Arrays:
    """Reads the images of a trial from their data set.

    Args:
        images: Which ones.
        data_dir: Folder of TFDS data sets.

    Returns:
        Training images, and those that are measured on.

    Raises:
        ValueError: If the data set does not have them, or labels are missing.
        RuntimeError: If the data set cannot be read.
        ImportError: If a package that reads it is missing.
    """
    pixels, labels, finer = _read_split(images, images.train_split, data_dir)
    is_held_out = np.zeros(len(labels), bool)
    if images.measured_on == "validation":
        is_held_out = hold_out(labels, _VALIDATION, _SPLIT_SEED)
    rows = np.flatnonzero(~is_held_out)
    if images.imbalance is not None:
        rows = rows[data.long_tailed(labels[rows], images.imbalance, images.train_images)]
    elif images.train_images is not None:
        rows = rows[balanced_rows(labels[rows], images.train_images, "train_images")]
    train = _sized(pixels[rows], images.size), finer[rows]
    if images.measured_on == "validation":
        return Arrays(*train, _sized(pixels[is_held_out], images.size), finer[is_held_out])
    pixels, labels, finer = _read_split(images, images.test_split, data_dir)
    if images.test_images is not None:
        rows = balanced_rows(labels, images.test_images, "test_images")
        pixels, finer = pixels[rows], finer[rows]
    return Arrays(*train, _sized(pixels, images.size), finer)


def _read_split(
    images: Images, split: str, data_dir: str | os.PathLike[str] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reads images, the labels that they are chosen by, and those that they have afterwards."""
    if os.path.isdir(os.path.expanduser(images.dataset)):
        pixels, labels = _read_folder(images, split)
        return pixels, labels, labels
    found = []
    for label in dict.fromkeys((images.label, images.finer_label or images.label)):
        options = {} if label is None else {"label": label}
        pixels, labels = data.load_arrays(images.dataset, split, data_dir, **options)
        if (labels < 0).any():
            raise ValueError(
                f"The images of {images.dataset!r} should all have a label. Received: "
                f"split={split!r}, with {(labels < 0).sum()} images without one"
            )
        found.append(labels)
    return pixels, found[0], found[-1]


def _sized(pixels: np.ndarray, size: int | None) -> np.ndarray:
    if size in (None, pixels.shape[1]) and pixels.shape[1] == pixels.shape[2]:
        return pixels
    return resize(pixels, size or min(pixels.shape[1:3]))


def _read_folder(images: Images, split: str) -> tuple[np.ndarray, np.ndarray]:
    if images.size is None:
        raise ValueError(
            "`size` should be given for a folder of class folders. Received: size=None, of "
            f"{images.dataset!r}"
        )
    for name in ("label", "finer_label"):
        if getattr(images, name) is not None:
            raise ValueError(
                f"`{name}` should be None for a folder of class folders, which are the labels. "
                f"Received: {name}={getattr(images, name)!r}, of {images.dataset!r}"
            )
    size = (images.size, images.size)
    batches = data.load_folder(images.dataset, split, _BATCH_SIZE, size, shuffle=False)
    pixels, labels = zip(*batches.as_numpy_iterator(), strict=True)
    return np.concatenate(pixels), np.concatenate(labels).astype("int64")


def balanced_rows(labels: np.ndarray, number: int, name: str = "number") -> np.ndarray:
    """Chooses rows, as equally many of each class as there are; always the same ones.

    Args:
        labels: Labels `(n,)`.
        number: How many, at most `n`.
        name: What an error calls it.

    Returns:
        Numbers of the rows, in ascending order.

    Raises:
        ValueError: If there are fewer.
    """
    if number > len(labels):
        raise ValueError(
            f"`{name}` should be at most the images that there are, {len(labels)}. "
            f"Received: {name}={number}"
        )
    rng = np.random.default_rng(_SPLIT_SEED)
    order = rng.permutation(len(labels))
    seen: dict[int, int] = {}
    rounds = np.empty(len(labels), int)
    for row in order:  # the round in which its class gives this row
        rounds[row] = seen[labels[row]] = seen.get(labels[row], -1) + 1
    chosen = order[np.argsort(rounds[order], kind="stable")][:number]
    return np.sort(chosen)


def resize(images: np.ndarray, size: int) -> np.ndarray:
    """Resizes images to squares, by means over the area of each pixel."""
    require_extra("report", "PIL", by="`size` of `Images`")
    from PIL import Image

    channels = images.shape[-1]
    resized = np.empty((len(images), size, size, channels), "uint8")
    for place, image in enumerate(images):
        for channel in range(channels):
            one = Image.fromarray(image[..., channel])
            resized[place, ..., channel] = one.resize((size, size), Image.Resampling.BOX)
    return resized

"""Writes data sets in the form of TensorFlow Datasets, whole or not at all."""

import dataclasses
import hashlib
import pathlib
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

# From a key that is unique in its split to the features of an example. TFDS stores the examples in
# the order of a hash of their keys.
Split = Mapping[str | int, Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Content:
    """What a folder of TFDS shall hold.

    Args:
        name: Name of the data set.
        config: Its configuration; None for a data set without any.
        version: Three numbers with dots.
        features: The features of an example by their names; one is `image`.
        supervised_keys: The names of the image and of the label that is loaded by default.
        splits: The examples of each split.
        description: What the images are.
        homepage: Where they come from.
        license: The licenses and notices that go with the images, which TFDS writes beside them.
        sha256: The expected `digest(splits)`; None where it is not known.
    """

    name: str
    version: str
    features: tfds.features.FeaturesDict
    supervised_keys: tuple[str, str]
    splits: Mapping[str, Split]
    description: str
    homepage: str
    license: str
    config: str | None = None
    sha256: str | None = None

    @property
    def full_name(self) -> str:
        return "/".join(filter(None, (self.name, self.config)))


def folder_of(
    data_dir: str | pathlib.Path, name: str, version: str, config: str | None = None
) -> pathlib.Path:
    """Returns the folder of a data set, whether there is one or not."""
    return pathlib.Path(data_dir, name, config or "", version)


def is_written(folder: pathlib.Path) -> bool:
    """Returns whether a folder holds a data set, for programs to ask before they read the files.

    Raises:
        FileExistsError: If there is a folder without a complete data set.
    """
    if (folder / "dataset_info.json").is_file():
        return True
    if folder.exists():
        raise FileExistsError(
            f"The folder of the data set should be complete or absent. Received: {str(folder)!r}, "
            "without dataset_info.json. Remove it"
        )
    return False


def write(content: Content, data_dir: str | pathlib.Path) -> pathlib.Path:
    """Writes a data set and returns its folder; one that is already there is left as it is.

    Other pixels or labels than those of `content.sha256` bring a warning: another version of Pillow
    or of the package with the files may be the reason.

    Raises:
        FileExistsError: If there is a folder without a complete data set.
    """
    target = folder_of(data_dir, content.name, content.version, content.config)
    if is_written(target):
        return target
    found = digest(content.splits)
    if content.sha256 not in (None, found):
        print(
            f"WARNING: the images or labels of {content.full_name!r} differ from those that the "
            "documentation describes. Another version of Pillow, or of the package with the files, "
            f"may be the reason. Their SHA-256 should be {content.sha256}. Received: {found}",
            file=sys.stderr,
        )
    pathlib.Path(data_dir).mkdir(parents=True, exist_ok=True)
    # TFDS writes file after file; a move makes the data set appear whole or not at all.
    with tempfile.TemporaryDirectory(dir=data_dir, prefix="unfinished-") as unfinished:
        _Builder(content, unfinished).download_and_prepare()
        missing = target
        while missing.parent != pathlib.Path(data_dir) and not missing.parent.exists():
            missing = missing.parent
        pathlib.Path(unfinished, missing.relative_to(data_dir)).rename(missing)
    return target


def digest(splits: Mapping[str, Split]) -> str:
    """Returns the SHA-256 of all images and other features, in the order of splits and keys."""
    total = hashlib.sha256()
    for split, examples in sorted(splits.items()):
        for key, example in sorted(examples.items()):
            total.update(repr((split, key)).encode())
            for name, value in sorted(example.items()):
                is_array = isinstance(value, np.ndarray)
                total.update(repr((name, value.shape if is_array else value)).encode())
                total.update(np.ascontiguousarray(value).tobytes() if is_array else b"")
    return total.hexdigest()


def numbered(images: np.ndarray, labels: Sequence[int]) -> Split:
    """Returns the examples `image` and `label` of a split whose images have numbers alone."""
    return {
        number: {"image": image, "label": int(label)}
        for number, (image, label) in enumerate(zip(images, labels, strict=True))
    }


class _Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Writes a `Content`; unlike `store_as_tfds_dataset` with supervised keys and a license."""

    def __init__(self, content: Content, data_dir: str) -> None:
        self._content = content
        self.name = content.name
        self.VERSION = tfds.core.Version(content.version)
        config = content.config and tfds.core.BuilderConfig(
            name=content.config, version=content.version, description=content.description
        )
        super().__init__(data_dir=data_dir, config=config, version=content.version)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=self._content.description,
            features=self._content.features,
            supervised_keys=self._content.supervised_keys,
            homepage=self._content.homepage,
            license=self._content.license,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        del dl_manager
        return {
            split: self._generate_examples(examples)
            for split, examples in self._content.splits.items()
        }

    def _generate_examples(self, examples: Split) -> Iterator[tuple[str | int, Mapping[str, Any]]]:
        yield from examples.items()

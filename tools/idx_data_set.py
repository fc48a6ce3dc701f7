"""Writes IDX files as the TensorFlow Datasets data set that TFDS would download."""

import pathlib

import tensorflow_datasets as tfds
from idx import read_split
from tfds_folder import Content, folder_of, is_written, numbered, write


def prepare_idx(
    name: str, source_dir: str, data_dir: str, license_text: str, sha256: str
) -> pathlib.Path:
    """Writes a data set and returns its folder; one that is already there is left as it is.

    Args:
        name: A name of TFDS, whose features and version are taken.
        source_dir: Folder with the four IDX files.
        data_dir: Folder of TFDS data sets.
        license_text: The licenses and notices that go with the images.
        sha256: Digest of the images and labels, as for `Content`.

    Raises:
        FileExistsError: If there is a folder without a complete data set.
        FileNotFoundError: If a source file is missing; nothing is written then.
        ValueError: If a source file is no IDX file.
    """
    builder = tfds.builder(name, data_dir=data_dir)
    folder = folder_of(data_dir, name, str(builder.info.version))
    if is_written(folder):
        return folder
    content = Content(
        name=name,
        version=str(builder.info.version),
        features=builder.info.features,
        supervised_keys=builder.info.supervised_keys,
        splits={split: numbered(*read_split(source_dir, split)) for split in ("train", "test")},
        description=builder.info.description,
        homepage=builder.info.homepage,
        license=license_text,
        sha256=sha256,
    )
    return write(content, data_dir)

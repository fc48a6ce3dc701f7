"""Small data sets in the form of TFDS."""

import os
import pathlib

import numpy as np


def pictures(num_classes: int, per_class: int, size: int = 4) -> list[dict]:
    """Pictures of one gray each, all different, in the order of their classes."""
    return [
        {"image": np.full((size, size, 1), label * per_class + i, "uint8"), "label": label}
        for label in range(num_classes)
        for i in range(per_class)
    ]


def picture_features(num_classes: int):
    import tensorflow_datasets as tfds

    return {
        "image": tfds.features.Image(shape=(None, None, 1), encoding_format="png"),
        "label": tfds.features.ClassLabel(num_classes=num_classes),
    }


def write(
    folder: str | os.PathLike,
    features: dict,
    examples: list[dict],
    num_files: int = 1,
    **others: list[dict],
) -> pathlib.Path:
    """Writes `train`, and splits of other names, as `folder/toys/1.0.0`, and returns that folder.

    The examples are in the order given, and there are no `supervised_keys`.
    """
    import tensorflow_datasets as tfds

    builder = tfds.dataset_builders.store_as_tfds_dataset(
        name="toys",
        version="1.0.0",
        features=tfds.features.FeaturesDict(features),
        split_datasets={
            split: list(enumerate(of_split))
            for split, of_split in {"train": examples, **others}.items()
        },
        data_dir=str(folder),
        disable_shuffling=True,
        download_config=tfds.download.DownloadConfig(num_shards=num_files),
    )
    return pathlib.Path(builder.data_dir)

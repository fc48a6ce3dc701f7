"""Prints the size of a prepared data set, and how far its pixels alone get with each label.

    python tools/data_set_facts.py --dataset=emoji/balanced --data_dir=build/tfds
    python tools/data_set_facts.py --dataset=emoji/by_designer --data_dir=build/tfds \\
        --train=train_google --test=test_fluent
"""

import numpy as np
import tensorflow_datasets as tfds
from absl import app, flags
from data_set_flags import DATA_DIR

from keras_supcon import data

_DATASET = flags.DEFINE_string("dataset", None, "Name of the data set.", required=True)
_TRAIN = flags.DEFINE_string("train", "train", "Split, or a sum of splits, whose images are given.")
_TEST = flags.DEFINE_string("test", "test", "Split whose labels are to be found.")


def nearest(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Returns the index of the training image with the nearest pixels for each test image."""
    train, test = (images.reshape(len(images), -1).astype("float32") for images in (train, test))
    squares = np.square(train).sum(axis=1)
    parts = [
        (squares - 2 * test[begin : begin + 512] @ train.T).argmin(axis=1)
        for begin in range(0, len(test), 512)
    ]
    return np.concatenate(parts)


def facts(name: str, data_dir: str, train: str, test: str) -> list[str]:
    """Returns the lines of a table.

    It has a row for each class label with several classes, of which the test images have some.
    """
    features = tfds.builder(name, data_dir=data_dir).info.features
    labels = sorted(
        key for key, value in features.items() if isinstance(value, tfds.features.ClassLabel)
    )
    read = {
        (split, label): data.load_arrays(name, split, data_dir, label=label)
        for label in labels
        for split in (train, test)
    }
    images = {split: read[split, labels[0]][0] for split in (train, test)}
    found = nearest(images[train], images[test])
    lines = [
        f"{name}: {len(images[train])} images of {train}, {len(images[test])} of {test}, "
        f"{'x'.join(map(str, images[train].shape[1:]))}",
        "",
        "| label | classes in training | most frequent | nearest pixels |",
        "| --- | ---: | ---: | ---: |",
    ]
    for label in labels:
        given, asked = read[train, label][1], read[test, label][1]
        if len(np.unique(given)) == 1 or not np.isin(asked, given).any():
            continue
        most_frequent = np.bincount(given).argmax()
        lines.append(
            f"| {label} | {len(np.unique(given))} | {np.mean(asked == most_frequent):.1%} | "
            f"{np.mean(asked == given[found]):.1%} |"
        )
    return lines


def main(argv: list[str]) -> None:
    del argv
    for line in facts(_DATASET.value, DATA_DIR.value, _TRAIN.value, _TEST.value):
        print(line)


if __name__ == "__main__":
    app.run(main)

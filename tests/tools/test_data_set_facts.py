"""The sizes of a data set, and the nearest pixels."""

import numpy as np
import pytest

from tests.data.tfds_folders import picture_features, write

tfds = pytest.importorskip("tensorflow_datasets")

from data_set_facts import facts, nearest  # noqa: E402


def test_nearest_is_the_image_of_least_distance(rng):
    train, test = (rng.integers(0, 256, (number, 3, 3, 1), "uint8") for number in (40, 600))
    distances = np.square(test[:, None].astype(int) - train).sum(axis=(2, 3, 4))
    np.testing.assert_array_equal(nearest(train, test), distances.argmin(axis=1))


def test_a_row_for_each_label_that_can_be_found(tmp_path):
    features = picture_features(3) | {
        "parity": tfds.features.ClassLabel(num_classes=2),
        "constant": tfds.features.ClassLabel(num_classes=2),
        "number": tfds.features.ClassLabel(num_classes=99),
    }

    def examples(*grays):
        return [
            {
                "image": np.full((4, 4, 1), gray, "uint8"),
                "label": gray // 30,
                "parity": gray % 2,
                "constant": 0,
                "number": gray,
            }
            for gray in grays
        ]

    write(tmp_path, features, examples(0, 1, 30, 60), test=examples(3, 31, 33, 61))
    lines = facts("toys", str(tmp_path), "train", "test")
    assert lines[0] == "toys: 4 images of train, 4 of test, 4x4x1"
    assert lines[4:] == [
        "| label | 3 | 25.0% | 100.0% |",
        "| parity | 2 | 0.0% | 25.0% |",
    ]

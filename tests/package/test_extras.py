"""What is said where a package of an extra is missing."""

import sys

import numpy as np
import pytest

from keras_supcon import data, evaluation
from keras_supcon.augmentation.keras_cv import KerasCVRandAugment, KerasCVSimAugment

pytestmark = pytest.mark.neutral

REPORT = {
    "title": "",
    "output_dir": "report",
    "table": [{"a": "b"}],
    "histories": {},
    "embeddings": np.ones((2, 2)),
    "labels": np.arange(2),
    "predictions": np.arange(2),
    "class_names": ["a", "b"],
    "images": np.ones((1, 4, 4, 1)),
    "views": np.ones((1, 2, 4, 4, 1)),
}
CALLS = {
    "load": (lambda: data.load("digits", "test", 8), "tensorflow", "tensorflow"),
    "load from TFDS": (
        lambda: data.load("cifar10", "test", 8),
        "tensorflow_datasets",
        "tensorflow",
    ),
    "load_arrays": (
        lambda: data.load_arrays("cifar10", "test"),
        "tensorflow_datasets",
        "tensorflow",
    ),
    "load_epochs": (
        lambda: data.load_epochs("digits", "train", 8, epochs=1),
        "tensorflow",
        "tensorflow",
    ),
    "load_folder": (lambda: data.load_folder(".", "train", 8, (8, 8)), "tensorflow", "tensorflow"),
    "with_views": (lambda: data.with_views(None, None), "tensorflow", "tensorflow"),
    "decode_and_crop": (
        lambda: data.decode_and_crop(b"", (1, 2), (8, 8)),
        "tensorflow",
        "tensorflow",
    ),
    "decode_and_center": (lambda: data.decode_and_center(b"", (8, 8)), "tensorflow", "tensorflow"),
    "linear_evaluation": (
        lambda: evaluation.linear_evaluation(*[np.ones((4, 2)), np.arange(4) % 2] * 2),
        "sklearn",
        "report",
    ),
    "Report": (lambda: evaluation.Report("x"), "jinja2", "report"),
    "KerasCVSimAugment": (KerasCVSimAugment, "keras_cv", "tensorflow"),
    "KerasCVRandAugment": (KerasCVRandAugment, "tensorflow", "tensorflow"),
    "write_report": (lambda: evaluation.write_report(**REPORT), "matplotlib", "report"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_missing_package_is_named_with_the_command_that_installs_it(name, monkeypatch, tmp_path):
    call, package, extra = CALLS[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    command = rf"`pip install 'keras-supcon\[{extra}\]'`"
    sentence = rf"`{name.split()[0]}` needs .*{package}.* not installed: {command}"
    with pytest.raises(ImportError, match=sentence):
        call()
    assert list(tmp_path.iterdir()) == []

"""The images of a trial: which they are, and that they stay the same."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_supcon import data
from keras_supcon.experiments.trials.images import (
    ImageReader,
    balanced_rows,
    read_images,
    resize,
)
from keras_supcon.experiments.trials.training import Images

pytestmark = pytest.mark.neutral

DIGITS = Images(dataset="digits")


@pytest.mark.parametrize("number", [1, 3, 10, 37, 100])
def test_as_many_of_each_class_as_there_are(number):
    labels = np.repeat([0, 1, 2, 3], [80, 3, 10, 7])
    rows = balanced_rows(labels, number)
    assert len(set(rows.tolist())) == number
    assert (np.diff(rows) > 0).all()
    counts, totals = np.bincount(labels[rows], minlength=4), np.bincount(labels)
    # A class that gives less than another one gives all it has, but for the last round.
    assert all(
        count >= counts.max() - 1 or count == total
        for count, total in zip(counts, totals, strict=True)
    )
    assert balanced_rows(labels, number).tolist() == rows.tolist()
    fewer = balanced_rows(labels, max(number // 2, 1))
    assert set(fewer.tolist()) <= set(rows.tolist())


def test_more_images_than_there_are_are_refused():
    with pytest.raises(ValueError, match="that there are, 5. Received: test_images=6"):
        balanced_rows(np.zeros(5, int), 6, "test_images")


def test_validation_images_are_a_fifth_of_the_training_images():
    train, _ = data.load_arrays("digits", "train")
    whole = read_images(DIGITS)
    held = read_images(dataclasses.replace(DIGITS, measured_on="validation"))
    assert len(held.train) + len(held.test) == len(train) == len(whole.train)
    assert abs(len(held.test) / len(train) - 0.2) < 0.02
    both = np.concatenate([held.train, held.test]).reshape(len(train), -1)
    assert sorted(map(bytes, both)) == sorted(map(bytes, train.reshape(len(train), -1)))
    assert whole.num_classes == held.num_classes == 10


def test_validation_images_are_the_same_for_any_number_of_training_images():
    held = dataclasses.replace(DIGITS, measured_on="validation")
    whole = read_images(held)
    some = read_images(dataclasses.replace(held, train_images=200))
    assert np.array_equal(some.test, whole.test)
    assert np.array_equal(some.test_labels, whole.test_labels)
    assert len(some.train) == 200
    assert set(map(bytes, some.train)) <= set(map(bytes, whole.train))
    with pytest.raises(ValueError, match="`train_images` should be at most the images that there"):
        read_images(dataclasses.replace(held, train_images=len(whole.train) + 1))


@pytest.mark.parametrize("measured_on", ["test", "validation"])
def test_a_finer_label_leaves_the_images_as_they_are(measured_on, monkeypatch):
    """Also where the label decides which images are chosen."""
    known = data.load_arrays

    def load(name, split, data_dir, label="digit"):
        images, labels = known(name, split)
        return images, labels % 3 if label == "coarse" else labels

    monkeypatch.setattr(data, "load_arrays", load)
    coarse = dataclasses.replace(
        DIGITS, label="coarse", train_images=100, test_images=50, measured_on=measured_on
    )
    one, other = read_images(coarse), read_images(dataclasses.replace(coarse, finer_label="digit"))
    assert np.array_equal(one.train, other.train)
    assert np.array_equal(one.test, other.test)
    assert np.array_equal(one.train_labels, other.train_labels % 3)
    assert np.array_equal(one.test_labels, other.test_labels % 3)
    assert len(np.unique(other.train_labels)) == 10


@pytest.mark.parametrize("measured_on", ["test", "validation"])
def test_a_long_tail_is_of_training_images_alone(measured_on):
    images = Images(dataset="digits", imbalance=20, train_images=300, measured_on=measured_on)
    arrays = read_images(images)
    counts = np.array(arrays.class_counts)
    assert counts[0] / counts[-1] == pytest.approx(20, rel=0.15)
    assert abs(counts.sum() - 300) <= 5
    of_test = np.bincount(arrays.test_labels)
    assert of_test.min() > 0.7 * of_test.max()
    plain = dataclasses.replace(images, imbalance=None)
    assert images.digest != plain.digest
    with pytest.raises(ValueError, match="`imbalance` should be None or a number of at least 1"):
        dataclasses.replace(images, imbalance=0.5)


def test_resizing_takes_the_mean_of_each_area():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 8, 8, 3)).astype("uint8")
    means = images.reshape(3, 4, 2, 4, 2, 3).astype("float64").mean(axis=(2, 4))
    assert np.abs(resize(images, 4) - means).max() <= 1  # rounded along each axis
    small = read_images(Images(dataset="digits", size=4, train_images=20))
    assert small.train.shape[1:] == (4, 4, 1)


def test_other_pixels_or_labels_have_another_digest():
    arrays = read_images(Images(dataset="digits", train_images=50))
    again = read_images(Images(dataset="digits", train_images=50))
    assert arrays.digest == again.digest
    brighter = arrays.train.copy()
    brighter[3, 2, 1, 0] ^= 1
    others = arrays.train_labels.copy()
    others[3] = (others[3] + 1) % 10
    changed = [arrays._replace(train=brighter), arrays._replace(train_labels=others)]
    assert len({arrays.digest, *(one.digest for one in changed)}) == 3


def test_files_serve_other_processes_and_machines_without_tensorflow(tmp_path, monkeypatch):
    images = Images(dataset="digits", train_images=50)
    reader = ImageReader(tmp_path)
    arrays = reader.read(images)

    def missing(*_, **__):
        raise ImportError("no TensorFlow")

    monkeypatch.setattr(data, "load_arrays", missing)
    for other in (reader.for_other_processes, ImageReader(tmp_path)):
        assert other.read(images).digest == arrays.digest
    with pytest.raises(ImportError):
        ImageReader(tmp_path).read(DIGITS)
    (path,) = tmp_path.glob("*.npz")
    for content in (b"", b"no archive", path.read_bytes()[:-100]):
        path.write_bytes(content)
        with pytest.raises(RuntimeError, match=r"npz' are damaged. Start again with TensorFlow"):
            ImageReader(tmp_path).read(images)


def test_images_without_a_label_are_refused(monkeypatch):
    images, labels = data.load_arrays("digits", "train")
    monkeypatch.setattr(
        data, "load_arrays", lambda *_, **__: (images, np.where(labels, labels, -1))
    )
    with pytest.raises(ValueError, match="should all have a label"):
        read_images(DIGITS)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="`tf.data` reads the files")
def test_a_folder_of_class_folders(tmp_path):
    images, labels = data.load_arrays("digits", "test")
    for number, (image, label) in enumerate(zip(images[:100], labels[:100], strict=True)):
        path = tmp_path / str(label) / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        keras.utils.save_img(path, image, scale=False)
    arrays = read_images(Images(dataset=str(tmp_path), size=8))
    assert len(arrays.train) + len(arrays.test) == 100
    assert arrays.train.dtype == "uint8"
    assert arrays.train.shape[1:3] == (8, 8)
    with pytest.raises(ValueError, match="`size` should be given for a folder"):
        read_images(Images(dataset=str(tmp_path)))

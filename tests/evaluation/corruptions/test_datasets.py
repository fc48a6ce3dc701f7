"""Corrupted data sets are the corrupted arrays."""

import collections

import numpy as np
import pytest

from keras_supcon.data.prepared import find_builder
from keras_supcon.evaluation.corruptions import (
    CORRUPTIONS,
    EXTRA_CORRUPTIONS,
    corrupt,
    corrupted,
    corrupted_name,
)

tf = pytest.importorskip("tensorflow")
tfds = pytest.importorskip("tensorflow_datasets")

NAMES = (*CORRUPTIONS, *EXTRA_CORRUPTIONS)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (11, 10, 9, 3)).astype("uint8")


@pytest.mark.parametrize("name", NAMES)
def test_batches_are_those_of_the_corrupted_array(name, images):
    dataset = tf.data.Dataset.from_tensor_slices((images, np.arange(11))).batch(4)
    result = corrupted(dataset, name, 3, seed=5)
    assert result.element_spec == dataset.element_spec
    assert result.cardinality() == dataset.cardinality() == 3
    for _ in range(2):  # each pass
        batches = list(result.as_numpy_iterator())
        assert (np.concatenate([b[0] for b in batches]) == corrupt(images, name, 3, 5)).all()
        assert (np.concatenate([b[1] for b in batches]) == np.arange(11)).all()


@pytest.mark.parametrize("batch_size", [None, 1, 5, 11])
def test_the_size_of_batches_does_not_matter(batch_size, images):
    weights = np.linspace(0, 1, 11)
    dataset = tf.data.Dataset.from_tensor_slices((images, np.arange(11), weights))
    dataset.class_names = ["a", "b"]
    batched = dataset if batch_size is None else dataset.batch(batch_size)
    if batch_size == 5:
        batched = dataset.batch(5, drop_remainder=True)
    batched.class_names = dataset.class_names
    result = corrupted(batched, "gaussian_noise", 5, seed=1)
    assert result.element_spec == batched.element_spec
    assert result.cardinality() == batched.cardinality()
    assert result.class_names == ["a", "b"]
    elements = list(result.as_numpy_iterator())
    join = np.stack if batch_size is None else np.concatenate
    found = join([element[0] for element in elements])
    assert (found == corrupt(images, "gaussian_noise", 5, 1)[: len(found)]).all()
    assert len(found) == (10 if batch_size == 5 else 11)
    assert (join([element[2] for element in elements]) == weights[: len(found)]).all()


def test_images_alone_in_dictionaries_and_of_many_sizes(images):
    alone = tf.data.Dataset.from_tensor_slices(images)
    expected = corrupt(images, "impulse_noise", 2)
    assert (
        np.stack(list(corrupted(alone, "impulse_noise", 2).as_numpy_iterator())) == expected
    ).all()
    named = tf.data.Dataset.from_tensor_slices({"images": images, "id": np.arange(11)}).batch(11)
    element = next(corrupted(named, "impulse_noise", 2).as_numpy_iterator())
    assert (element["images"] == expected).all()
    assert (element["id"] == np.arange(11)).all()
    sizes = [(8, 8), (100, 90)]
    spec = tf.TensorSpec((None, None, 1), "uint8")
    many = tf.data.Dataset.from_generator(
        lambda: (np.full((*size, 1), 9, "uint8") for size in sizes), output_signature=spec
    )
    result = corrupted(many, "brightness", 1)
    assert result.element_spec == spec
    found = [(image.shape[:2], image[0, 0, 0]) for image in result.as_numpy_iterator()]
    assert found == [((8, 8), 21), ((100, 90), 34)]  # 12.75 and 25.5 levels are added


def test_structures_are_kept_and_other_images_left(images):
    pair = collections.namedtuple("pair", "corrupted clean")
    for structure in (pair(images, images), (images, (images, np.arange(11)))):
        dataset = tf.data.Dataset.from_tensor_slices(structure).batch(4)
        result = corrupted(dataset, "fog", 2)
        assert result.element_spec == dataset.element_spec
        assert type(result.element_spec) is type(structure)
    twins = tf.data.Dataset.from_tensors(images).map(lambda x: (x, x))
    found, clean = next(corrupted(twins, "fog", 2).as_numpy_iterator())
    assert (found == corrupt(images, "fog", 2)).all()
    assert (clean == images).all()


def test_other_constants(images):
    dataset = tf.data.Dataset.from_tensors(images)
    result = corrupted(dataset, "contrast", 2, constants="imagenet")
    expected = corrupt(images, "contrast", 2, constants="imagenet")
    assert (next(result.as_numpy_iterator()) == expected).all()


def test_refuses_what_it_cannot_corrupt(images):
    dataset = tf.data.Dataset.from_tensors((images, np.arange(11)))
    for arguments, message in (
        ({"name": "rain"}, "`name` should be one of"),
        ({"severity": 6}, "`severity` should be a whole number from 1"),
        ({"seed": None}, "`seed` should be a whole number"),
        ({"constants": "mnist"}, "`constants` should be one of"),
        ({"dataset": images}, "`dataset` should be a `tf.data.Dataset`"),
        ({"dataset": dataset.map(lambda x, y: (y, x))}, "should give uint8 images"),
        ({"dataset": dataset.map(lambda x, _: x / 255)}, "should give uint8 images"),
        ({"dataset": dataset.map(lambda x, _: x[..., :2])}, "1 or 3 channels"),
        ({"dataset": dataset.map(lambda x, _: {"image": x})}, "should give uint8 images"),
    ):
        with pytest.raises(ValueError, match=message):
            corrupted(**{"dataset": dataset, "name": "fog", "severity": 1, **arguments})
    with pytest.raises(tf.errors.InvalidArgumentError, match="8 pixels in height"):
        list(corrupted(dataset.map(lambda x, _: x[:, :7]), "fog", 1))


def test_tfds_has_every_name():
    for dataset in ("cifar10", "imagenet2012"):
        builder = tfds.builder_cls(f"{dataset}_corrupted")
        ours = {corrupted_name(dataset, name, s) for name in NAMES for s in range(1, 6)}
        theirs = {f"{dataset}_corrupted/{config}" for config in builder.builder_configs}
        assert ours == theirs
    builder = tfds.builder_cls("mnist_corrupted")
    theirs = {config for config in builder.builder_configs if config in NAMES}
    assert len(theirs) == 7
    assert {corrupted_name("mnist", name) for name in theirs} == {
        f"mnist_corrupted/{name}" for name in theirs
    }


def test_our_loader_knows_the_names(tmp_path):
    name = corrupted_name("cifar10", "elastic_transform", 4)
    builder, _ = find_builder(name, str(tmp_path))
    assert builder.builder_config.name == "elastic_4"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cifar100", "fog", 1), "`dataset` should be one of"),
        (("cifar10", "rain", 1), "`name` should be one of"),
        (("cifar10", "fog", None), "`severity` should be a whole number from 1"),
        (("imagenet2012", "fog", 6), "`severity` should be a whole number from 1"),
        (("mnist", "fog", 1), "`severity` should be None for 'mnist'"),
        (("mnist", "snow"), "`name` should be one of"),
    ],
)
def test_refuses_names_of_no_data_set(arguments, message):
    with pytest.raises(ValueError, match=message):
        corrupted_name(*arguments)

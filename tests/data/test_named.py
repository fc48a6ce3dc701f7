import gzip
import os
import pathlib

import numpy as np
import pytest

from keras_supcon import data
from keras_supcon.data.digits import read_digits

# The package of Debian, installed, or unpacked elsewhere.
FASHION_MNIST = pathlib.Path(os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist"))


@pytest.fixture(scope="session")
def fashion_mnist_dir(tmp_path_factory) -> pathlib.Path:
    """Prepares the first tenth of the real data set with our tool from Debian's files."""
    from tools.prepare_fashion_mnist import prepare

    if not FASHION_MNIST.is_dir():
        pytest.skip(
            "Fashion-MNIST is not here: `make test` fetches it from Debian, or set FASHION_MNIST "
            "to its folder"
        )
    tenth, data_dir = tmp_path_factory.mktemp("tenth"), tmp_path_factory.mktemp("tfds")
    for file in FASHION_MNIST.glob("*.gz"):
        num_images = 6000 if file.name.startswith("train") else 1000
        header, row = (16, 784) if "images" in file.name else (8, 1)
        raw = gzip.decompress(file.read_bytes())
        raw = raw[:4] + num_images.to_bytes(4, "big") + raw[8 : header + num_images * row]
        (tenth / file.name).write_bytes(gzip.compress(raw, compresslevel=1))
    prepare(str(tenth), str(data_dir))
    return data_dir


def source_file(name: str, header: int) -> bytes:
    return gzip.decompress((FASHION_MNIST / name).read_bytes())[header:]


def gathered(dataset) -> tuple[np.ndarray, np.ndarray]:
    images, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def test_digits_come_in_batches_with_their_class_names():
    dataset = data.load("digits", "test", batch_size=100)
    images, labels = gathered(dataset)
    expected_images, expected_labels = read_digits("test")
    np.testing.assert_array_equal(images, expected_images)  # not shuffled
    np.testing.assert_array_equal(labels, expected_labels)
    assert images.dtype == "uint8"
    assert dataset.class_names == list("0123456789")
    assert [len(batch) for batch, _ in dataset] == [100, 100, 100, 55]
    full = data.load("digits", "test", batch_size=100, drop_remainder=True)
    assert full.element_spec[0].shape == (100, 8, 8, 1)
    assert len(full) == 3


def test_training_images_are_shuffled_anew_each_epoch_and_alike_under_a_seed():
    def two_epochs(seed):
        dataset = data.load("digits", "train", batch_size=64, seed=seed)
        return [gathered(dataset) for _ in range(2)]

    (first, second), (again, _), (other, _) = two_epochs(1), two_epochs(1), two_epochs(2)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[1], second[1])
    assert not np.array_equal(first[1], other[1])
    for labels in (first[1], second[1]):
        np.testing.assert_array_equal(np.sort(labels), np.sort(read_digits("train")[1]))
    in_order, _ = gathered(data.load("digits", "train", batch_size=64, shuffle=False))
    np.testing.assert_array_equal(in_order, read_digits("train")[0])


@pytest.mark.parametrize("seed", [-1, -(2**70), 2**63, np.int64(3)])
def test_takes_seeds_of_any_size(seed):
    labels, again = (gathered(data.load("digits", "train", 721, seed=seed))[1] for _ in range(2))
    np.testing.assert_array_equal(labels, again)


@pytest.mark.parametrize("seed", [0.5, "1", True])
def test_refuses_a_seed_that_is_no_whole_number(seed):
    with pytest.raises(
        ValueError, match=f"`seed` should be a whole number, or None .* Received: seed={seed!r}"
    ):
        data.load("digits", "train", 8, seed=seed)


def test_without_a_seed_every_data_set_has_its_own_order_of_the_same_images():
    images, others = (gathered(data.load("digits", "train", 721, seed=None))[0] for _ in range(2))
    assert not np.array_equal(images, others)
    assert sorted(image.tobytes() for image in images) == sorted(
        image.tobytes() for image in others
    )


def test_wants_a_full_batch_where_others_are_left_out():
    message = (
        "`batch_size` should be at most the number .* `drop_remainder=True`. .*=356, with 355 ex"
    )
    with pytest.raises(ValueError, match=message):
        data.load("digits", "test", 356, drop_remainder=True)
    assert len(data.load("digits", "test", 355, drop_remainder=True)) == 1


def test_images_stay_with_their_labels_when_shuffled():
    expected = {image.tobytes(): label for image, label in zip(*read_digits("train"), strict=True)}
    for image, label in zip(*gathered(data.load("digits", "train", batch_size=64)), strict=True):
        assert expected[image.tobytes()] == label


def test_image_size_crops_about_the_centre_and_resizes():
    images, _ = gathered(data.load("digits", "test", batch_size=64, image_size=(4, 8)))
    assert images.shape == (355, 4, 8, 1)
    np.testing.assert_array_equal(images, read_digits("test")[0][:, 2:6])


@pytest.mark.slow
def test_fashion_mnist_through_tfds(fashion_mnist_dir):
    train = data.load("fashion_mnist", "train", batch_size=512, data_dir=str(fashion_mnist_dir))
    labels = np.concatenate([labels for _, labels in train.as_numpy_iterator()])
    np.testing.assert_array_equal(
        np.sort(labels), sorted(source_file("train-labels-idx1-ubyte.gz", 8)[:6000])
    )
    assert not np.array_equal(labels, np.sort(labels))
    test = data.load(
        "fashion_mnist",
        "test",
        batch_size=512,
        image_size=(14, 14),
        data_dir=str(fashion_mnist_dir),
    )
    images, labels = gathered(test)
    assert images.shape == (1000, 14, 14, 1)
    assert (test.class_names[0], test.class_names[9]) == ("T-shirt/top", "Ankle boot")
    np.testing.assert_array_equal(
        np.sort(labels), sorted(source_file("t10k-labels-idx1-ubyte.gz", 8)[:1000])
    )
    part = data.load(
        "fashion_mnist:3.0.1", "train[:10%]", batch_size=512, data_dir=str(fashion_mnist_dir)
    )
    assert sum(len(labels) for _, labels in part) == 600


@pytest.mark.slow
def test_arrays_of_a_tfds_data_set_are_those_of_its_batches(fashion_mnist_dir):
    images, labels = data.load_arrays("fashion_mnist", "test", data_dir=str(fashion_mnist_dir))
    batches = data.load("fashion_mnist", "test", batch_size=512, data_dir=str(fashion_mnist_dir))
    for loaded, expected in zip((images, labels), gathered(batches), strict=True):
        np.testing.assert_array_equal(loaded, expected)
    assert (images.dtype, labels.dtype) == ("uint8", "int64")


def test_arrays_want_images_of_one_size(tmp_path):
    import tensorflow_datasets as tfds

    class Shapes(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(None, None, 1)),
                "label": tfds.features.ClassLabel(num_classes=2),
            }
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
            )

        def _split_generators(self, manager):
            return {
                "train": (
                    (i, {"image": np.zeros((4, 4 + i, 1), "uint8"), "label": i}) for i in range(2)
                )
            }

        def _generate_examples(self):
            raise NotImplementedError

    Shapes(data_dir=str(tmp_path)).download_and_prepare()
    with pytest.raises(ValueError, match=r"images of 2 sizes, such as \(4, 4, 1\) and \(4, 5, 1\)"):
        data.load_arrays("shapes", "train", data_dir=str(tmp_path))


@pytest.mark.slow
def test_fashion_mnist_has_the_pixels_of_the_source_files(fashion_mnist_dir):
    raw = source_file("t10k-images-idx3-ubyte.gz", 16)[: 1000 * 784]
    images, _ = gathered(
        data.load("fashion_mnist", "test", batch_size=1000, data_dir=str(fashion_mnist_dir))
    )
    assert sorted(image.tobytes() for image in images) == sorted(
        raw[i : i + 784] for i in range(0, len(raw), 784)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("digit", "train", 8),
            "TensorFlow Datasets knows. Received: name='digit'. Did you mean 'digits'",
        ),
        (("fashion_mnst", "train", 8), "Did you mean 'fashion_mnist'"),
        (
            ("no such/name!", "train", 8),
            "TensorFlow Datasets knows. Received: name='no such/name!'",
        ),
        (("fashion_mnist:9.9.9", "train", 8), "Received: name='fashion_mnist:9.9.9'"),
        (
            ("digits", None, 8),
            "`name` and `split` should be strings. Received: name='digits', split=None",
        ),
        (("wider_face", "train", 8), "should be a data set of images with one class label each"),
        (("digits", "validation", 8), "`split` of the digits should be one of"),
        (
            ("digits", "train", 0),
            "`batch_size` should be a whole number of at least 1. Received: batch_size=0",
        ),
        (
            ("digits", "train", 8, (0, 8)),
            r"`image_size` should be .* at least 1. Received: image_size=\(0, 8\)",
        ),
        (("digits", "train", 8, 32), "`image_size` should be"),
    ],
)
def test_refuses_what_cannot_be_loaded(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        data.load(*arguments, data_dir=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_refuses_a_split_that_the_data_set_does_not_have(fashion_mnist_dir):
    with pytest.raises(
        ValueError,
        match=r"`split` of 'fashion_mnist' should be one of \('.*Received: split='validation'",
    ):
        data.load("fashion_mnist", "validation", 8, data_dir=str(fashion_mnist_dir))


def test_the_tool_names_a_missing_source_file_and_writes_nothing(tmp_path):
    from tools.prepare_fashion_mnist import prepare

    with pytest.raises(
        FileNotFoundError, match="`source_dir` should hold train-images-idx3-ubyte.gz"
    ):
        prepare(str(tmp_path / "empty"), str(tmp_path / "tfds"))
    assert not (tmp_path / "tfds").exists()


def test_the_tool_leaves_nothing_of_a_broken_source_file(tmp_path):
    from tools.prepare_fashion_mnist import prepare

    source = tmp_path / "source"
    source.mkdir()
    for prefix in ("train", "t10k"):
        for part in ("images-idx3", "labels-idx1"):
            with gzip.open(source / f"{prefix}-{part}-ubyte.gz", "wb") as file:
                file.write(bytes([0, 0, 8, 1, 0, 0, 0, 9]) + b"short")
    with pytest.raises(ValueError, match="should be an IDX file of unsigned bytes"):
        prepare(str(source), str(tmp_path / "tfds"))
    assert not (tmp_path / "tfds").exists()

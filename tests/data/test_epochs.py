"""The batches of all epochs, from any of them on."""

import io

import keras
import numpy as np
import pytest

from keras_supcon import data
from keras_supcon.callbacks import Position
from keras_supcon.data import epochs as epochs_module
from keras_supcon.data.digits import read_digits
from tests.covering import representatives
from tests.data.tfds_folders import picture_features, pictures, write

STEPS = 14  # 1,442 digits in batches of 100
PIECES = 23


def gathered(dataset) -> list[np.ndarray]:
    return [np.stack(part) for part in zip(*dataset.as_numpy_iterator(), strict=True)]


def digits(epochs: int = 3, batch_size: int = 100, split: str = "train", **options):
    return data.load_epochs("digits", split, batch_size, epochs, **options)


def noisy(image, seed):
    """Stands for a random crop: pixels that depend on the seed."""
    import tensorflow as tf

    return tf.cast(image, "float32") + tf.random.stateless_uniform((8, 8, 1), seed)


@pytest.mark.slow
@representatives("map_image", [noisy], [None])
def test_begins_anywhere_as_if_it_had_begun_at_the_start(map_image):
    import tensorflow as tf

    images, labels = gathered(digits(map_image=map_image))
    for place, start in enumerate([(0, 1), Position(0, 13), (1, 0), (0, STEPS), (2, 5), (2, 13)]):
        tf.random.set_seed(place)
        rest = digits(map_image=map_image, start=start)
        begin = start[0] * STEPS + start[1]
        assert len(rest) == 3 * STEPS - begin
        for _ in range(2):  # nor does it matter how often it was iterated
            rest_images, rest_labels = gathered(rest)
            np.testing.assert_array_equal(rest_images, images[begin:])
            np.testing.assert_array_equal(rest_labels, labels[begin:])
    assert list(digits(start=(3, 0))) == []


def test_says_what_it_holds():
    train = digits(image_size=(4, 4))
    assert (train.steps_per_epoch, train.num_examples, len(train)) == (STEPS, 1442, 3 * STEPS)
    assert train.class_names == list("0123456789")
    assert [spec.shape for spec in train.element_spec] == [(100, 4, 4, 1), (100,)]
    assert [spec.dtype.name for spec in train.element_spec] == ["uint8", "int64"]


def test_each_epoch_has_its_own_order_of_different_examples():
    keys = {image.tobytes(): label for image, label in zip(*read_digits("train"), strict=True)}
    images, labels = gathered(digits())
    orders = images.reshape(3, STEPS * 100, 64)
    for order, of_epoch in zip(orders, labels.reshape(3, -1), strict=True):
        assert len(np.unique(order, axis=0)) == len({image.tobytes() for image in order}) > 1380
        assert all(
            keys[image.tobytes()] == label for image, label in zip(order, of_epoch, strict=True)
        )
    assert (orders[0] == orders[1]).all(axis=-1).mean() < 0.02
    assert not np.array_equal(gathered(digits(seed=1, epochs=1))[0], images[:STEPS])
    np.testing.assert_array_equal(
        gathered(digits(epochs=1))[0], images[:STEPS]
    )  # whatever the number of epochs
    ((whole,), _) = gathered(digits(epochs=1, batch_size=1442))
    assert sorted(image.tobytes() for image in whole) == sorted(
        image.tobytes() for image in read_digits("train")[0]
    )


@pytest.mark.parametrize("seed", [0, -1, 2**31, 2**70])
def test_takes_seeds_of_any_size(seed):
    np.testing.assert_array_equal(
        gathered(digits(1, seed=seed))[1], gathered(digits(1, seed=seed))[1]
    )


def test_shards_share_nothing_and_have_as_many_batches():
    everything = sorted(image.tobytes() for image in read_digits("train")[0])
    parts = [digits(1, batch_size=1, shard=(index, 3)) for index in range(3)]
    assert [part.num_examples for part in parts] == [480, 481, 481]
    assert {part.steps_per_epoch for part in parts} == {480}
    seen = sorted(image.tobytes() for part in parts for image in gathered(part)[0])
    assert len(seen) == 1440
    left = list(everything)
    for image in seen:
        left.remove(image)
    assert len(left) == 2


def test_shards_draw_differently():
    draws = [
        gathered(digits(1, 20, shard=(i, 2), map_image=lambda image, seed: seed))[0].reshape(-1, 2)
        for i in range(2)
    ]
    assert len(np.unique(np.concatenate(draws), axis=0)) == len(draws[0]) + len(draws[1])


def test_what_comes_before_the_start_is_not_decoded():
    import tensorflow as tf

    calls = []

    def decode(image, seed):
        return tf.ensure_shape(
            tf.numpy_function(lambda image: calls.append(1) or image, [image], "uint8"), (8, 8, 1)
        )

    assert len(list(digits(1, start=(0, STEPS - 2), map_image=decode))) == 2
    assert len(calls) == 200


@pytest.fixture(scope="module")
def photographs_dir(tmp_path_factory, photographs) -> str:
    """Pieces of two photographs of many sizes, as JPEG, in the form of TFDS."""
    import tensorflow_datasets as tfds
    from PIL import Image

    class Pieces(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
                "label": tfds.features.ClassLabel(names=["temple", "flower"]),
            }
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
            )

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for i in range(PIECES):
                file = io.BytesIO()
                Image.fromarray(
                    photographs[i % 2][5 * i : 5 * i + 60 + i, 9 * i : 9 * i + 90]
                ).save(file, "jpeg", quality=95)
                file.seek(0)
                yield i, {"image": file, "label": i % 2}

    directory = str(tmp_path_factory.mktemp("tfds"))
    Pieces(data_dir=directory).download_and_prepare()
    return directory


def pieces(directory, epochs=3, **options):
    return data.load_epochs("pieces", "train", 4, epochs, data_dir=directory, **options)


@pytest.mark.slow
def test_tensorflow_datasets_pass_the_shuffle_buffer_encoded(photographs_dir):
    def crops(encoded, seed):
        import tensorflow as tf

        assert encoded.dtype == tf.string
        return tf.stack(
            [
                data.decode_and_crop(encoded, tf.random.fold_in(seed, view), (32, 32))
                for view in range(2)
            ]
        )

    for options in ({"image_size": (20, 30)}, {"map_image": crops}):
        train = pieces(photographs_dir, **options)
        assert (train.steps_per_epoch, train.num_examples, train.class_names) == (
            5,
            PIECES,
            ["temple", "flower"],
        )
        images, labels = gathered(train)
        assert images.shape[:2] == (15, 4)
        for start in ((0, 3), (1, 0), (2, 4)):
            begin = start[0] * 5 + start[1]
            rest_images, rest_labels = gathered(pieces(photographs_dir, start=start, **options))
            np.testing.assert_array_equal(rest_images, images[begin:])
            np.testing.assert_array_equal(rest_labels, labels[begin:])
    assert not np.array_equal(images[0, 0, 0], images[0, 0, 1])


@pytest.mark.slow
def test_tensorflow_datasets_give_the_images_that_load_gives(photographs_dir):
    loaded = data.load(
        "pieces", "train", 1, image_size=(24, 24), data_dir=photographs_dir, shuffle=False
    )
    expected = {image.tobytes(): label for image, label in zip(*gathered(loaded), strict=True)}
    parts = [
        pieces(photographs_dir, epochs=4, image_size=(24, 24), shard=(index, 2))
        for index in range(2)
    ]
    assert [(part.steps_per_epoch, part.num_examples) for part in parts] in (
        [(2, 12), (2, 11)],
        [(2, 11), (2, 12)],
    )
    seen = [{image.tobytes() for images in gathered(part)[0] for image in images} for part in parts]
    assert not seen[0] & seen[1]
    assert seen[0] | seen[1] <= set(expected)
    with pytest.raises(
        ValueError, match="`image_size` should be given for images of many sizes, known beforehand"
    ):
        pieces(photographs_dir)
    import tensorflow as tf

    with pytest.raises(ValueError, match="`map_image` should give one shape, known beforehand"):
        pieces(photographs_dir, map_image=lambda encoded, seed: tf.io.decode_jpeg(encoded))


def test_each_epoch_takes_the_files_in_its_own_order(tmp_path, monkeypatch):
    """The buffer holds one batch; the 40 files, one per class, provide all other mixing."""
    write(tmp_path, picture_features(40), pictures(40, 5), num_files=40)
    monkeypatch.setattr(epochs_module, "SHUFFLE_BYTES", 1)

    def whole(start=(0, 0), **options):
        return gathered(
            data.load_epochs("toys", "train", 10, 3, (4, 4), tmp_path, start=start, **options)
        )

    images, labels = whole()
    assert (np.sort(images[:, :, 0, 0, 0].reshape(3, -1)) == np.arange(200)).all()
    begins = [set(labels[20 * epoch]) for epoch in range(3)]
    assert len(set.union(*begins)) > max(map(len, begins))
    for start in ((0, 7), (1, 0), (2, 19)):
        rest_images, rest_labels = whole(start)
        np.testing.assert_array_equal(rest_images, images[20 * start[0] + start[1] :])
        np.testing.assert_array_equal(rest_labels, labels[20 * start[0] + start[1] :])
    halves = [whole(shard=(index, 2))[0][:10, :, 0, 0, 0] for index in range(2)]
    assert sorted(np.concatenate(halves, axis=None)) == list(range(200))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "`epochs` should be a whole number of at least 1. Received: epochs=0"),
        (
            {"batch_size": 1443},
            "`batch_size` should be at most the number of examples of a shard. .* with 1442 "
            "examples",
        ),
        ({"batch_size": 500, "shard": (0, 3)}, "Received: batch_size=500, with 480 examples"),
        ({"seed": 0.5}, "`seed` should be a whole number. Received: seed=0.5"),
        ({"seed": None}, "`seed` should be a whole number. Received: seed=None"),
        ({"seed": True}, "`seed` should be a whole number. Received: seed=True"),
        (
            {"start": (0, 15)},
            r"`start` should be .* more than the 14 batches of an epoch. Received: start=\(0, 15\)",
        ),
        ({"start": (-1, 0)}, "`start` should be"),
        ({"start": 3}, "`start` should be"),
        ({"shard": (2, 2)}, r"`shard` should be .* Received: shard=\(2, 2\)"),
        ({"map_image": 3}, "`map_image` should be a function"),
        (
            {"map_image": noisy, "image_size": (4, 4)},
            "`map_image` should be a function that also sets the size",
        ),
        ({"split": None}, "`name` and `split` should be strings"),
        ({"split": "validation"}, "`split` of the digits should be one of"),
    ],
)
def test_refuses_impossible_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        digits(**arguments)


@pytest.mark.slow
def test_views_made_from_it_go_on_as_well():
    from keras_supcon.augmentation import SimAugment

    def views(start):
        train = digits(epochs=2, start=start)
        done = start[0] * train.steps_per_epoch + start[1]
        augmenter = SimAugment(image_size=(8, 8), blur_probability=0.0)
        return data.with_views(train, augmenter, seed=4, start=done)

    keras.utils.set_random_seed(1)
    whole = gathered(views((0, 0)))
    keras.utils.set_random_seed(2)
    rest = views((0, 11))
    assert rest.steps_per_epoch == STEPS
    for _ in range(2):
        for part, expected in zip(gathered(rest), whole, strict=True):
            np.testing.assert_array_equal(part, expected[11:])

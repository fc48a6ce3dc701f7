import itertools
import pathlib
import warnings

import numpy as np
import pytest

from keras_supcon import data


@pytest.fixture
def folder(tmp_path, photographs) -> pathlib.Path:
    """Cuts the two photographs of scikit-learn into PNG and JPEG files, a class folder each."""
    from PIL import Image

    for name, photograph in zip(("temple", "flower"), photographs, strict=True):
        (tmp_path / name / "more").mkdir(parents=True)
        for i in range(10):
            piece = Image.fromarray(photograph[40 * i : 40 * i + 60, 50 * i : 50 * i + 90])
            piece.save(
                tmp_path / name / ("more" if i % 2 else "") / f"{i}.{'png' if i % 3 else 'JPG'}",
                format="png" if i % 3 else "jpeg",
            )
    (tmp_path / "temple" / "notes.txt").write_text("not an image")
    (tmp_path / ".cache").mkdir()
    return tmp_path


def gathered(dataset) -> tuple[np.ndarray, np.ndarray]:
    images, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def test_class_folders_become_classes_and_files_become_images(folder):
    dataset = data.load_folder(folder, "all", batch_size=8, image_size=(60, 90))
    assert dataset.class_names == ["flower", "temple"]
    images, labels = gathered(dataset)
    assert images.shape == (20, 60, 90, 3)
    assert images.dtype == "uint8"
    np.testing.assert_array_equal(np.bincount(labels), [10, 10])


def test_pixels_are_those_of_the_files(folder, photographs):
    images, _ = gathered(data.load_folder(folder, "all", batch_size=8, image_size=(60, 90)))
    sources = [
        photographs[1 - k][40 * i : 40 * i + 60, 50 * i : 50 * i + 90]
        for k in range(2)
        for i in range(10)
    ]
    exact = sum(any(np.array_equal(image, source) for source in sources) for image in images)
    assert exact == 12  # the PNG files; JPEG changes pixels a little
    for image in images:
        assert min(np.abs(image.astype(float) - source).mean() for source in sources) < 10


def test_resizing_keeps_the_aspect_by_a_centred_crop(folder):
    from PIL import Image

    (image,) = (np.asarray(Image.open(folder / "temple" / "2.png")),)
    images, _ = gathered(data.load_folder(folder, "all", batch_size=8, image_size=(30, 30)))
    expected = np.asarray(
        Image.fromarray(image[:, 15:75]).resize((30, 30), Image.Resampling.BILINEAR)
    ).astype(float)
    assert min(np.abs(candidate - expected).max() for candidate in images) <= 1


def test_splits_share_nothing_cover_everything_and_hold_to_the_seed(folder):
    def keys(split, seed=0):
        dataset = data.load_folder(folder, split, 8, (60, 90), 0.3, seed, validation_fraction=0.2)
        assert len(dataset.file_paths) == len(dataset.labels)
        return sorted(image.tobytes() for image in gathered(dataset)[0])

    parts = [keys(split) for split in ("train", "validation", "test")]
    assert all(parts)
    assert sorted(itertools.chain(*parts)) == keys("all")
    assert keys("test") == parts[2]
    assert keys("test", seed=1) != parts[2]


@pytest.fixture
def many(tmp_path) -> pathlib.Path:
    """Makes ten classes of 60 images of one pixel, which encodes the class and the number."""
    from PIL import Image

    for label in range(10):
        (tmp_path / f"{label}").mkdir()
        for i in range(60):
            Image.new("RGB", (1, 1), (label, i, 0)).save(tmp_path / f"{label}" / f"{i}.png")
    return tmp_path


def test_all_files_are_shuffled_anew_in_each_epoch_and_alike_under_a_seed(many):
    def epochs(seed, number=2):
        dataset = data.load_folder(many, "train", 40, (1, 1), 0, seed)
        return [
            np.concatenate([images[:, 0, 0, :2] for images, _ in dataset.as_numpy_iterator()])
            for _ in range(number)
        ]

    (first, second), (again, _), (other, _) = epochs(1), epochs(1), epochs(2**70)
    np.testing.assert_array_equal(first, again)
    for one, two in ((first, second), (first, other)):
        assert (one == two).all(axis=1).mean() < 0.05
    for order in (first, second):
        assert len(np.unique(order, axis=0)) == 600
        counts = np.stack(
            [np.bincount(batch, minlength=10) for batch in order[:, 0].reshape(15, 40)]
        )
        assert counts.max() <= 14  # of 40 draws; in the order of the files all of them
        # Neighbors in the folder are neighbors in an epoch as often as any other two.
        assert np.mean(np.all(np.diff(order.astype(int), axis=0) == [0, 1], axis=1)) < 0.02


def test_a_data_set_that_is_not_shuffled_has_the_order_of_its_paths(many):
    dataset = data.load_folder(many, "all", 64, (1, 1))
    images, labels = gathered(dataset)
    np.testing.assert_array_equal(labels, dataset.labels)
    np.testing.assert_array_equal(labels, np.repeat(np.arange(10), 60))
    numbers = [int(pathlib.Path(path).stem) for path in dataset.file_paths]
    np.testing.assert_array_equal(images[:, 0, 0, 1], numbers)
    assert len(dataset) == 10
    full = data.load_folder(many, "all", 64, (1, 1), drop_remainder=True)
    assert full.element_spec[0].shape == (64, 1, 1, 3)
    assert [len(batch) for batch, _ in full] == [64] * 9 == [64] * len(full)


def test_full_batches_want_as_many_images(many):
    with pytest.raises(
        ValueError,
        match="`batch_size` should be at most the number of .*Received: batch_size=601, with 600",
    ):
        data.load_folder(many, "all", 601, (1, 1), drop_remainder=True)


def test_nothing_is_decoded_before_its_batch(many, monkeypatch):
    """An epoch begins with the first batch, and not with a buffer."""
    import tensorflow as tf

    paths = data.load_folder(many, "all", 4, (1, 1)).file_paths
    later = data.load_folder(many, "all", 4, (1, 1))
    for path in paths[300:]:
        pathlib.Path(path).write_bytes(b"")
    for (images, _), _ in zip(later, range(20), strict=False):
        assert images.shape == (4, 1, 1, 3)
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=r"1 image in .* cannot be read: 5/0.png \(the file is empty\)",
    ):
        list(later)


@pytest.mark.parametrize(
    ("shuffle", "drop_remainder"), [(False, False), (True, False), (False, True)]
)
@pytest.mark.parametrize("broken", [[0], [1], range(600)])
def test_broken_files_at_the_ends_are_noticed(many, broken, shuffle, drop_remainder):
    """The first and the last file may be anywhere in an epoch, and all files may be broken."""
    import tensorflow as tf

    dataset = data.load_folder(
        many, "all", 50, (1, 1), shuffle=shuffle, drop_remainder=drop_remainder
    )
    for place in broken:
        pathlib.Path(dataset.file_paths[-place]).write_bytes(b"")
    for _ in range(3 if shuffle else 1):
        with pytest.raises(
            tf.errors.InvalidArgumentError,
            match=r"cannot be read: \d/\d+.png \(the file is empty\)",
        ):
            list(dataset)


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_file_that_is_damaged_after_the_check_is_named(folder, shuffle):
    import tensorflow as tf

    dataset = data.load_folder(folder, "all", 8, (32, 32), shuffle=shuffle)
    good = (folder / "temple" / "0.JPG").read_bytes()
    (folder / "temple" / "0.JPG").write_bytes(
        good[:300] + good[-2:]
    )  # within the tables, after the size
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=r"1 image in .* cannot be read: temple/0.JPG \(.*\). Repair or",
    ):
        list(dataset)
    # Its beginning and its end look whole.
    data.load_folder(folder, "all", 8, (32, 32))
    with pytest.raises(
        ValueError, match=r"1 of 20 images in .* cannot be read: temple/0.JPG \(Pillow says: .*\)"
    ):
        data.load_folder(folder, "all", 8, (32, 32), check_contents=True)
    with pytest.warns(UserWarning, match=r"Skipped: 1 of 20"):
        assert (
            len(gathered(data.load_folder(folder, "all", 8, (32, 32), on_unreadable="skip"))[0])
            == 19
        )
    (folder / "temple" / "0.JPG").unlink()
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"temple/0.JPG \(No such file or directory\)"
    ):
        list(dataset)


def test_a_file_that_is_another_one_now_is_named(folder):
    import tensorflow as tf
    from PIL import Image

    dataset = data.load_folder(folder, "all", 8, (32, 32))
    Image.open(folder / "temple" / "0.JPG").resize((500, 400)).save(
        folder / "temple" / "0.JPG", format="jpeg"
    )
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=r"temple/0.JPG \(it has been changed since `load_folder` looked",
    ):
        list(dataset)


def test_paths_hold_when_the_program_goes_elsewhere(folder, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(folder.parent)
    dataset = data.load_folder(folder.name, "all", 8, (32, 32))
    monkeypatch.setenv("HOME", str(folder.parent))
    home = data.load_folder(f"~/{folder.name}", "all", 8, (32, 32))
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert dataset.file_paths == home.file_paths
    assert len(gathered(dataset)[0]) == 20


def test_an_iterator_can_be_saved_and_goes_on(folder, tmp_path):
    import tensorflow as tf
    from PIL import Image

    Image.open(folder / "temple" / "2.png").save(folder / "temple" / "by_pillow.webp")
    iterator = iter(data.load_folder(folder, "all", 4, (60, 90), shuffle=True))
    next(iterator)
    path = tf.train.Checkpoint(iterator=iterator).save(tmp_path / "saved")
    expected = [images.numpy() for images, _ in iterator]
    again = iter(data.load_folder(folder, "all", 4, (60, 90), shuffle=True))
    tf.train.Checkpoint(iterator=again).restore(path)
    for images, other in zip(again, expected, strict=True):
        np.testing.assert_array_equal(images[0], other)


def test_a_class_of_which_nothing_can_be_read_is_named(folder):
    for path in (folder / "flower").rglob("*.*"):
        path.write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="Skipped: 10 of 20"),
        pytest.raises(
            ValueError, match=r"Every class folder .*that can be read; .* with none in \['flower'\]"
        ),
    ):
        data.load_folder(folder, "all", 8, (32, 32), on_unreadable="skip")
    with pytest.warns(UserWarning, match="Skipped: 10 of 20"):
        dataset = data.load_folder(
            folder, "all", 8, (32, 32), class_names=["temple", "flower"], on_unreadable="skip"
        )
    assert dataset.labels == [0] * 10


def test_long_checks_show_their_progress(folder, monkeypatch, capfd):
    from keras_supcon.data import file_checks

    data.load_folder(folder, "all", 8, (32, 32), check_contents=True)
    assert "20" not in capfd.readouterr().out
    monkeypatch.setattr(file_checks, "_SECONDS_WITHOUT_A_BAR", -1)
    data.load_folder(folder, "all", 8, (32, 32), check_contents=True)
    said = capfd.readouterr()
    assert "20/20" in said.out
    assert "Checking 20 files" in said.err


def test_unreadable_files_are_all_named_in_one_error(folder):
    good = (folder / "temple" / "0.JPG").read_bytes()
    (folder / "temple" / "cut.jpg").write_bytes(good[: len(good) // 2])
    (folder / "flower" / "empty.png").write_bytes(b"")
    (folder / "flower" / "text.png").write_text("hello")
    (folder / "temple" / "lost.jpg").symlink_to("nowhere")
    reasons = {
        "flower/empty.png": "the file is empty",
        "flower/text.png": "no kind of image that is read begins with b'hello'",
        "temple/cut.jpg": "Pillow says: .*",
        "temple/lost.jpg": "No such file or directory",
    }
    named = ", ".join(rf"{name} \({reason}\)" for name, reason in reasons.items())
    with pytest.raises(
        ValueError,
        match=f"4 of 24 images in .* cannot be read: {named}. Repair or remove them, or pass",
    ):
        data.load_folder(folder, "all", 8, (32, 32))


def test_unreadable_files_can_be_skipped_with_a_counted_warning(folder):
    (folder / "flower" / "text.png").write_text("hello")
    with pytest.warns(
        UserWarning, match=r"Skipped: 1 of 21 images in .* cannot be read: flower/text.png"
    ):
        dataset = data.load_folder(folder, "all", 8, (32, 32), on_unreadable="skip")
    assert len(gathered(dataset)[0]) == 20
    (folder / "flower" / "text.png").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        data.load_folder(folder, "all", 8, (32, 32), on_unreadable="skip")


def test_refuses_one_class_none_or_an_empty_one(folder, tmp_path):
    import shutil

    (folder / "empty").mkdir()
    with pytest.raises(
        ValueError, match=r"Every class folder should hold .* with none in \['empty'\]"
    ):
        data.load_folder(folder, "train", 8, (32, 32))
    (folder / "empty").rmdir()
    shutil.rmtree(folder / "flower")
    with pytest.raises(
        ValueError, match=r"at least two folders, one for each class. Received: .*\['temple'\]"
    ):
        data.load_folder(folder, "train", 8, (32, 32))
    with pytest.raises(ValueError, match=r"at least two folders"):
        data.load_folder(folder / "temple" / "more", "train", 8, (32, 32))
    with pytest.raises(ValueError, match=r"`path` should be a folder .* Received: path=None"):
        data.load_folder(None, "train", 8, (32, 32))
    with pytest.raises(
        ValueError, match=r"`path` should be a folder .* Received: path='.*nowhere'"
    ):
        data.load_folder(tmp_path / "nowhere", "train", 8, (32, 32))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "val"}, "`split` should be one of"),
        ({"batch_size": -1}, "`batch_size` should be"),
        ({"image_size": (0, 0)}, "`image_size` should be"),
        ({"image_size": None}, "`image_size` should be"),
        (
            {"test_fraction": 1.0},
            "`test_fraction` should be at least 0 and below 1. Received: test_fraction=1.0",
        ),
        ({"split": "test", "test_fraction": 0}, "`test_fraction` leaves no images"),
        ({"channels": 4}, "`channels` should be 1 or 3"),
        ({"channels": True}, "`channels` should be 1 or 3. Received: channels=True"),
        ({"seed": None}, "`seed` should be a whole number, the same for all splits"),
        (
            {"seed": 0.5, "split": "all"},
            "`seed` should be a whole number, or None .* Received: seed=0.5",
        ),
        ({"seed": "1"}, "`seed` should be a whole number. Received: seed='1'"),
        ({"seed": True}, "`seed` should be a whole number. Received: seed=True"),
        ({"split": "validation"}, "`validation_fraction` leaves no images for split='validation'"),
        (
            {"test_fraction": 0.5, "validation_fraction": 0.5},
            "should leave images to train on. Received: test_fraction=0.5",
        ),
        (
            {"background": 256},
            "`background` should be a whole number from 0 to 255, or three of them. Received: "
            "background=256",
        ),
        ({"background": (1, 2)}, "`background` should be"),
        (
            {"on_unreadable": "skip", "check_contents": False},
            "`check_contents` should be True or None with",
        ),
        (
            {"on_unreadable": "ignore"},
            "`on_unreadable` should be 'raise' or 'skip'. Received: on_unreadable='ignore'",
        ),
    ],
)
def test_refuses_impossible_arguments(folder, arguments, message):
    with pytest.raises(ValueError, match=message):
        data.load_folder(
            folder, **{"split": "train", "batch_size": 8, "image_size": (32, 32), **arguments}
        )


def test_an_order_that_nobody_fixed_may_be_asked_for_where_nothing_leaks(many):
    orders = [
        gathered(data.load_folder(many, "all", 600, (1, 1), seed=None, shuffle=True))[1]
        for _ in range(2)
    ]
    assert not np.array_equal(*orders)
    assert sorted(orders[0]) == sorted(orders[1])


@pytest.mark.slow
def test_replicas_share_the_images_of_a_folder(many, strategy):
    import keras
    import tensorflow as tf

    with strategy.scope():
        model = keras.Sequential(
            [keras.Input((1, 1, 3)), keras.layers.Flatten(), keras.layers.Dense(10)]
        )
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    train = data.load_folder(many, "train", 64, (1, 1), drop_remainder=True)
    history = model.fit(
        train.map(lambda images, labels: (tf.cast(images, "float32") / 255, labels)),
        epochs=2,
        verbose=0,
    )
    assert np.isfinite(history.history["loss"]).all()

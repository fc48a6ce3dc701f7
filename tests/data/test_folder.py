import pathlib
import warnings

import numpy as np
import pytest

from keras_supcon import data


@pytest.fixture
def folder(tmp_path, photographs) -> pathlib.Path:
    """Pieces of the two photographs of scikit-learn as PNG and JPEG files, a class folder for each photograph."""
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
    sources = [photographs[1 - k][40 * i : 40 * i + 60, 50 * i : 50 * i + 90] for k in range(2) for i in range(10)]
    exact = sum(any(np.array_equal(image, source) for source in sources) for image in images)
    assert exact == 12  # the PNG files; JPEG changes pixels a little
    for image in images:
        assert min(np.abs(image.astype(float) - source).mean() for source in sources) < 10


def test_resizing_keeps_the_aspect_by_a_centred_crop(folder):
    from PIL import Image

    (image,) = (np.asarray(Image.open(folder / "temple" / "2.png")),)
    images, _ = gathered(data.load_folder(folder, "all", batch_size=8, image_size=(30, 30)))
    expected = np.asarray(Image.fromarray(image[:, 15:75]).resize((30, 30), Image.Resampling.BILINEAR)).astype(float)
    assert min(np.abs(candidate - expected).max() for candidate in images) <= 1


def test_splits_share_nothing_cover_everything_and_hold_to_the_seed(folder):
    def keys(split, seed=0):
        return sorted(image.tobytes() for image in gathered(data.load_folder(folder, split, 8, (60, 90), 0.3, seed))[0])

    train, test = keys("train"), keys("test")
    assert (len(train), len(test)) == (14, 6)
    assert sorted(train + test) == keys("all")
    assert keys("test") == test
    assert keys("test", seed=1) != test


def test_unreadable_files_are_all_named_in_one_error(folder):
    good = (folder / "temple" / "0.JPG").read_bytes()
    (folder / "temple" / "cut.jpg").write_bytes(good[: len(good) // 2])
    (folder / "flower" / "empty.png").write_bytes(b"")
    (folder / "flower" / "text.png").write_text("hello")
    with pytest.raises(
        ValueError, match=r"3 of 23 images in .* cannot be read: flower/empty.png, flower/text.png, temple/cut.jpg"
    ):
        data.load_folder(folder, "train", 8, (32, 32))


def test_unreadable_files_can_be_skipped_with_a_counted_warning(folder):
    (folder / "flower" / "text.png").write_text("hello")
    with pytest.warns(UserWarning, match=r"Left out: 1 of 21 images in .* cannot be read: flower/text.png"):
        dataset = data.load_folder(folder, "all", 8, (32, 32), on_unreadable="skip")
    assert len(gathered(dataset)[0]) == 20
    (folder / "flower" / "text.png").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        data.load_folder(folder, "all", 8, (32, 32), on_unreadable="skip")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "jpg"])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_grey_and_colour_files_of_every_kind_become_what_is_asked_for(tmp_path, photographs, suffix, mode):
    from PIL import Image

    if (mode, suffix) == ("RGBA", "jpg"):
        mode = "CMYK"  # the fourth channel that a JPEG can have
    image = Image.fromarray(photographs[0][:40, :60]).convert(mode)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        image.save(tmp_path / name / f"0.{suffix}")
    lossy = 12 if suffix in ("gif", "jpg") else 1
    for channels, target in ((1, "L"), (3, "RGB")):
        images, _ = gathered(data.load_folder(tmp_path, "all", 8, (40, 60), channels=channels))
        expected = np.asarray(image.convert("RGB").convert(target)).reshape(40, 60, channels)
        assert images.shape == (2, 40, 60, channels)
        assert np.abs(images[0].astype(float) - expected).mean() < lossy


def test_refuses_one_class_none_or_an_empty_one(folder, tmp_path):
    import shutil

    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match=r"Every class folder should hold readable .* with none in \['empty'\]"):
        data.load_folder(folder, "train", 8, (32, 32))
    (folder / "empty").rmdir()
    shutil.rmtree(folder / "flower")
    with pytest.raises(ValueError, match=r"at least two folders, one for each class. Received: .*\['temple'\]"):
        data.load_folder(folder, "train", 8, (32, 32))
    with pytest.raises(ValueError, match=r"at least two folders"):
        data.load_folder(folder / "temple" / "more", "train", 8, (32, 32))
    with pytest.raises(ValueError, match=r"`path` should be a folder .* Received: path='.*nowhere'"):
        data.load_folder(tmp_path / "nowhere", "train", 8, (32, 32))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "val"}, "`split` should be one of"),
        ({"batch_size": -1}, "`batch_size` should be"),
        ({"image_size": (0, 0)}, "`image_size` should be"),
        ({"image_size": None}, "`image_size` should be"),
        ({"test_fraction": 1.0}, "`test_fraction` should be at least 0 and below 1. Received: test_fraction=1.0"),
        ({"split": "test", "test_fraction": 0}, "`test_fraction` leaves no images"),
        ({"channels": 4}, "`channels` should be 1 or 3"),
        ({"on_unreadable": "ignore"}, "`on_unreadable` should be 'raise' or 'skip'. Received: on_unreadable='ignore'"),
    ],
)
def test_refuses_impossible_arguments(folder, arguments, message):
    with pytest.raises(ValueError, match=message):
        data.load_folder(folder, **{"split": "train", "batch_size": 8, "image_size": (32, 32), **arguments})

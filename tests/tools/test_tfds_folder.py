"""Data sets that are written whole or not at all."""

import dataclasses

import numpy as np
import pytest

from keras_supcon import data

tfds = pytest.importorskip("tensorflow_datasets")

from tfds_folder import Content, digest, numbered, write  # noqa: E402

IMAGES = np.arange(6 * 4 * 4 * 3, dtype="uint8").reshape(6, 4, 4, 3)


@pytest.fixture
def content() -> Content:
    examples = {
        f"{number}": {"image": image, "kind": "ab"[number % 2], "size": number % 3}
        for number, image in enumerate(IMAGES)
    }
    return Content(
        name="toys",
        config="small",
        version="1.0.0",
        features=tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(4, 4, 3), encoding_format="png"),
                "kind": tfds.features.ClassLabel(names=["a", "b"]),
                "size": tfds.features.ClassLabel(num_classes=3),
            }
        ),
        supervised_keys=("image", "kind"),
        splits={
            "train": {key: examples[key] for key in "0123"},
            "test": {key: examples[key] for key in "45"},
        },
        description="Toys.",
        homepage="https://example.org",
        license="Public domain.",
    )


def test_it_is_read_by_its_name_with_its_labels_and_license(tmp_path, content):
    folder = write(content, tmp_path)
    assert folder == tmp_path / "toys" / "small" / "1.0.0"
    assert (folder / "LICENSE").read_text() == "Public domain."
    for split, numbers in (("train", range(4)), ("test", range(4, 6))):
        images, kinds = data.load_arrays("toys/small", split, tmp_path)
        _, sizes = data.load_arrays("toys/small", split, tmp_path, label="size")
        order = [images[i].tobytes() for i in range(len(images))]
        found = [order.index(IMAGES[number].tobytes()) for number in numbers]
        assert kinds[found].tolist() == [number % 2 for number in numbers]
        assert sizes[found].tolist() == [number % 3 for number in numbers]


def test_one_that_is_there_is_left_and_half_of_one_is_refused(tmp_path, content):
    folder = write(content, tmp_path)
    before = sorted((file.name, file.stat().st_mtime_ns) for file in folder.iterdir())
    write(dataclasses.replace(content, splits={}), tmp_path)
    assert before == sorted((file.name, file.stat().st_mtime_ns) for file in folder.iterdir())
    (folder / "dataset_info.json").unlink()
    with pytest.raises(FileExistsError, match="should be complete or absent. Received: '.*toys"):
        write(content, tmp_path)


@pytest.mark.parametrize("other_config", [False, True])
def test_nothing_is_left_of_one_that_cannot_be_written(tmp_path, content, other_config):
    if other_config:
        write(dataclasses.replace(content, config="other"), tmp_path)
    before = sorted(tmp_path.rglob("*"))
    wrong = {"train": {"0": {"image": IMAGES[0], "kind": "no such class", "size": 0}}}
    with pytest.raises(Exception, match="no such class"):
        write(dataclasses.replace(content, splits=wrong), tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_other_pixels_or_labels_than_expected_bring_a_warning(tmp_path, capsys, content):
    right = digest(content.splits)
    write(dataclasses.replace(content, sha256=right), tmp_path / "right")
    assert "WARNING: the images" not in capsys.readouterr().err
    write(dataclasses.replace(content, sha256="0"), tmp_path / "wrong")
    assert f"SHA-256 should be 0. Received: {right}" in capsys.readouterr().err


def test_the_digest_is_that_of_pixels_labels_and_splits(content):
    splits = {"train": numbered(IMAGES, range(6))}
    darker = IMAGES.copy()
    darker[3, 2, 1, 0] -= 1
    others = [
        {"train": numbered(darker, range(6))},
        {"train": numbered(IMAGES, [0, 1, 2, 3, 4, 4])},
        {"test": numbered(IMAGES, range(6))},
        {"train": numbered(IMAGES[:5], range(5))},
        {"train": numbered(IMAGES.reshape(6, 4, 6, 2), range(6))},
    ]
    assert len({digest(splits), *map(digest, others)}) == 6
    backwards = {"train": dict(reversed(splits["train"].items()))}
    assert digest(splits) == digest(backwards)

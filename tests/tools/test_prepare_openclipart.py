"""Debian's clip art as a data set."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from keras_supcon import data

tfds = pytest.importorskip("tensorflow_datasets")

import prepare_openclipart  # noqa: E402
from near_copies import near_pairs  # noqa: E402
from tfds_folder import write  # noqa: E402


def draw(path: pathlib.Path, colors: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(colors).resize((48, 48), Image.Resampling.NEAREST).save(path)


@pytest.fixture(scope="module")
def source_dir(tmp_path_factory):
    """Makes folders as those of the package, with random pictures."""
    rng = np.random.default_rng(0)
    usr = tmp_path_factory.mktemp("usr") / "share"
    root = usr / "openclipart" / "png"
    for folder in ("animals", "animals/birds", "animals/birds/penguin", "food"):
        for name in "abcdef":
            draw(root / folder / f"{name}_by_someone.png", rng.integers(0, 256, (8, 8, 3), "uint8"))
    for number in range(8):
        colors = rng.integers(0, 256, (8, 8, 3), "uint8")
        draw(root / "animals" / f"series_{number:02}.png", colors)
        draw(root / "shapes" / "stars" / f"star{number}.png", colors)
        draw(root / "unsorted" / f"{number}.png", rng.integers(0, 256, (8, 8, 3), "uint8"))
    (root / "food" / "link.png").symlink_to(root / "animals" / "series_00.png")
    (root / "food" / "copy.png").write_bytes((root / "animals" / "series_01.png").read_bytes())
    draw(root / "food" / "blank.png", np.full((8, 8, 3), 240, "uint8"))
    draw(root / "food" / "clear.png", np.zeros((8, 8, 4), "uint8"))
    near = rng.integers(8, 248, (8, 8, 3), "uint8")
    draw(root / "food" / "sketch.png", near)
    draw(root / "animals" / "drawing.png", near + rng.integers(-4, 5, near.shape).astype("uint8"))
    (usr / "doc" / "openclipart-png").mkdir(parents=True)
    (usr / "doc" / "openclipart-png" / "copyright").write_text("Public Domain Dedication, in full")
    return root


@pytest.fixture(scope="module")
def content(source_dir):
    return prepare_openclipart.read_content(source_dir)


def paths(content, *splits: str) -> set[str]:
    return {path for split in splits or content.splits for path in content.splits[split]}


def test_links_copies_blank_pictures_and_two_folders_are_left_out(content):
    found = paths(content)
    assert len(found) == 4 * 6 + 8 + 2
    assert not any(path.startswith(("shapes/stars", "unsorted")) for path in found)
    for name in ("link", "copy", "blank", "clear"):
        assert f"food/{name}.png" not in found
    images = [one["image"].tobytes() for split in content.splits.values() for one in split.values()]
    assert len(set(images)) == len(images)


def test_labels_are_the_folder_and_the_subfolder(content):
    every = content.splits["train"] | content.splits["test"]
    assert every["animals/birds/penguin/a_by_someone.png"]["subfolder"] == "animals/birds"
    assert every["animals/birds/penguin/a_by_someone.png"]["folder"] == "animals"
    assert every["food/a_by_someone.png"]["subfolder"] == "food"
    assert content.features["folder"].names == ["animals", "food"]
    assert content.features["subfolder"].names == ["animals", "animals/birds", "food"]


def test_near_copies_and_files_of_one_series_are_in_one_split(content):
    in_test = paths(content, "test")
    assert 0.1 < len(in_test) / len(paths(content)) < 0.3
    assert not paths(content, "train") & in_test
    series = [f"animals/series_{number:02}.png" for number in range(8)]
    for together in (series, ["food/sketch.png", "animals/drawing.png"]):
        assert len({path in in_test for path in together}) == 1


def test_it_is_read_by_name_with_both_labels_and_its_notice(tmp_path, content):
    folder = write(content, tmp_path)
    assert "Public Domain Dedication, in full" in (folder / "LICENSE").read_text()
    images, folders = data.load_arrays("openclipart", "train", tmp_path)
    _, subfolders = data.load_arrays("openclipart", "train", tmp_path, label="subfolder")
    assert images.shape == (len(content.splits["train"]), 32, 32, 3)
    assert set(zip(folders.tolist(), subfolders.tolist(), strict=True)) <= {(0, 0), (0, 1), (1, 2)}


def test_pictures_that_are_too_large_are_left_out(tmp_path, monkeypatch, rng):
    for name in "abcd":
        draw(tmp_path / "food" / f"{name}.png", rng.integers(0, 256, (8, 8, 3), "uint8"))
    Image.new("RGB", (64, 64)).save(tmp_path / "food" / "large.png")
    Image.new("RGB", (128, 128)).save(tmp_path / "food" / "larger.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 48 * 48)
    found = {path for path, _ in prepare_openclipart.read_pictures(tmp_path)}
    assert found == {f"food/{name}.png" for name in "abcd"}


def test_a_folder_without_pictures_and_a_broken_picture_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="`source_dir` should hold folders of PNG files"):
        prepare_openclipart.read_content(tmp_path)
    (tmp_path / "food").mkdir()
    (tmp_path / "food" / "broken.png").write_bytes(b"none")
    with pytest.raises(ValueError, match=r"that Pillow decodes. Received: '.*broken.png'"):
        prepare_openclipart.read_content(tmp_path)


def test_what_is_there_is_not_read_again(source_dir, tmp_path):
    folder = prepare_openclipart.prepare(source_dir, tmp_path)
    assert prepare_openclipart.prepare(tmp_path / "no pictures", tmp_path) == folder
    (folder / "dataset_info.json").unlink()
    with pytest.raises(FileExistsError, match="should be complete or absent"):
        prepare_openclipart.prepare(tmp_path / "no pictures", tmp_path)


@pytest.mark.slow
def test_the_real_clip_art_has_the_documented_sizes_and_no_near_copies(real):
    data_dir = real("openclipart")
    train, test = (
        data.load_arrays("openclipart", split, data_dir)[0] for split in ("train", "test")
    )
    assert (len(train), len(test)) == (4202, 1055)
    _, subfolders = data.load_arrays("openclipart", "test", data_dir, label="subfolder")
    assert len(np.unique(subfolders)) == 85 - 5  # each of which is a single picture or series
    pairs = near_pairs(np.concatenate([train, test]))
    assert [pair for pair in pairs if pair[0] < len(train) <= pair[1]] == []

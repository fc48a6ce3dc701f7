"""Which files of a folder are images of which class."""

import os
import pathlib
import warnings

import numpy as np
import pytest

from keras_supcon import data
from keras_supcon.data.class_folders import list_classes


def put(*paths: pathlib.Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(folder: pathlib.Path, class_names=None) -> list[tuple[str, int]]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, files = list_classes(str(folder), class_names)
    return [(file.name, file.label) for file in files]


def test_files_of_other_programs_are_left_alone(tmp_path):
    put(tmp_path / "a" / "0.png", tmp_path / "b" / "more" / "1.JPG", tmp_path / "b" / "0.png")
    expected = [("a/0.png", 0), ("b/0.png", 1), ("b/more/1.JPG", 1)]
    assert names(tmp_path) == expected
    for hidden in (".ipynb_checkpoints", "@eaDir", "__MACOSX", "more/.thumbnails"):
        put(tmp_path / "a" / hidden / "0.png")
    put(
        tmp_path / ".cache" / "0.png",
        tmp_path / "@eaDir" / "0.png",
        tmp_path / "a" / "._0.png",
        tmp_path / "a" / "notes.txt",
    )
    put(tmp_path / "a" / "Thumbs.db", tmp_path / "b" / "no_suffix", tmp_path / "c.png")
    assert names(tmp_path) == expected


def test_images_of_kinds_that_are_not_read_are_counted(tmp_path):
    put(
        tmp_path / "a" / "0.webp",
        tmp_path / "a" / "0.jfif",
        tmp_path / "b" / "0.tif",
        tmp_path / "b" / "0.avif",
    )
    assert len(names(tmp_path)) == 4
    put(*(tmp_path / "a" / f"{i}.HEIC" for i in range(3)), tmp_path / "b" / "0.svg")
    with pytest.warns(
        UserWarning,
        match=r"Ignored in .*: 3 .heic and 1 .svg files. Supported images are .jpg, .* files",
    ):
        _, files = list_classes(str(tmp_path), None)
    assert len(files) == 4


def test_links_are_followed_once(tmp_path):
    put(
        tmp_path / "d" / "a" / "0.png",
        tmp_path / "d" / "b" / "0.png",
        tmp_path / "elsewhere" / "1.png",
    )
    (tmp_path / "d" / "a" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "d" / "a" / "again").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "d" / "a" / "loop").symlink_to(tmp_path / "d" / "a")
    (tmp_path / "d" / "a" / "self").symlink_to("self")
    (tmp_path / "d" / "b" / "self.png").symlink_to(
        "self.png"
    )  # will be named as one that cannot be read
    (tmp_path / "d" / "b" / "file.png").symlink_to(tmp_path / "elsewhere" / "1.png")
    (tmp_path / "d" / "c").symlink_to(tmp_path / "elsewhere")
    found = names(tmp_path / "d")
    assert sorted(path for path, _ in found if path.endswith("1.png")) in (
        ["a/again/1.png", "c/1.png"],
        ["a/more/1.png", "c/1.png"],
    )
    assert [label for _, label in found] == [0, 0, 1, 1, 1, 2]
    # What is no link keeps its name, by which its split is chosen, whatever links lead to it.
    put(tmp_path / "d" / "a" / "z" / "2.png")
    (tmp_path / "d" / "a" / "link").symlink_to(tmp_path / "d" / "a" / "z")
    assert [path for path, _ in names(tmp_path / "d") if path.endswith("2.png")] == ["a/z/2.png"]


def test_what_is_no_file_is_no_image(tmp_path):
    put(tmp_path / "a" / "0.png", tmp_path / "b" / "0.png")
    os.mkfifo(tmp_path / "a" / "pipe.png")  # reading it would wait forever
    (tmp_path / "a" / "folder.png").mkdir()
    (tmp_path / "b" / "lost.png").symlink_to("nowhere")  # will be named as one that cannot be read
    assert names(tmp_path) == [("a/0.png", 0), ("b/0.png", 1), ("b/lost.png", 1)]


def test_folders_of_several_splits_agree_on_the_classes(tmp_path):
    for split, classes in (("train", "abc"), ("test", "ac")):
        put(*(tmp_path / split / name / "0.png" for name in classes))
    order = ["b", "c", "a"]
    assert names(tmp_path / "train", order) == [("b/0.png", 0), ("c/0.png", 1), ("a/0.png", 2)]
    assert names(tmp_path / "test", order) == [("c/0.png", 1), ("a/0.png", 2)]
    (tmp_path / "test" / "b").mkdir()
    assert names(tmp_path / "test", order) == [("c/0.png", 1), ("a/0.png", 2)]
    with pytest.raises(
        ValueError,
        match=r"Every class folder .*; `class_names` allows for empty ones. .* none in \['b'\]",
    ):
        list_classes(str(tmp_path / "test"), None)


@pytest.mark.parametrize(
    ("class_names", "message"),
    [
        (["a"], "`class_names` should be None or a list of at least two different names"),
        (["a", "b", "b"], "`class_names` should be"),
        (["a", 1], "`class_names` should be"),
        ("ab", "`class_names` should be .* Received: class_names='ab'"),
        ([["a"], ["b"]], "`class_names` should be"),
        (
            ["a", "c"],
            r"should name every folder in .* class_names=\['a', 'c'\], without \['b'\]",
        ),
    ],
)
def test_refuses_names_that_leave_out_a_class(tmp_path, class_names, message):
    put(tmp_path / "a" / "0.png", tmp_path / "b" / "0.png")
    with pytest.raises(ValueError, match=message):
        list_classes(str(tmp_path), class_names)


def test_folders_with_the_names_of_splits_are_noticed(tmp_path):
    put(tmp_path / "train" / "a" / "0.png", tmp_path / "Test" / "a" / "0.png")
    with pytest.warns(
        UserWarning,
        match=r"class folders of .* have the names of splits: \['Test', 'train'\]. If they hold",
    ):
        list_classes(str(tmp_path), None)
    put(tmp_path / "bus" / "0.png")
    names(tmp_path)


def test_accents_are_one_however_they_are_written(tmp_path):
    """macOS writes them as separate characters."""
    put(tmp_path / "cafe\u0301" / "0.png", tmp_path / "tea" / "0.png")
    for written in ("cafe\u0301", "caf\u00e9"):
        assert [label for _, label in names(tmp_path, ["tea", written])] == [0, 1]
    put(tmp_path / "caf\u00e9" / "0.png")
    with pytest.raises(
        ValueError, match="`path` should hold folders whose names differ when printed"
    ):
        names(tmp_path)


def test_names_of_downloads_are_counted_and_notes_are_not(tmp_path):
    put(
        tmp_path / "a" / "0.png",
        tmp_path / "b" / "0.png",
        tmp_path / "b" / "LICENSE",
        tmp_path / "b" / "labels.csv",
    )
    names(tmp_path)
    put(
        tmp_path / "a" / "cat.jpg_large",
        tmp_path / "a" / "cat.jpg?x=1",
        tmp_path / "b" / "scan.dcm",
    )
    with pytest.warns(
        UserWarning, match=r"Ignored in .*: 1 .dcm and 1 .jpg\?x=1 and 1 .jpg_large files"
    ):
        list_classes(str(tmp_path), None)


@pytest.mark.skipif(os.name != "posix", reason="Other systems have no names that are not Unicode.")
def test_names_that_are_not_utf_8_are_read_and_named(tmp_path):
    from PIL import Image

    for name in (b"caf\xe9", b"tea"):
        os.mkdir(os.path.join(os.fsencode(tmp_path), name))
    for path in (b"caf\xe9/2.png", b"caf\xe9/\xe9.png", b"tea/0.png"):
        with open(os.path.join(os.fsencode(tmp_path), path), "wb") as file:
            Image.new("RGB", (2, 2), (len(path), 0, 0)).save(file, "png")
    dataset = data.load_folder(tmp_path, "all", 8, (2, 2))
    assert dataset.class_names == ["caf\\xe9", "tea"]
    ((images, labels),) = dataset.as_numpy_iterator()
    np.testing.assert_array_equal(images[:, 0, 0, 0], [10, 10, 9])
    np.testing.assert_array_equal(labels, [0, 0, 1])
    with open(os.path.join(os.fsencode(tmp_path), b"caf\xe9/\xe9.png"), "wb"):
        pass
    with pytest.raises(
        ValueError, match=r"cannot be read: caf\\xe9/\\xe9.png \(the file is empty\)"
    ):
        data.load_folder(tmp_path, "all", 8, (2, 2))
    with pytest.warns(UserWarning, match=r"Skipped: 1 of 3 images in .*: caf\\xe9/\\xe9.png"):
        ((_, labels),) = data.load_folder(tmp_path, "all", 8, (2, 2), on_unreadable="skip")
    np.testing.assert_array_equal(labels, [0, 1])

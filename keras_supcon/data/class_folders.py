"""The image files of a folder that has one folder for each class."""

from __future__ import annotations

import collections
import os
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from keras_supcon.arguments import name_some
from keras_supcon.data.image_files import SUFFIXES, is_other_image

# Folders that other programs make beside or among the images: previews of Synology and QNAP, of
# macOS archives, of Windows.
_FOLDERS_OF_OTHERS = (
    "@eaDir",
    "@Recycle",
    "#recycle",
    "__MACOSX",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
)
_NAMES_OF_SPLITS = (
    "train",
    "training",
    "val",
    "valid",
    "validation",
    "dev",
    "eval",
    "test",
    "testing",
)
_MOST_NAMED = 20


class ImageFile(NamedTuple):
    """An image file of a class."""

    path: str
    name: str  # relative to the folder of all classes, with slashes
    label: int


def list_classes(
    folder: str, class_names: Sequence[str] | None
) -> tuple[list[str], list[ImageFile]]:
    """Lists the classes of a folder and the image files of each, in a fixed order.

    Args:
        folder: The folder of all classes.
        class_names: Names of the classes in the order of their labels, or None for the names of the
            folders, sorted. With names, a class may have no folder and no files.

    Returns:
        The names of the classes, and the files by label and name.

    Raises:
        ValueError: If `folder` is no folder, there are fewer than two classes, `class_names` leaves
            out a folder, or, without `class_names`, a class has no image files.
    """
    if not os.path.isdir(folder):
        raise ValueError(
            f"`path` should be a folder with one folder for each class. Received: path={folder!r}"
        )
    entries = [entry for entry in _sorted_entries(folder) if _is_folder(entry)]
    folders = {_printable(entry.name): entry.path for entry in entries}
    if len(folders) < len(entries):
        raise ValueError(
            "`path` should hold folders whose names differ when printed. Received: "
            f"path={folder!r}, with "
            f"{_some([entry.name for entry in entries])}"
        )
    if class_names is None and len(folders) < 2:
        raise ValueError(
            "`path` should hold at least two folders, one for each class. "
            f"Received: path={folder!r}, with the folders {list(folders)}"
        )
    names = (
        list(folders) if class_names is None else _check_class_names(class_names, folders, folder)
    )
    if all(name.lower() in _NAMES_OF_SPLITS for name in names):
        warnings.warn(
            f"The class folders of {folder!r} have the names of splits: {_some(names)}. If they "
            "hold the classes, give one of "
            "them as `path`.",
            stacklevel=3,
        )
    others = collections.Counter()
    files = [
        ImageFile(path, f"{name}/{inner}", label)
        for label, name in enumerate(names)
        if name in folders
        for path, inner in sorted(_walk(folders[name], others), key=lambda found: found[1])
    ]
    if others:
        counts = " and ".join(f"{count} {suffix}" for suffix, count in sorted(others.items()))
        warnings.warn(
            f"Left alone in {folder!r}: {counts} files. Of images, {', '.join(SUFFIXES)} files "
            "are read.",
            stacklevel=3,
        )
    filled = {file.label for file in files}
    empty = [name for label, name in enumerate(names) if label not in filled]
    if empty and class_names is None:
        raise ValueError(
            f"Every class folder should hold {', '.join(SUFFIXES)} images; `class_names` allows "
            "for empty ones. "
            f"Received: path={folder!r}, with none in {_some(empty)}"
        )
    return names, files


def _check_class_names(
    class_names: Sequence[str], folders: dict[str, str], folder: str
) -> list[str]:
    names = (
        []
        if isinstance(class_names, (str, bytes)) or not hasattr(class_names, "__iter__")
        else list(class_names)
    )
    names = [
        unicodedata.normalize("NFC", str(name)) if isinstance(name, str) else None for name in names
    ]
    if None in names or len(set(names)) < max(2, len(names)):
        raise ValueError(
            "`class_names` should be None or a list of at least two different names of folders. "
            f"Received: class_names={class_names!r}"
        )
    left_out = [name for name in folders if name not in names]
    if left_out:
        raise ValueError(
            f"`class_names` should name every folder in {folder!r}. Received: "
            f"class_names={_some(names)}, without "
            f"{_some(left_out)}"
        )
    return names


def _walk(top: str, others: collections.Counter[str]) -> Iterator[tuple[str, str]]:
    """Yields path and name of the image files below a folder, links followed; counts images of
    kinds that are not read.

    Links come after all folders that are none. One that leads to a folder that was listed, such as
    one above, is left out.
    """
    folders, links, seen = [(top, "")], [], set()
    while folders or links:
        folder, prefix = folders.pop() if folders else links.pop(0)
        place = os.path.realpath(folder)  # numbers of files are not unique on every network drive
        if place in seen:
            continue
        seen.add(place)
        for entry in _sorted_entries(folder):
            name, suffix = prefix + entry.name, os.path.splitext(entry.name)[1].lower()
            if _is_folder(entry):
                (links if entry.is_symlink() else folders).append((entry.path, f"{name}/"))
            elif entry.name.startswith(".") or _is_left_folder(entry):
                continue
            elif suffix in SUFFIXES:
                if _is_file(entry) or not os.path.exists(
                    entry.path
                ):  # a link that leads nowhere will be named
                    yield entry.path, name
            elif is_other_image(entry.name):
                others[suffix] += 1


def _sorted_entries(folder: str) -> list[os.DirEntry]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _is_folder(entry: os.DirEntry) -> bool:
    return (
        not entry.name.startswith(".")
        and entry.name not in _FOLDERS_OF_OTHERS
        and _leads_to_folder(entry)
    )


def _is_left_folder(entry: os.DirEntry) -> bool:
    return entry.name in _FOLDERS_OF_OTHERS or _leads_to_folder(entry)


def _leads_to_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_file(entry: os.DirEntry) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _printable(name: str) -> str:
    """A name with the bytes that are not UTF-8 written as \\xe9, and with accents as part of their
    characters.
    """
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "backslashreplace"))


def _some(names: list[str]) -> str:
    return f"[{name_some(list(map(repr, names)), _MOST_NAMED)}]"

"""Writes Debian's clip art as a TensorFlow Datasets data set, without network.

`make openclipart` unpacks Debian's package openclipart-png and calls this program:

    python tools/prepare_openclipart.py --data_dir=build/tfds \\
        --source_dir=build/openclipart-png/usr/share/openclipart/png

The labels of an image are its folder, such as `animals`, and its subfolder, such as
`animals/mammals`.
"""

import pathlib
import re
import warnings
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds
from absl import app
from choose_test_images import choose_test
from data_set_flags import DATA_DIR, SOURCE_DIR
from near_copies import near_pairs
from PIL import Image
from small_images import SIDE, read_small
from tfds_folder import Content, folder_of, is_written, write

DEFAULT_SOURCE_DIR = "/usr/share/openclipart/png"

NAME, VERSION = "openclipart", "1.0.0"

# 1,378 stars of one drawing program's parameters, each nearly the same as the next, and a folder
# that is no class.
_OMITTED = ("shapes/stars", "unsorted")
# Lines that vanish at 32x32 pixels are paler.
_PALEST = 208
_SHA256 = "e04f7cb392bcffae57c0b6c296f59fb2c8403f85ef3a00e88cfa1400d3ab301f"


def read_pictures(source_dir: str | pathlib.Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the paths and small images, without links and exact duplicates.

    Of duplicates the first path counts. Pictures of which thin lines alone would be left, and those
    that Pillow takes for decompression bombs, are left out, too.

    Raises:
        FileNotFoundError: If there are no pictures.
        ValueError: If one cannot be decoded.
    """
    root = pathlib.Path(source_dir)
    files = sorted(file for file in root.rglob("*.png") if not file.is_symlink())
    if not files:
        raise FileNotFoundError(
            "`source_dir` should hold folders of PNG files (Debian: apt-get install "
            f"openclipart-png). Received: source_dir={str(source_dir)!r}"
        )
    seen = set()
    for file in files:
        path = file.relative_to(root).as_posix()
        if path.startswith(_OMITTED):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                image = read_small(file, crop=True)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            continue
        if image.min() <= _PALEST and image.tobytes() not in seen:
            seen.add(image.tobytes())
            yield path, image


def labels_of(path: str) -> tuple[str, str]:
    """Returns the folder and the subfolder of a path; deeper folders belong to the subfolder."""
    folders = path.split("/")[:-1]
    return folders[0], "/".join(folders[:2])


def read_content(source_dir: str | pathlib.Path) -> Content:
    """Reads the data set.

    Images that are nearly the same, and files of one subfolder whose names differ in a last number
    alone, are together in one split.

    Raises:
        FileNotFoundError: If there are no pictures.
        ValueError: If one cannot be decoded.
    """
    paths, images = map(list, zip(*read_pictures(source_dir), strict=True))
    labels = [labels_of(path) for path in paths]
    marks: list[set] = [
        {(subfolder, re.sub(r"[_\d]*$", "", pathlib.PurePath(path).stem))}
        for path, (_, subfolder) in zip(paths, labels, strict=True)
    ]
    for pair in near_pairs(np.stack(images)):
        for index in pair:
            marks[index].add(pair)
    in_test = choose_test(paths, [subfolder for _, subfolder in labels], marks)
    splits: dict[str, dict] = {"train": {}, "test": {}}
    for path, image, (folder, subfolder), is_test in zip(
        paths, images, labels, in_test, strict=True
    ):
        splits["test" if is_test else "train"][path] = {
            "image": image,
            "path": path,
            "folder": folder,
            "subfolder": subfolder,
        }
    folders, subfolders = (sorted(set(names)) for names in zip(*labels, strict=True))
    return Content(
        name=NAME,
        version=VERSION,
        features=tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(SIDE, SIDE, 3), encoding_format="png"),
                "path": tfds.features.Text(),
                "folder": tfds.features.ClassLabel(names=folders),
                "subfolder": tfds.features.ClassLabel(names=subfolders),
            }
        ),
        supervised_keys=("image", "folder"),
        splits=splits,
        description="Clip art of the Open Clip Art Library, in the folders of its release 0.18.",
        homepage="https://openclipart.org",
        license=read_license(source_dir),
        sha256=_SHA256,
    )


def read_license(source_dir: str | pathlib.Path) -> str:
    """Returns the notice of Debian's package, where it is beside the pictures."""
    notice = pathlib.Path(source_dir, "../../doc/openclipart-png/copyright")
    text = notice.read_text(encoding="utf-8") if notice.is_file() else ""
    return f"Creative Commons Public Domain Dedication.\n\n{text}"


def prepare(source_dir: str | pathlib.Path, data_dir: str | pathlib.Path) -> pathlib.Path:
    """Writes the data set and returns its folder; one that is already there is left as it is.

    Raises:
        FileExistsError: If there is a folder without a complete data set.
        FileNotFoundError: If there are no pictures; nothing is written then.
        ValueError: If one cannot be decoded.
    """
    folder = folder_of(data_dir, NAME, VERSION)
    return folder if is_written(folder) else write(read_content(source_dir), data_dir)


def main(argv: list[str]) -> None:
    del argv
    print(prepare(SOURCE_DIR.value or DEFAULT_SOURCE_DIR, DATA_DIR.value))


if __name__ == "__main__":
    app.run(main)

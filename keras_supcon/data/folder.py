"""A folder of class folders as a data set."""

from __future__ import annotations

import os
import pathlib
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from keras_supcon.arguments import check_below_1, check_choice
from keras_supcon.data.decode import decode
from keras_supcon.data.pipeline import batches, check_batching
from keras_supcon.extras import require_extra

if TYPE_CHECKING:
    import tensorflow as tf

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")
_SPLITS = ("train", "test", "all")
_MOST_NAMED = 20


def load_folder(
    path: str | os.PathLike[str],
    split: str,
    batch_size: int,
    image_size: tuple[int, int],
    test_fraction: float = 0.2,
    seed: int = 0,
    *,
    channels: int = 3,
    on_unreadable: str = "raise",
    shuffle: bool | None = None,
    drop_remainder: bool = False,
) -> tf.data.Dataset:
    """Loads images from a folder that has one folder for each class.

    Every file is decoded once before the data set is returned, so that a broken file is known by name before training
    begins. JPEG, PNG, BMP and GIF (its first frame) are read, in class folders and the folders below them; other files
    and hidden ones are left alone.

    Args:
        path: The folder; the names of its folders become the class names, in alphabetical order.
        split: `"train"`, `"test"` or `"all"`.
        batch_size: Images in a batch, at least 1.
        image_size: `(height, width)` to which images are cropped about the centre and resized.
        test_fraction: Share of each class, in [0, 1), that "test" holds and "train" does not.
        seed: Fixes the split and the order of the examples.
        channels: 3 for colour, 1 for grey.
        on_unreadable: `"raise"` names the files that cannot be decoded in one error; `"skip"` leaves them out with a warning.
        shuffle: Whether to shuffle, in a new order for every epoch; None shuffles "train" only.
        drop_remainder: Whether to leave out a last batch that is not full.

    Returns:
        A `tf.data.Dataset` of uint8 images `(batch, height, width, channels)` and int64 labels `(batch,)`, with
        the attribute `class_names`.

    Raises:
        ValueError: For an argument out of its range, a path that is no folder, fewer than two classes, a class
            without images, and, unless skipped, unreadable images.
        ImportError: If TensorFlow is missing (`pip install keras-supcon[tensorflow]`).

    Example:

    >>> import os, tempfile, keras, numpy as np
    >>> import keras_supcon
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("cat", "dog"):
    ...         os.mkdir(os.path.join(folder, name))
    ...         for i in range(5):
    ...             keras.utils.save_img(os.path.join(folder, name, f"{i}.png"), np.full((40, 30, 3), 50 * i), scale=False)
    ...     train = keras_supcon.data.load_folder(folder, "train", batch_size=4, image_size=(32, 32))
    ...     [images.shape[0] for images, labels in train], train.class_names
    ([4, 4], ['cat', 'dog'])
    """
    check_batching(batch_size, image_size)
    if image_size is None:
        raise ValueError("`image_size` should be (height, width). Received: image_size=None")
    check_choice("split", split, _SPLITS)
    check_below_1("test_fraction", test_fraction)
    if channels not in (1, 3):
        raise ValueError(f"`channels` should be 1 or 3. Received: channels={channels!r}")
    if on_unreadable not in ("raise", "skip"):
        raise ValueError(f"`on_unreadable` should be 'raise' or 'skip'. Received: on_unreadable={on_unreadable!r}")

    require_extra("tensorflow", "tensorflow", by="`load_folder`")
    import tensorflow as tf

    files_of = _readable(_list_classes(pathlib.Path(path)), channels, on_unreadable, path)
    paths, labels = [], []
    for label, files in enumerate(files_of.values()):
        chosen = _choose(files, split, test_fraction, seed)
        paths += map(str, chosen)
        labels += [label] * len(chosen)
    if not paths:
        raise ValueError(f"`test_fraction` leaves no images for split={split!r}. Received: test_fraction={test_fraction!r}")
    shuffle = split == "train" if shuffle is None else shuffle
    examples = tf.data.Dataset.from_tensor_slices((paths, np.asarray(labels, "int64")))
    examples = examples.map(lambda file, label: (_decode(file, channels), label), num_parallel_calls=tf.data.AUTOTUNE)
    return batches(examples, len(paths), list(files_of), batch_size, image_size, shuffle, seed, drop_remainder)


def _list_classes(folder: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    if not folder.is_dir():
        raise ValueError(f"`path` should be a folder with one folder for each class. Received: path={str(folder)!r}")
    classes = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    files_of = {
        entry.name: sorted(
            file
            for file in entry.rglob("*")
            if file.suffix.lower() in _SUFFIXES and not file.name.startswith(".") and file.is_file()
        )
        for entry in classes
    }
    if len(files_of) < 2:
        raise ValueError(
            "`path` should hold at least two folders, one for each class. "
            f"Received: path={str(folder)!r}, with the folders {list(files_of)}"
        )
    _check_filled(files_of, folder)
    return files_of


def _check_filled(files_of: dict[str, list[pathlib.Path]], folder: str | os.PathLike[str]) -> None:
    empty = [name for name, files in files_of.items() if not files]
    if empty:
        raise ValueError(
            f"Every class folder should hold readable {', '.join(_SUFFIXES)} images. "
            f"Received: path={str(folder)!r}, with none in {empty}"
        )


def _readable(
    files_of: dict[str, list[pathlib.Path]], channels: int, on_unreadable: str, folder: str | os.PathLike[str]
) -> dict[str, list[pathlib.Path]]:
    files = [file for members in files_of.values() for file in members]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        decodes = list(pool.map(lambda file: _decodes(file, channels), files))
    unreadable = {file for file, ok in zip(files, decodes, strict=True) if not ok}
    if not unreadable:
        return files_of
    names = ", ".join(str(file.relative_to(folder)) for file in sorted(unreadable)[:_MOST_NAMED])
    names += f" and {len(unreadable) - _MOST_NAMED} more" if len(unreadable) > _MOST_NAMED else ""
    found = f"{len(unreadable)} of {len(files)} images in {str(folder)!r} cannot be read: {names}"
    if on_unreadable == "raise":
        raise ValueError(f"{found}. Mend or remove them, or pass on_unreadable='skip' to leave them out")
    warnings.warn(f"Left out: {found}", stacklevel=3)
    files_of = {name: [file for file in members if file not in unreadable] for name, members in files_of.items()}
    _check_filled(files_of, folder)
    return files_of


def _decodes(file: pathlib.Path, channels: int) -> bool:
    import tensorflow as tf

    try:
        _decode(str(file), channels)
    except tf.errors.OpError:
        return False
    return True


def _decode(file: tf.Tensor | str, channels: int) -> tf.Tensor:
    import tensorflow as tf

    return decode(tf.io.read_file(file), channels)


def _choose(files: list[pathlib.Path], split: str, test_fraction: float, seed: int) -> list[pathlib.Path]:
    if split == "all":
        return files
    order = np.random.default_rng(seed).permutation(len(files))
    num_test = round(len(files) * test_fraction)
    if test_fraction > 0 and len(files) > 1:
        num_test = min(max(num_test, 1), len(files) - 1)  # both splits see every class
    chosen = order[:num_test] if split == "test" else order[num_test:]
    return [files[i] for i in sorted(chosen)]

"""Checkpoint files: whole under their own name, or not there at all."""

import contextlib
import errno
import json
import pathlib
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_supcon.arguments import is_whole
from keras_supcon.files import whole_file

FORMAT = 1
_DESCRIPTION = "checkpoint.json"
# What a description has to hold, and what each of its variables has: a name, and whether a value is
# right.
_KEYS = {
    "format": is_whole,
    "optimizer": lambda value: isinstance(value, str),
    "variables": lambda value: (
        isinstance(value, list) and all(isinstance(variable, dict) for variable in value)
    ),
    "position": lambda value: (
        isinstance(value, list) and len(value) == 2 and all(is_whole(part, 0) for part in value)
    ),
    "steps_per_epoch": lambda value: value is None or is_whole(value, 1),
    "notes": lambda value: isinstance(value, dict),
}
_KEYS_OF_VARIABLE = {
    "entry": lambda value: isinstance(value, str),
    "path": lambda value: isinstance(value, str),
    "shape": lambda value: isinstance(value, list) and all(is_whole(size, 0) for size in value),
    "dtype": lambda value: isinstance(value, str),
    "of": lambda value: value in ("model", "optimizer", ""),
}


class OtherFormatError(Exception):
    """The file is of another version of this package, which is no damage."""


def write_checkpoint(
    path: pathlib.Path, description: dict[str, Any], arrays: Iterable[tuple[str, np.ndarray]]
) -> None:
    """Writes a zip archive of a JSON description and named arrays that NumPy can read.

    The archive is written under another name in the same folder, flushed to the disk, read back and
    only then given its name, so that a process that dies at any moment leaves the file whole or
    absent.

    Args:
        path: The file.
        description: Anything that JSON can hold.
        arrays: Pairs of name and array, taken one at a time.

    Raises:
        OSError: If the disk is full or cannot be written. The unfinished file is removed.
    """
    try:
        with whole_file(path) as unfinished:
            with zipfile.ZipFile(
                unfinished, "w"
            ) as archive:  # not compressed: weights hardly shrink
                archive.writestr(_DESCRIPTION, json.dumps(description, default=plain_number))
                for name, array in arrays:
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                        np.lib.format.write_array(entry, _plain(array), allow_pickle=False)
            with zipfile.ZipFile(unfinished) as archive:
                if archive.testzip() is not None:
                    raise OSError(errno.EIO, "what was read back is not what was written")
    except OSError as error:
        cause = error.__cause__ or error
        reason = getattr(cause, "strerror", None) or cause
        message = f"The checkpoint could not be written ({reason}); earlier ones are untouched"
        raise OSError(error.errno, message, str(path)) from cause


def read_checkpoint(path: pathlib.Path) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Reads the description and, in the order of `description["variables"]`, all arrays; each is
    checked by its CRC.

    Raises:
        RuntimeError: If the file is truncated or damaged, or does not hold what a checkpoint holds.
        ValueError: If it is of another version of this package.
        OSError: If it cannot be read.
    """
    with _opened(path) as archive:
        description = _read_description(archive)
        return description, [
            _read_array(archive, variable) for variable in description["variables"]
        ]


def read_notes(path: pathlib.Path) -> dict[str, Any]:
    """Reads the notes of a checkpoint alone, with the errors of `read_checkpoint`."""
    with _opened(path) as archive:
        return _read_description(archive)["notes"]


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[zipfile.ZipFile]:
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                yield archive
        except (MemoryError, ImportError):  # not the fault of the file
            raise
        except OtherFormatError as error:
            raise ValueError(f"The checkpoint {str(path)!r} {error}") from None
        except Exception as error:  # damage can look like anything to zipfile, json and NumPy
            if (
                isinstance(error, OSError) and error.errno != errno.EINVAL
            ):  # of a place before the beginning of the file
                raise
            raise RuntimeError(
                f"The checkpoint {str(path)!r} is damaged or not whole ({error})"
            ) from error


def _read_description(archive: zipfile.ZipFile) -> dict[str, Any]:
    description = json.loads(archive.read(_DESCRIPTION))
    if isinstance(description, dict):
        if is_whole(description.get("format")) and description["format"] != FORMAT:
            raise OtherFormatError(
                f"is of format {description['format']}; this version of keras_supcon reads {FORMAT}"
            )
        description.setdefault("notes", {})  # of a version that had none
    _check("it", description, _KEYS)
    for number, variable in enumerate(description["variables"]):
        _check(f"its variable {number}", variable, _KEYS_OF_VARIABLE)
    position, steps = description["position"], description["steps_per_epoch"]
    if steps is not None and position[1] > steps:
        raise ValueError(f"it is {position[1]} batches into an epoch of {steps}")
    return description


def _check(what: str, content: Any, keys: Mapping[str, Callable[[Any], bool]]) -> None:
    if not isinstance(content, dict):
        raise ValueError(f"{what} should be described by a JSON object, not {_shorten(content)}")
    for key, is_right in keys.items():
        if key not in content:
            raise ValueError(f"{what} has no {key!r}")
        if not is_right(content[key]):
            raise ValueError(f"{what} has {_shorten(content[key])} as {key!r}")


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def plain_number(value: Any) -> float | int | bool:
    """What JSON gets of a number of NumPy or of a backend.

    Raises:
        TypeError: If it is no number.
    """
    try:
        number = np.asarray(keras.ops.convert_to_numpy(value)).reshape(())
        return number.item() if number.dtype.kind in "iub" else float(number)
    except Exception as error:
        raise TypeError(f"{_shorten(value)} is nothing that JSON holds") from error


def remove_unfinished(directory: pathlib.Path) -> None:
    """Removes what a process that died while writing has left."""
    for left in directory.glob("unfinished-*epoch-*.npz"):
        left.unlink(missing_ok=True)


def _read_array(archive: zipfile.ZipFile, variable: dict[str, Any]) -> np.ndarray:
    with archive.open(f"{variable['entry']}.npy") as entry:
        array = np.lib.format.read_array(entry, allow_pickle=False)
        entry.read()  # the CRC is compared at the end of the entry
    dtype = _dtype(variable["dtype"])
    if array.dtype != _plain(np.empty(0, dtype)).dtype:
        raise ValueError(f"{variable['path']} has dtype {array.dtype} instead of {dtype}")
    array = array.view(dtype)
    if array.shape != tuple(variable["shape"]):
        raise ValueError(
            f"{variable['path']} has shape {array.shape} instead of {variable['shape']}"
        )
    return array


def _plain(array: np.ndarray) -> np.ndarray:
    """The bits as integers where NumPy's format does not know the dtype, as of bfloat16."""
    return array if array.dtype.isbuiltin == 1 else array.view(f"u{array.dtype.itemsize}")


def _dtype(name: str) -> np.dtype:
    try:
        return np.dtype(name)
    except TypeError:
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))

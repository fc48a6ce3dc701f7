"""Checkpoint files: whole under their own name, or not there at all."""

import contextlib
import errno
import json
import os
import pathlib
import zipfile
from collections.abc import Iterable
from typing import Any

import numpy as np

_UNFINISHED = "unfinished-"
_DESCRIPTION = "checkpoint.json"
# Said by file systems that cannot flush a directory.
_NO_DIRECTORY_FLUSH = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)


def write_checkpoint(path: pathlib.Path, description: dict[str, Any], arrays: Iterable[tuple[str, np.ndarray]]) -> None:
    """Writes a zip archive of a JSON description and named arrays that NumPy can read.

    The archive is written under another name in the same folder, flushed to the disk, read back and only then given its
    name, so that a process that dies at any moment leaves the file whole or absent.

    Args:
        path: The file.
        description: Anything that JSON can hold.
        arrays: Pairs of name and array, taken one at a time.

    Raises:
        OSError: If the disk is full or cannot be written. The unfinished file is removed.
    """
    unfinished = path.with_name(_UNFINISHED + path.name)
    try:
        with open(unfinished, "wb") as file:
            with zipfile.ZipFile(file, "w") as archive:  # not compressed: weights hardly shrink
                archive.writestr(_DESCRIPTION, json.dumps(description))
                for name, array in arrays:
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                        np.lib.format.write_array(entry, _plain(array), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        with zipfile.ZipFile(unfinished) as archive:
            if archive.testzip() is not None:
                raise OSError(errno.EIO, "what was read back is not what was written")
        os.replace(unfinished, path)
        _flush_directory(path.parent)
    except OSError as error:
        cause = f"The checkpoint could not be written ({error.strerror or error}); earlier ones are untouched"
        raise OSError(error.errno, cause, str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def read_checkpoint(path: pathlib.Path) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Reads the description and, in the order of `description["variables"]`, all arrays; each is checked by its CRC.

    Raises:
        RuntimeError: If the file is truncated or damaged.
        OSError: If it cannot be read.
    """
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                description = json.loads(archive.read(_DESCRIPTION))
                arrays = [_read_array(archive, variable) for variable in description["variables"]]
        except Exception as error:  # damage can look like anything to zipfile, json and NumPy
            if isinstance(error, OSError) and error.errno != errno.EINVAL:  # of a place before the beginning of the file
                raise
            raise RuntimeError(f"The checkpoint {str(path)!r} is damaged or not whole ({error})") from error
    return description, arrays


def remove_unfinished(directory: pathlib.Path) -> None:
    """Removes what a process that died while writing has left."""
    for left in directory.glob(f"{_UNFINISHED}*"):
        left.unlink(missing_ok=True)


def _read_array(archive: zipfile.ZipFile, variable: dict[str, Any]) -> np.ndarray:
    with archive.open(f"{variable['entry']}.npy") as entry:
        array = np.lib.format.read_array(entry, allow_pickle=False)
        entry.read()  # the CRC is compared at the end of the entry
    array = array.view(_dtype(variable["dtype"]))
    if array.shape != tuple(variable["shape"]):
        raise ValueError(f"{variable['path']} has shape {array.shape} instead of {variable['shape']}")
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


def _flush_directory(directory: pathlib.Path) -> None:
    """Makes a new name in the directory survive a loss of power."""
    if os.name != "posix":  # elsewhere directories cannot be opened
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_FLUSH:
            raise
    finally:
        os.close(descriptor)

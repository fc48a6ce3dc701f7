"""The folder of a run: which run it is of, and files that appear whole or not at all."""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import keras

_RECORD = "run.json"
_MOST_NAMED = 3
# Network file systems may show the files of another machine late.
_SECONDS_TO_APPEAR = 60


@contextlib.contextmanager
def whole_file(path: pathlib.Path, writer: int = 0, keep: bool = True) -> Iterator[pathlib.Path]:
    """Gives the path of an unfinished file in the same folder, which takes its name when all of it is on the disk.

    Args:
        path: The file.
        writer: Number of the process, of those that write one at the same time.
        keep: Whether the file of this one is kept.

    Raises:
        OSError: If it cannot be written; a file that was there before stays as it was.
    """
    unfinished = path.with_name(f"unfinished-{writer}-{path.name}")
    try:
        yield unfinished
        if keep:
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(unfinished, path)
    except OSError as error:
        raise OSError(error.errno, f"The file could not be written ({error.strerror or error})", str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def write_json(path: pathlib.Path, content: dict[str, Any]) -> None:
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=2) + "\n")


def write_record(folder: pathlib.Path, record: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / _RECORD, record)


def read_record(folder: pathlib.Path) -> dict[str, Any] | None:
    """What was written of the run in a folder, or None."""
    try:
        return json.loads((folder / _RECORD).read_text())
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise
    except ValueError as error:
        raise ValueError(f"{str(folder / _RECORD)!r} should be JSON as it was written ({error}). Delete it to go on") from error


def refuse_another_run(folder: pathlib.Path, record: dict[str, Any]) -> None:
    """Raises `ValueError`, with the first differences, if a folder holds the run of another record."""
    earlier = read_record(folder)
    if earlier is None:
        return
    record = json.loads(json.dumps(record))  # tuples are lists there
    others = [
        f"{name} {earlier.get(name)!r} instead of {value!r}" for name, value in record.items() if earlier.get(name) != value
    ]
    if others:
        more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
        raise ValueError(
            f"{str(folder)!r} holds another run: {'; '.join(others[:_MOST_NAMED])}{more}. Give another --model_dir, or delete "
            "that folder"
        )


def is_seen(folder: pathlib.Path, start: int) -> bool:
    """Whether the record of a start, which another process has written, is in this folder, now or soon."""
    end = time.monotonic() + _SECONDS_TO_APPEAR
    while (read_record(folder) or {}).get("start") != start:
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def digest(model: keras.Model) -> str:
    """Tells whether two models have the same weights."""
    hashed = hashlib.sha256()
    for weight in model.weights:
        hashed.update(keras.ops.convert_to_numpy(weight).tobytes())
    return hashed.hexdigest()

"""Files that cannot be read, by name and with the reason, before training begins and while it runs."""

from __future__ import annotations

import itertools
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from keras_supcon.arguments import name_some
from keras_supcon.data.decode import decode, decode_other
from keras_supcon.data.image_files import Header, decode_with_pillow, read_header

T = TypeVar("T")
_SECONDS_WITHOUT_A_BAR = 2.0
_PIECE = 256
_WHITE = (255, 255, 255)


def read_headers(paths: Sequence[str], check_contents: bool) -> list[Header]:
    """Reads what the files say of themselves; a progress bar shows if that takes more than two
    seconds.

    Args:
        paths: The files.
        check_contents: Whether to decode every file, or those alone whose first or last bytes look
            wrong.

    Returns:
        The header of each, whose `fault` is the reason of a file that cannot be read, and None of
        others.
    """

    def read(path: str) -> Header:
        header = read_header(path)
        if header.fault == "" or (check_contents and header.fault is None):
            return header._replace(fault=_fault_of_contents(path, header))
        return header

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        if check_contents:
            return list(_with_progress(pool.map(read, paths), len(paths)))
        # In pieces: what a pool does for each call takes longer than to read a header.
        pieces = [paths[begin : begin + _PIECE] for begin in range(0, len(paths), _PIECE)]
        headers = pool.map(lambda piece: [read(path) for path in piece], pieces)
        return list(_with_progress(itertools.chain.from_iterable(headers), len(paths)))


def _fault_of_contents(path: str, header: Header) -> str | None:
    """Why a file that looks whole cannot be decoded, or None."""
    import tensorflow as tf

    try:
        with open(path, "rb") as file:
            encoded = file.read()
    except OSError as error:
        return error.strerror or str(error)
    try:
        with tf.device("CPU"):
            # As it will be read.
            (decode if header.is_jpeg else decode_other)(tf.constant(encoded), _WHITE)
    except (tf.errors.OpError, ValueError) as error:
        return _reason(encoded, error)
    return None


def _reason(encoded: bytes, error: Exception) -> str:
    """What Pillow says, which knows more of what is wrong; otherwise what TensorFlow says."""
    try:
        decode_with_pillow(encoded, _WHITE)
    except ValueError as said:
        return str(said)
    return f"TensorFlow says: {re.sub(r'{{.*?}} | .Op:.*', '', str(error))}"


def describe_faults(faults: dict[str, str], folder: str, most_named: int = 20) -> str:
    """The names of files, relative to a folder, each with its reason."""
    named = [f"{printable_path(path, folder)} ({faults[path]})" for path in sorted(faults)]
    return name_some(named, most_named)


def printable_path(path: str | bytes, folder: str) -> str:
    """The path relative to a folder, with slashes, bytes that are not UTF-8 written as \\xe9."""
    relative = os.path.relpath(os.fsencode(path), os.fsencode(folder)).decode(
        "utf-8", "backslashreplace"
    )
    return relative.replace(os.sep, "/")


def reporter(folder: str) -> Callable[[bytes, int], None]:
    """Makes a function of a path and an earlier length that raises `ValueError` for a file that
    could not be decoded.
    """

    def report(path: bytes, num_bytes: int) -> None:
        header = read_header(path)
        reason = header.fault or _fault_of_contents(os.fsdecode(path), header)
        if reason is None and os.stat(path).st_size != num_bytes:
            reason = "it has been changed since `load_folder` looked at it: call that again"
        reason = (
            reason
            or "it could not be read a moment ago, and can be now: if it has been changed, call `load_folder` again"
        )
        raise ValueError(
            f"1 image in {folder!r} cannot be read: {printable_path(path, folder)} ({reason}). "
            "Mend or remove it, or pass "
            "on_unreadable='skip' to leave it out"
        )

    return report


def _with_progress(results: Iterable[T], total: int) -> Iterator[T]:
    """Passes results on, and shows a bar from the third second on."""
    import keras

    begin, bar = time.monotonic(), None
    for number, result in enumerate(results, start=1):
        if bar is None and time.monotonic() - begin > _SECONDS_WITHOUT_A_BAR:
            print(f"Checking {total} files", file=sys.stderr)
            bar = keras.utils.Progbar(
                total, interval=0.1 if sys.stdout.isatty() else 10, unit_name="file"
            )
        if bar is not None:
            bar.update(number)
        yield result

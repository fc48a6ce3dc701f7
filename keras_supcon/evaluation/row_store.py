"""Rows that are appended batch by batch, in memory or in a file."""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile
from types import TracebackType
from typing import BinaryIO

import numpy as np


class RowStore(contextlib.AbstractContextManager):
    """Collects float32 rows of one width; beyond a number of bytes they go to a file.

    The file is a `.npy` file whose header is completed at the end: it names the number of rows,
    for which NumPy leaves room.

    Args:
        memory_limit: Bytes that are kept in memory. Then a temporary file takes all rows, which is
            removed with the returned array.
        path: File that takes all rows from the start, or None.
    """

    def __init__(self, memory_limit: int, path: pathlib.Path | None = None) -> None:
        self._memory_limit = memory_limit
        self._rows: list[np.ndarray] = []
        self._number = self._bytes = 0
        self._file: BinaryIO | None = None if path is None else path.open("w+b")
        self._is_temporary = path is None

    def append(self, rows: np.ndarray) -> None:
        """Appends `(batch, width)`.

        Raises:
            ValueError: If the width differs from that of earlier rows.
            OSError: If the file cannot be written.
        """
        rows = np.ascontiguousarray(rows, "float32")
        if self._number and rows.shape[1] != self._width:
            raise ValueError(
                f"`model` should give features of one width. Received: {self._width} and "
                f"{rows.shape[1]} features"
            )
        if not self._number:
            self._width = rows.shape[1]
            if self._file is not None:
                self._write_header()
        self._number += len(rows)
        self._bytes += rows.nbytes
        if self._file is None and self._bytes > self._memory_limit:
            self._file = tempfile.TemporaryFile(prefix="embeddings-")  # noqa: SIM115, see __exit__
            self._write_header()
            for earlier in self._rows:
                self._file.write(earlier)
            self._rows = []
        if self._file is None:
            self._rows.append(rows)
        else:
            self._file.write(rows)

    def finish(self) -> np.ndarray:
        """Returns all rows `(n, width)`, read from the file where there is one."""
        if self._file is None:
            return np.concatenate(self._rows)
        self._write_header()
        self._file.flush()
        offset = self._file.tell()
        # The array keeps the file open, and thus alive if it is a temporary one.
        return np.memmap(
            self._file, "float32", mode="r", offset=offset, shape=(self._number, self._width)
        )

    def _write_header(self) -> None:
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(
            self._file,
            {"descr": "<f4", "fortran_order": False, "shape": (self._number, self._width)},
        )

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()


def save_array(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Writes an array as a `.npy` file under just that name."""
    with open(path, "wb") as file:
        np.save(file, array)

"""Files that appear whole or not at all. Who may write to a directory is in tests/callbacks/test_directory.py."""

import errno
import os

import pytest

from keras_supcon.files import make_writable, whole_file

pytestmark = pytest.mark.neutral


def test_a_full_disk_keeps_the_earlier_file_and_leaves_nothing_unfinished(tmp_path):
    path = tmp_path / "encoder.keras"
    path.write_bytes(b"earlier")

    def write():
        with whole_file(path) as unfinished:
            unfinished.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=r"could not be written \(No space left on device\): '.*encoder.keras'"):
        write()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"encoder.keras": b"earlier"}


def test_one_of_several_writers_is_kept(tmp_path):
    path = tmp_path / "encoder.keras"
    for writer in (0, 1):
        with whole_file(path, writer, keep=writer == 0) as unfinished:
            unfinished.write_bytes(b"of %d" % writer)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"encoder.keras": b"of 0"}


def test_a_directory_is_made_and_left_empty_or_refused(tmp_path):
    make_writable(tmp_path / "new" / "folder")
    assert list((tmp_path / "new" / "folder").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"The directory cannot be written to \(it is a file\): '.*file'"):
        make_writable(tmp_path / "file")

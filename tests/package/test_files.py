"""Files appear whole or not at all.

tests/callbacks/test_directory.py covers who may write to a directory.
"""

import errno
import os
import pathlib
import stat
import subprocess
import sys

import pytest

from keras_supcon.files import make_writable, unfinished_path, whole_file

pytestmark = pytest.mark.neutral


def test_a_full_disk_keeps_the_earlier_file_and_leaves_nothing_unfinished(tmp_path):
    path = tmp_path / "encoder.keras"
    path.write_bytes(b"earlier")

    def write():
        with whole_file(path) as unfinished:
            unfinished.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(
        OSError, match=r"could not be written \(No space left on device\): '.*encoder.keras'"
    ):
        write()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {
        "encoder.keras": b"earlier"
    }


def test_one_of_several_writers_is_kept(tmp_path):
    path = tmp_path / "encoder.keras"
    for writer in (0, 1):
        with whole_file(path, keep=writer == 0) as unfinished:
            unfinished.write_bytes(b"of %d" % writer)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {
        "encoder.keras": b"of 0"
    }


def test_writers_at_the_same_time_do_not_share_an_unfinished_file(tmp_path):
    path = tmp_path / "results.json"
    with whole_file(path) as first:
        first.write_bytes(b"first, longer")
        with whole_file(path) as second:
            second.write_bytes(b"second")
        assert path.read_bytes() == b"second"
        assert second != first
        assert first.suffix == path.suffix  # by which Keras and matplotlib know what to write
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {
        "results.json": b"first, longer"
    }


@pytest.mark.skipif(os.name != "posix", reason="needs links and permissions")
def test_a_link_stays_and_permissions_are_those_of_open(tmp_path):
    target, link = tmp_path / "elsewhere" / "encoder.keras", tmp_path / "encoder.keras"
    target.parent.mkdir()
    link.symlink_to(target)
    for mode in (None, 0o660):
        with whole_file(link) as unfinished:
            unfinished.write_bytes(b"new")
        assert link.is_symlink()
        assert target.read_bytes() == b"new"
        (tmp_path / "opened").touch()
        expected = stat.S_IMODE((tmp_path / "opened").stat().st_mode) if mode is None else mode
        assert stat.S_IMODE(target.stat().st_mode) == expected
        target.chmod(0o660)  # for the second time
    assert sorted(file.name for file in tmp_path.rglob("*")) == [
        "elsewhere",
        "encoder.keras",
        "encoder.keras",
        "opened",
    ]


@pytest.mark.skipif(os.name != "posix", reason="elsewhere processes cannot be asked for")
def test_what_dead_writers_have_left_goes_with_the_next_one_and_what_others_write_stays(tmp_path):
    path = tmp_path / "encoder.keras"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with whole_file(path) as mine:
        mine.touch()
        names = {
            process: mine.name.replace(f"-{os.getpid()}-", f"-{process}-")
            for process in (ended.pid, os.getppid(), os.getpid())
        }
        of_another_file = names[ended.pid].replace("encoder.keras", "b-encoder.keras")
        old = (
            names[os.getppid()]
            .replace("unfinished-", "unfinished-00000000-")
            .replace(mine.name.split("-")[1] + "-", "")
        )
        for name in (names[ended.pid], names[os.getppid()], of_another_file, old):
            (tmp_path / name).touch()
        os.utime(tmp_path / old, (0, 0))
        with whole_file(path) as other:
            other.touch()
            kept = {mine.name, other.name, names[os.getppid()], of_another_file}
            assert {file.name for file in tmp_path.iterdir()} == kept


@pytest.mark.skipif(
    not os.path.exists("/proc/sys/kernel/random/boot_id"), reason="Linux alone numbers its starts"
)
def test_machines_of_one_name_are_told_apart(tmp_path, monkeypatch):
    here = unfinished_path(tmp_path / "encoder.keras").name.split("-")[1]
    monkeypatch.setattr(pathlib.Path, "read_text", lambda path: "another start")
    assert unfinished_path(tmp_path / "encoder.keras").name.split("-")[1] != here


@pytest.mark.parametrize("name", ["x" * 249 + ".keras", "é" * 120 + ".keras"])
def test_names_may_be_as_long_as_the_file_system_lets_them_be(tmp_path, name):
    with whole_file(tmp_path / name) as unfinished:
        unfinished.write_text("whole")
        assert unfinished.suffix == ".keras"
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_directory_is_made_and_left_empty_or_refused(tmp_path):
    make_writable(tmp_path / "new" / "folder")
    assert list((tmp_path / "new" / "folder").iterdir()) == []
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(
        OSError,
        match=r"cannot be written to \(it is a link to '.*nowhere', which is not there\): '.*link'",
    ):
        make_writable(tmp_path / "link")
    (tmp_path / "file").touch()
    with pytest.raises(
        OSError, match=r"The directory cannot be written to \(it is a file\): '.*file'"
    ):
        make_writable(tmp_path / "file")

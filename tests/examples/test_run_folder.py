"""The folder of a run, without the run."""

import errno
import os
import pathlib
import threading

import keras
import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
RECORD = {"recipe": "supcon", "image_size": (32, 32), "encoder": {"depth": 10}}


@pytest.fixture
def run_folder(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import run_folder

    return run_folder


def test_a_folder_knows_its_run(run_folder, tmp_path):
    folder = tmp_path / "pretrain"
    run_folder.refuse_another_run(folder, RECORD)
    run_folder.write_record(folder, {**RECORD, "epochs": 3})
    assert run_folder.read_record(folder) == {"recipe": "supcon", "image_size": [32, 32], "encoder": {"depth": 10}, "epochs": 3}
    run_folder.refuse_another_run(folder, RECORD)
    with pytest.raises(
        ValueError, match=r"holds another run: image_size \[32, 32\] instead of \[8, 8\]; seed None instead of 1"
    ):
        run_folder.refuse_another_run(folder, {**RECORD, "image_size": (8, 8), "seed": 1})
    (folder / "run.json").write_text("{")
    with pytest.raises(ValueError, match="run.json' should be JSON as it was written"):
        run_folder.read_record(folder)


def test_a_full_disk_keeps_the_earlier_file_and_leaves_nothing_unfinished(run_folder, tmp_path):
    path = tmp_path / "encoder.keras"
    path.write_bytes(b"earlier")

    def write():
        with run_folder.whole_file(path) as unfinished:
            unfinished.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=r"could not be written \(No space left on device\): '.*encoder.keras'"):
        write()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"encoder.keras": b"earlier"}


def test_one_of_several_writers_is_kept(run_folder, tmp_path):
    path = tmp_path / "encoder.keras"
    for writer in (0, 1):
        with run_folder.whole_file(path, writer, keep=writer == 0) as unfinished:
            unfinished.write_bytes(b"of %d" % writer)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"encoder.keras": b"of 0"}


def test_a_start_is_seen_when_its_record_appears_and_no_other(run_folder, tmp_path, monkeypatch):
    run_folder.write_record(tmp_path, {"start": 1})
    later = threading.Timer(0.3, run_folder.write_record, (tmp_path, {"start": 2}))
    later.start()
    assert run_folder.is_seen(tmp_path, 2)
    later.join()
    monkeypatch.setattr(run_folder, "_SECONDS_TO_APPEAR", 0.2)
    assert not run_folder.is_seen(tmp_path, 1)
    assert not run_folder.is_seen(tmp_path / "elsewhere", 2)


def test_digests_tell_weights_apart(run_folder):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    before = run_folder.digest(model)
    assert run_folder.digest(model) == before
    model.layers[0].bias.assign([0.0, 0.0, 1e-7])
    assert run_folder.digest(model) != before

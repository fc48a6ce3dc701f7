"""Processes of training, as the system sees them. They are the same on every backend."""

import pathlib
import subprocess
import sys
import time

import pytest


@pytest.mark.slow
@pytest.mark.skipif(not pathlib.Path("/proc/self/stat").exists(), reason="lists processes by /proc")
def test_processes_end_when_their_parent_is_killed(tmp_path):
    program = f"""
import dataclasses
from keras_supcon.experiments import Images, Training, Trial, Trials
if __name__ == "__main__":
    training = Training(images=Images(dataset="digits"), epochs=10_000)
    others = [dataclasses.replace(training, learning_rate=rate) for rate in (1e-3, 2e-3)]
    Trials({str(tmp_path)!r}, processes=2).run([Trial(one, 0) for one in others])
"""
    path = tmp_path / "program.py"
    path.write_text(program)
    parent = subprocess.Popen([sys.executable, str(path)], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: len(_spawned_by(parent.pid)) == 2)
        children = _spawned_by(parent.pid)
    finally:
        parent.kill()
        parent.wait()
    wait_for(lambda: not any(_is_running(child) for child in children))


def wait_for(is_so, seconds=120):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.1)


def _spawned_by(parent):
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_text()
        except OSError:
            continue
        if int(fields[1]) == parent and "spawn_main" in command:
            found.append(int(folder.name))
    return found


def _is_running(number):
    try:
        state = pathlib.Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"

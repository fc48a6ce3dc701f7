"""Training that is killed again and again ends with the bits of training that was left alone."""

import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.callbacks.training_program import DONE, EPOCHS, PROGRESS, SUPCON
from tests.covering import representatives

ROOT = pathlib.Path(__file__).parents[2]
EPOCH_STEPS = 22  # 1,442 digits in batches of 64
STEPS = EPOCH_STEPS * EPOCHS
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not hasattr(os, "fork"), reason="needs processes that can be forked and killed"
    ),
]


class Trainings:
    """Starts training processes, one at a time."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.callbacks.training_program", "--serve"]
        self.server = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.server.stdout.readline() == "ready\n"

    def start(self, directory: pathlib.Path, method: str = SUPCON) -> int:
        directory.mkdir(exist_ok=True)
        (directory / PROGRESS).unlink(missing_ok=True)
        self.server.stdin.write(f"{directory}\t{method}\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def wait(self) -> int:
        return int(self.server.stdout.readline())

    def close(self) -> None:
        self.server.stdin.close()
        self.server.wait(timeout=60)


@pytest.fixture(scope="module")
def trainings():
    trainings = Trainings()
    yield trainings
    trainings.close()


def batches_done(directory: pathlib.Path) -> int:
    path = directory / PROGRESS
    return path.stat().st_size if path.exists() else 0


def checkpoints(directory: pathlib.Path) -> list[str]:
    return sorted(path.name for path in (directory / "checkpoints").glob("epoch-*"))


def position(name: str) -> int:
    """Counts batches since the start."""
    _, epoch, _, batch = name.removesuffix(".npz").split("-")
    return int(epoch) * EPOCH_STEPS + int(batch)


def final_state(directory: pathlib.Path) -> list[np.ndarray]:
    name = checkpoints(directory)[-1]
    assert name == f"epoch-{EPOCHS:04d}-batch-000000.npz"
    with np.load(directory / "checkpoints" / name) as file:
        return [file[key] for key in file.files if key.isdigit()]


def wait_until(condition, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.0002)


@representatives("times", [6], [12])
def test_killed_at_random_moments_it_ends_with_the_same_bits(tmp_path, trainings, times):
    alone, again, killed = tmp_path / "alone", tmp_path / "again", tmp_path / "killed"
    for directory in (alone, again):
        trainings.start(directory)
        assert trainings.wait() == 0
    expected = final_state(alone)
    assert [value.tobytes() for value in final_state(again)] == [
        value.tobytes() for value in expected
    ]

    moments = random.Random(20200423)
    kills, kills_while_writing, most = 0, 0, 0
    while kills < times:
        pid = trainings.start(killed)
        begun_at = position(checkpoints(killed)[-1]) if kills and checkpoints(killed) else 0
        # Spread over the training: no kill much after its share of the way, and all after some
        # batch.
        batches = moments.randint(1, max(2, (STEPS * (kills + 1)) // (times + 1) - begun_at))
        wait_until(lambda batches=batches: batches_done(killed) >= batches)
        if kills % 3 == 2:  # into the next checkpoint that is being written
            wait_until(lambda: list((killed / "checkpoints").glob("unfinished-*")))
        else:
            time.sleep(moments.uniform(0, 0.03))
        os.kill(pid, signal.SIGKILL)
        assert trainings.wait() == -signal.SIGKILL
        assert not (killed / DONE).exists()
        kills += 1
        kills_while_writing += bool(list((killed / "checkpoints").glob("unfinished-*")))
        reached = position(checkpoints(killed)[-1]) if checkpoints(killed) else 0
        assert reached >= begun_at
        assert batches_done(killed) >= batches
        most = max(most, reached)
        print(
            f"kill {kills}: began at batch {begun_at}, {batches_done(killed)} batches later "
            f"killed; kept {reached}"
        )
    print(f"{kills_while_writing} of {kills} kills while a checkpoint was being written")
    assert kills_while_writing >= 1
    assert STEPS // 2 < most < STEPS

    trainings.start(killed)
    assert trainings.wait() == 0
    assert (killed / DONE).exists()
    assert not list((killed / "checkpoints").glob("unfinished-*"))
    actual = final_state(killed)
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected, strict=True):
        assert a.tobytes() == b.tobytes()


@representatives("method", ["momentum SupCon"], ["BYOL", "NNCLR, supervised"])
def test_what_a_method_remembers_survives_a_kill(tmp_path, trainings, method):
    """Queue, class ids and pointer, second network, momentum, fingerprints of the pixels."""
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    trainings.start(alone, method)
    assert trainings.wait() == 0
    pid = trainings.start(killed, method)
    wait_until(lambda: checkpoints(killed) and position(checkpoints(killed)[-1]) > STEPS // 3)
    os.kill(pid, signal.SIGKILL)
    assert trainings.wait() == -signal.SIGKILL
    assert not (killed / DONE).exists()
    trainings.start(killed, method)
    assert trainings.wait() == 0
    expected, actual = final_state(alone), final_state(killed)
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected, strict=True):
        assert a.tobytes() == b.tobytes()

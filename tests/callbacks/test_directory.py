"""What a checkpoint's directory must be, who may write there, and what its files must hold."""

import json
import os
import pathlib
import subprocess
import sys
import threading
import zipfile

import keras
import numpy as np
import pytest

from keras_supcon import files
from keras_supcon.callbacks import Checkpoint, Position
from tests.callbacks.test_checkpoint import (
    EPOCHS,
    STEPS,
    InterruptError,
    assert_same_bits,
    batches,
    interrupt_after,
    names,
    small_model,
    state,
    trained,
)

pytestmark = pytest.mark.neutral
EPOCH = "epoch-0001-batch-000000.npz"
# Takes the lock as a training does, says so and waits for its end.
OTHER_PROCESS = """
import pathlib, runpy, sys
lock = runpy.run_path(sys.argv[1])["DirectoryLock"](pathlib.Path(sys.argv[2]))  # without Keras, which takes seconds
lock.acquire()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def one_epoch(tmp_path_factory) -> tuple[dict, dict[str, bytes]]:
    """The description and the arrays of a checkpoint."""
    directory = tmp_path_factory.mktemp("one_epoch")
    trained(directory, epochs=1, keep=1)
    with zipfile.ZipFile(directory / EPOCH) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    return json.loads(content.pop("checkpoint.json")), content


def write(
    directory: pathlib.Path, description, arrays: dict[str, bytes], name: str = EPOCH
) -> None:
    with zipfile.ZipFile(directory / name, "w") as archive:
        for entry, content in {"checkpoint.json": json.dumps(description), **arrays}.items():
            archive.writestr(entry, content)


def without(key: str):
    return lambda description: description.pop(key), f"it has no '{key}'"


# From what is wrong to what makes it so, and what is said of it.
WRONG = {
    "no object": (lambda d: [1, 2], "it should be described by a JSON object, not [1, 2]"),
    **{
        f"no {key}": without(key)
        for key in ("format", "optimizer", "variables", "position", "steps_per_epoch")
    },
    "negative": (lambda d: d.update(position=[-1, 0]), "it has [-1, 0] as 'position'"),
    "half": (lambda d: d.update(position=[1, 0.5]), "it has [1, 0.5] as 'position'"),
    "three": (lambda d: d.update(position=[1, 0, 0]), "it has [1, 0, 0] as 'position'"),
    "beyond": (lambda d: d.update(position=[1, 7]), "it is 7 batches into an epoch of 6"),
    "no steps": (lambda d: d.update(steps_per_epoch=0), "it has 0 as 'steps_per_epoch'"),
    "no list": (lambda d: d.update(variables={"0": 1}), "it has {'0': 1} as 'variables'"),
    "numbers": (lambda d: d.update(variables=[1]), "it has [1] as 'variables'"),
    "no path": (lambda d: d["variables"][1].pop("path"), "its variable 1 has no 'path'"),
    "no shape": (
        lambda d: d["variables"][0].update(shape="ab"),
        "its variable 0 has 'ab' as 'shape'",
    ),
    "owner": (lambda d: d["variables"][0].update(of=None), "its variable 0 has None as 'of'"),
    "dtype": (
        lambda d: d["variables"][0].update(dtype="int32"),
        "has dtype float32 instead of int32",
    ),
    "unknown dtype": (lambda d: d["variables"][0].update(dtype="float31"), "float31"),
    "entry": (lambda d: d["variables"][0].update(entry="99999"), "no item named '99999.npy'"),
    "notes": (lambda d: d.update(notes=[1]), "it has [1] as 'notes'"),
}
OF_ARRAYS = ("dtype", "unknown dtype", "entry")


def test_a_file_that_holds_no_checkpoint_is_refused_and_nothing_restored(tmp_path, one_epoch):
    model = small_model(seed=2)
    model.optimizer.build(model.trainable_variables)
    before = state(model)
    for name, (spoil, message) in WRONG.items():
        description = json.loads(json.dumps(one_epoch[0]))
        changed = spoil(description)
        write(tmp_path, changed if name == "no object" else description, one_epoch[1])
        reads = [lambda: Checkpoint(tmp_path).restore(model)]
        reads += [] if name in OF_ARRAYS else [Checkpoint(tmp_path).read_notes]
        for read in reads:
            with pytest.raises(RuntimeError) as caught:
                read()
            assert message in str(caught.value), name
            assert "is damaged or not whole" in str(caught.value)
            assert "delete all to begin again" in str(caught.value)
        assert_same_bits(state(model), before)
    write(tmp_path, one_epoch[0], one_epoch[1], "epoch-0000-batch-000001.npz")
    with pytest.raises(RuntimeError, match="Delete it to go on from 'epoch-0000-batch-000001.npz'"):
        Checkpoint(tmp_path).restore(model)
    (tmp_path / EPOCH).unlink()
    assert Checkpoint(tmp_path).restore(model) == Position(1, 0)


def test_a_file_of_another_version_is_no_damage_and_one_without_notes_goes_on(tmp_path, one_epoch):
    description, arrays = one_epoch
    write(tmp_path, {**description, "format": 2, "variables": "elsewhere"}, arrays)
    with pytest.raises(ValueError, match="is of format 2; this version of keras_supcon reads 1"):
        Checkpoint(tmp_path).restore(small_model())
    write(tmp_path, {key: value for key, value in description.items() if key != "notes"}, arrays)
    checkpoint = Checkpoint(tmp_path)
    assert checkpoint.restore(small_model()) == Position(1, 0)
    assert checkpoint.notes == {}


def test_notes_come_back_with_the_position_that_they_were_of(tmp_path):
    class Count(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            checkpoint.notes["batches"] = checkpoint.notes.get("batches", 0) + 1
            checkpoint.notes["loss"] = np.float32(logs["loss"])

    for cut in (4, STEPS, None):
        checkpoint = Checkpoint(tmp_path, save_freq=3)
        callbacks = [Count()] if cut is None else [Count(), interrupt_after(cut)]
        try:
            checkpoint.fit(small_model(), batches, EPOCHS, STEPS, verbose=0, callbacks=callbacks)
        except InterruptError:
            assert cut is not None
    assert checkpoint.notes["batches"] == EPOCHS * STEPS
    notes = Checkpoint(tmp_path).read_notes()
    assert notes == {
        "batches": EPOCHS * STEPS,
        "loss": pytest.approx(float(checkpoint.notes["loss"])),
    }
    checkpoint = Checkpoint(tmp_path)
    checkpoint.restore(small_model())
    assert checkpoint.notes == notes
    checkpoint = Checkpoint(tmp_path / "new")
    checkpoint.notes["model"] = small_model()
    with pytest.raises(
        ValueError, match="`checkpoint.notes` should be what JSON holds: <Sequential"
    ):
        checkpoint.fit(small_model(), batches, EPOCHS, STEPS, verbose=0)


def test_a_second_training_is_refused_until_the_first_has_ended_or_was_killed(tmp_path):
    command = [sys.executable, "-c", OTHER_PROCESS, files.__file__, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "ready\n"
        message = rf"is in use: another process \(process {other.pid} on .*\) trains in this folder"
        with pytest.raises(RuntimeError, match=message):
            trained(tmp_path, epochs=1)
        with pytest.raises(RuntimeError, match=message):
            small_model().fit(
                batches(), callbacks=[Checkpoint(tmp_path)], steps_per_epoch=STEPS, verbose=0
            )
        assert names(tmp_path) == ["in-use.lock"]
        other.kill()
    assert names(tmp_path) == ["in-use.lock"]  # which nobody holds
    trained(tmp_path, epochs=1, keep=1)
    assert names(tmp_path) == [EPOCH]


def loses_its_lock(directory: pathlib.Path) -> None:
    """Lets the system drop the lock, as when the directory is copied."""
    with (directory / "in-use.lock").open():
        pass


@pytest.mark.skipif(os.name != "posix", reason="has no locks")
def test_a_lock_that_was_lost_is_taken_again_unless_another_process_has_it(tmp_path):
    command = [sys.executable, "-c", OTHER_PROCESS, files.__file__, str(tmp_path)]
    with files.DirectoryLock(tmp_path) as lock:
        for lose in (loses_its_lock, lambda directory: (directory / "in-use.lock").unlink()):
            lose(tmp_path)
            lock.renew()
            refused = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True
            )
            assert f"is in use: another process (process {os.getpid()} on" in refused.stderr
    assert names(tmp_path) == []
    lock.acquire()
    loses_its_lock(tmp_path)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "ready\n"
        for take in (lock.renew, lock.acquire, files.DirectoryLock(tmp_path).acquire):
            with pytest.raises(
                files.InUseError,
                match=rf"another process \(process {other.pid} on .*\) trains in this folder",
            ):
                take()
        with pytest.raises(files.InUseError), files.whole_file(tmp_path / "results.json"):
            pass
        lock.release()
        assert names(tmp_path) == ["in-use.lock"]  # that of the other
        other.kill()


@pytest.mark.skipif(os.name != "posix", reason="has no locks")
def test_a_training_that_lost_its_lock_does_not_write_into_that_of_another(tmp_path):
    command = [sys.executable, "-c", OTHER_PROCESS, files.__file__, str(tmp_path)]
    others = []

    def let_in(batch, logs):
        if batch == 1:
            loses_its_lock(tmp_path)
            others.append(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            assert others[0].stdout.readline() == "ready\n"

    with pytest.raises(RuntimeError, match="is in use: another process"):
        trained(
            tmp_path,
            epochs=1,
            callbacks=[keras.callbacks.LambdaCallback(on_train_batch_begin=let_in)],
            save_freq=1,
        )
    (other,) = others
    with other:
        assert names(tmp_path) == ["epoch-0000-batch-000001.npz", "in-use.lock"]
        other.kill()

    def gets_further(epoch, logs):  # and has ended by now
        (tmp_path / "epoch-0009-batch-000000.npz").touch()

    with pytest.raises(
        RuntimeError,
        match=r"another training, whose newest checkpoint is of Position\(epoch=9, batch=0\)",
    ):
        trained(
            tmp_path,
            epochs=1,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=gets_further)],
            save_freq="epoch",
        )
    assert names(tmp_path) == ["epoch-0000-batch-000001.npz", "epoch-0009-batch-000000.npz"]


def test_within_a_process_the_training_that_runs_keeps_the_directory(tmp_path):
    refused = []

    def from_another_thread(epoch, logs):
        def run():
            with pytest.raises(
                RuntimeError, match="another thread of this process trains in this folder"
            ):
                Checkpoint(tmp_path)._directory_lock.acquire()
            refused.append(epoch)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()

    trained(
        tmp_path,
        epochs=1,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=from_another_thread)],
    )
    assert refused == [0]
    # One that an exception ended does not know it: it loses the directory to the next of its
    # thread.
    ended, model = Checkpoint(tmp_path, 1), small_model()
    ended.restore(model)
    arguments = {
        "initial_epoch": 1,
        "epochs": 2,
        "steps_per_epoch": STEPS,
        "verbose": 0,
        "shuffle": False,
    }
    with pytest.raises(InterruptError):
        model.fit(batches((1, 0)), callbacks=[ended, interrupt_after(2)], **arguments)
    assert ended._directory_lock.is_held
    trained(tmp_path, epochs=2)
    with pytest.raises(
        RuntimeError, match="a later training of this thread has taken it over. Nothing was written"
    ):
        ended._write(Position(1, 3))


def test_a_directory_that_changed_since_restore_is_not_written_to(tmp_path):
    checkpoint, model = Checkpoint(tmp_path), small_model()
    assert checkpoint.restore(model) == Position(0, 0)
    trained(tmp_path, epochs=1, keep=1)
    with pytest.raises(
        RuntimeError,
        match="changed by another training .* is 'epoch-0001-.*' instead of None. Restore again",
    ):
        checkpoint.fit(model, batches, EPOCHS, STEPS, verbose=0)
    assert names(tmp_path) == [EPOCH]
    checkpoint.restore(model)
    checkpoint.fit(model, batches, EPOCHS, STEPS, verbose=0)


def test_a_directory_that_cannot_be_written_to_is_refused_before_training(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(
        ValueError,
        match="`directory` should be a directory, not a file. Received: directory='.*file'",
    ):
        Checkpoint(file)
    begun = []
    callback = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: begun.append(batch)
    )
    with pytest.raises(
        OSError, match=r"The directory cannot be written to \(Not a directory\): '.*below'"
    ):
        trained(file / "below", callbacks=[callback])
    trained(tmp_path / "finished", epochs=1)

    def refuse(**options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)  # as for any user but root
    with pytest.raises(
        OSError, match=r"The directory cannot be written to \(Permission denied\): '.*finished'"
    ):
        trained(tmp_path / "finished", callbacks=[callback])
    assert begun == []
    trained(tmp_path / "finished", epochs=1)  # nothing is left to do

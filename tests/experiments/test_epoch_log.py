"""The curves of a training that was stopped are those of one that was not."""

import csv
import pathlib

import keras
import pytest

from keras_supcon.callbacks import Checkpoint, Position
from keras_supcon.experiments import EpochLog
from tests.callbacks.test_checkpoint import (
    EPOCHS,
    STEPS,
    InterruptError,
    batches,
    interrupt_after,
    small_model,
)


def train(folder: pathlib.Path, *callbacks, save_freq=1, **arguments) -> EpochLog:
    """Trains from the newest checkpoint on, with learning rate 0: the loss is that of the data."""
    folder.mkdir(exist_ok=True)
    model, checkpoint = small_model(), Checkpoint(folder / "checkpoints", save_freq)
    log = EpochLog(folder / "epochs.csv", checkpoint, checkpoint.restore(model), STEPS)
    log.write()
    checkpoint.fit(
        model, batches, EPOCHS, STEPS, verbose=0, callbacks=[*callbacks, log], **arguments
    )
    return log


def rows(folder: pathlib.Path) -> list[dict[str, float]]:
    with (folder / "epochs.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def test_one_row_for_each_epoch_over_all_of_its_batches(tmp_path):
    log = train(tmp_path / "whole")
    expected = rows(tmp_path / "whole")
    assert [(row["epoch"], row["batches"]) for row in expected] == [
        (epoch, STEPS) for epoch in range(EPOCHS)
    ]
    assert list(expected[0]) == ["epoch", "batches", "loss", "mae"]
    assert log.loss == expected[-1]["loss"]
    cut = tmp_path / "cut"
    for steps in (3, 2, STEPS + 1, 2):  # twice in the first epoch
        with pytest.raises(InterruptError):
            train(cut, interrupt_after(steps))
    (cut / "epochs.csv").write_text("epoch,lo")  # is not needed to go on
    assert train(cut).loss == pytest.approx(log.loss, rel=1e-5)
    assert rows(cut) == [pytest.approx(row, rel=1e-5) for row in expected]
    (cut / "epochs.csv").unlink()
    train(cut)  # nothing is left to do
    assert rows(cut) == [pytest.approx(row, rel=1e-5) for row in expected]


def test_epochs_that_are_done_again_have_one_row(tmp_path):
    for steps in (STEPS + 2, STEPS + 4):
        with pytest.raises(InterruptError):
            train(tmp_path, interrupt_after(steps), save_freq="epoch")
    train(tmp_path, save_freq="epoch")
    assert [row["epoch"] for row in rows(tmp_path)] == list(range(EPOCHS))


def test_what_is_not_known_of_an_epoch_is_said_and_an_older_file_kept(tmp_path):
    with pytest.raises(InterruptError):
        train(tmp_path, interrupt_after(STEPS + 3))
    checkpoint = Checkpoint(tmp_path / "checkpoints", 1)
    for name, loss in (("epochs", 1.5), ("epochs-earlier", 2.5)):
        (tmp_path / f"{name}.csv").write_text(f"epoch,loss\n0,{loss}\n")
    model = small_model()
    assert checkpoint.restore(model) == Position(1, 2)
    checkpoint.notes.clear()  # as of a version that had none
    with pytest.raises(InterruptError):
        checkpoint.fit(model, batches, EPOCHS, STEPS, verbose=0, callbacks=[interrupt_after(2)])
    checkpoint = Checkpoint(tmp_path / "checkpoints", 1)
    log = EpochLog(
        tmp_path / "epochs.csv", checkpoint, checkpoint.restore(small_model()), STEPS
    )  # on another worker
    assert "1.5" in (tmp_path / "epochs.csv").read_text()
    log.write()  # on the first worker, which ends before its first checkpoint
    train(tmp_path)
    assert [(row["epoch"], row["batches"]) for row in rows(tmp_path)] == [
        (1, STEPS - 3),
        (2, STEPS),
    ]
    assert (tmp_path / "epochs-earlier.csv").read_text() == "epoch,loss\n0,2.5\n"
    assert (tmp_path / "epochs-earlier-2.csv").read_text() == "epoch,loss\n0,1.5\n"
    train(tmp_path)  # the file is of this version by now
    assert len(list(tmp_path.glob("epochs*.csv"))) == 3


def test_validation_is_of_the_end_of_an_epoch_and_missing_where_it_was_cut_short(tmp_path):
    validation = {"validation_data": batches(), "validation_steps": STEPS}
    with pytest.raises(InterruptError):
        train(tmp_path, interrupt_after(3), **validation)
    cut = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: epoch == 1 and logs.pop("val_loss")
    )
    schedule = keras.callbacks.LearningRateScheduler(
        lambda epoch: 0.0
    )  # it, too, adds a figure at the end
    log = train(tmp_path, cut, schedule, **validation)
    with (tmp_path / "epochs.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["batches"] for row in written] == [str(STEPS)] * EPOCHS
    assert [bool(row["val_loss"]) for row in written] == [True, False, True]
    assert all(row["val_mae"] and row["learning_rate"] for row in written)
    assert "val_loss" not in log.checkpoint.notes["epochs"][1]


@pytest.mark.parametrize(
    "notes",
    [{"epochs": 1, "begun": "x"}, {"epochs": [{"epoch": "0"}, 2], "begun": [{"batches": 2}, 3]}],
)
def test_notes_of_another_program_are_passed_over(tmp_path, notes):
    with pytest.raises(InterruptError):
        train(tmp_path, interrupt_after(2))
    model, checkpoint = small_model(), Checkpoint(tmp_path / "checkpoints", 1)
    checkpoint.restore(model)
    checkpoint.notes.clear()
    checkpoint.notes.update(notes)
    with pytest.raises(InterruptError):
        checkpoint.fit(model, batches, EPOCHS, STEPS, verbose=0, callbacks=[interrupt_after(STEPS)])
    train(tmp_path)
    assert [(row["epoch"], row["batches"]) for row in rows(tmp_path)] == [(1, STEPS), (2, STEPS)]

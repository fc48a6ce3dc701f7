"""The curves of a training that may be killed and started again."""

import csv
import itertools
import os
import pathlib
from typing import Any

import keras
import numpy as np

from keras_supcon.arguments import is_whole
from keras_supcon.callbacks import Checkpoint, Position
from keras_supcon.files import whole_file


class EpochLog(keras.callbacks.Callback):
    """Writes a CSV file with a row for each epoch, whole each time, from what the checkpoints hold.

    The file is never read to go on: it may be damaged or missing. An epoch that was stopped and
    gone on with has one row, with the means over all of its batches. The column `batches` says over
    how many: fewer than an epoch has if the checkpoint of its beginning held no notes. Figures that
    come with the end of the epoch alone, such as those of validation, are those of its end; they
    are missing where validation was cut short by a signal.

    Nothing is written before `write`, since all workers make one and the first alone writes. In
    training the file follows the checkpoint of the epoch, which refuses to go on if another
    training has the folder.

    Args:
        path: The file. A file with rows that was written by a version without notes is kept as
            `epochs-earlier.csv`, or `epochs-earlier-2.csv` if there is one.
        checkpoint: What trains, after `restore`; its notes hold the rows.
        start: Where training goes on.
        steps_per_epoch: Batches in a whole epoch.
    """

    def __init__(
        self, path: pathlib.Path, checkpoint: Checkpoint, start: Position, steps_per_epoch: int
    ) -> None:
        super().__init__()
        self.path, self.checkpoint, self.start, self.steps_per_epoch = (
            path,
            checkpoint,
            start,
            steps_per_epoch,
        )
        notes = checkpoint.notes
        self._keeps_earlier_file = (
            "epochs" not in notes and start.epoch > 0
        )  # of a version that had no notes
        rows, parts = notes.get("epochs", []), notes.pop("begun", []) if start.batch else []
        notes["epochs"] = [
            row for row in _dictionaries(rows) if {"epoch", "batches", "loss"} <= set(row)
        ]
        notes["epochs"] = [row for row in notes["epochs"] if row["epoch"] in range(start.epoch)]
        self.parts = [part for part in _dictionaries(parts) if _is_part(part)]

    @property
    def loss(self) -> float | None:
        """The loss of the last epoch, of this or an earlier run; None if it was of a version that
        noted none.
        """
        rows = self.checkpoint.notes["epochs"]
        return rows[-1]["loss"] if rows else None

    def write(self) -> None:
        if (
            self._keeps_earlier_file
            and self.path.exists()
            and len(self.path.read_bytes().splitlines()) > 1
        ):
            self.path.rename(self._free_name())
        self._keeps_earlier_file = False
        rows = self.checkpoint.notes["epochs"]
        columns = [
            "epoch",
            "batches",
            *sorted({name for row in rows for name in row} - {"epoch", "batches"}),
        ]
        with whole_file(self.path) as unfinished, unfinished.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)

    def _free_name(self) -> pathlib.Path:
        endings = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
        paths = (
            self.path.with_name(f"{self.path.stem}-earlier{ending}{self.path.suffix}")
            for ending in endings
        )
        return next(path for path in paths if not os.path.lexists(path))

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.write()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.write()  # the epoch before, whose checkpoint is there by now
        if epoch != self.start.epoch:
            self.parts = []
        self.batches_before = self.start.batch if epoch == self.start.epoch else 0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        # Turned into numbers when a checkpoint is written: to do so waits for the device.
        self.checkpoint.notes["begun"] = [
            *self.parts,
            {"batches": batch + 1, "logs": dict(logs or {})},
        ]

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        numbers = {name: _number(value) for name, value in (logs or {}).items()}
        begun = self.checkpoint.notes.pop("begun")[-1]
        of_batches = numbers.keys() & begun["logs"].keys()
        part = {
            **begun,
            "logs": {name: number for name, number in numbers.items() if name in of_batches},
        }
        parts = [*(earlier for earlier in self.parts if set(earlier["logs"]) == of_batches), part]
        if self.batches_before + part["batches"] < self.steps_per_epoch:  # stopped
            self.checkpoint.notes["begun"] = parts
            return
        batches = [part["batches"] for part in parts]
        means = {
            name: float(
                np.average([_number(part["logs"][name]) for part in parts], weights=batches)
            )
            for name in of_batches
        }
        self.checkpoint.notes["epochs"].append(
            {"epoch": epoch, "batches": sum(batches), **numbers, **means}
        )


def _dictionaries(value: Any) -> list[dict[str, Any]]:
    """Those of a list: notes may be of another program."""
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def _is_part(part: dict[str, Any]) -> bool:
    return is_whole(part.get("batches"), 1) and isinstance(part.get("logs"), dict)


def _number(value: Any) -> float:
    return float(np.mean(keras.ops.convert_to_numpy(value)))

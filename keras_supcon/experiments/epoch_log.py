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
    """Writes a CSV file with a row for each epoch, from what the checkpoints hold.

    The file is written whole each time, and is never read to resume: it may be damaged or missing.
    An epoch that was stopped and resumed has one row, with the means over all of its batches. The
    column `batches` says how many these are: fewer than an epoch has if the checkpoint of its
    beginning held no notes. Figures that exist only at the end of an epoch, such as those of
    validation, are not averaged; they are missing where a signal cut validation short.

    Nothing is written before `write`, since all workers make a log and the first one writes. In
    training the file follows the checkpoint of the epoch, which refuses to resume if another
    training has the folder.

    Args:
        path: The file. A file with rows from a version without notes is kept as
            `epochs-earlier.csv`, or `epochs-earlier-2.csv` if there is one.
        checkpoint: Checkpoint that trains, after `restore`; its notes hold the rows.
        start: Position from which training resumes.
        steps_per_epoch: Batches in a whole epoch.

    Example:

    >>> import pathlib, tempfile
    >>> import keras, numpy as np
    >>> import tensorflow as tf
    >>> from keras_supcon.callbacks import Checkpoint
    >>> from keras_supcon.experiments import EpochLog
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")
    >>> data = tf.data.Dataset.from_tensors((np.zeros((4, 2)), np.ones((4, 1)))).repeat()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "epochs.csv"
    ...     checkpoint = Checkpoint(folder)
    ...     log = EpochLog(path, checkpoint, checkpoint.restore(model), steps_per_epoch=3)
    ...     history = checkpoint.fit(model, lambda start: data, 2, 3, callbacks=[log], verbose=0)
    ...     path.read_text().splitlines()
    ['epoch,batches,loss', '0,3,1.0', '1,3,1.0']
    """

    def __init__(
        self, path: pathlib.Path, checkpoint: Checkpoint, start: Position, steps_per_epoch: int
    ) -> None:
        super().__init__()
        self.path, self.checkpoint, self.start = path, checkpoint, start
        self.steps_per_epoch = steps_per_epoch
        notes = checkpoint.notes
        # The version before wrote no notes.
        self._keeps_earlier_file = "epochs" not in notes and start.epoch > 0
        rows, parts = notes.get("epochs", []), notes.pop("begun", []) if start.batch else []
        notes["epochs"] = [
            row
            for row in _dictionaries(rows)
            if {"epoch", "batches", "loss"} <= set(row) and row["epoch"] in range(start.epoch)
        ]
        self.parts = [part for part in _dictionaries(parts) if _is_part(part)]

    @property
    def loss(self) -> float | None:
        """Loss of the last epoch, of this or an earlier run; None if a version noted none."""
        rows = self.checkpoint.notes["epochs"]
        return rows[-1]["loss"] if rows else None

    def write(self) -> None:
        """Writes the file."""
        is_there = self._keeps_earlier_file and self.path.exists()
        if is_there and len(self.path.read_bytes().splitlines()) > 1:
            self.path.rename(self._free_name())
        self._keeps_earlier_file = False
        rows = self.checkpoint.notes["epochs"]
        others = {name for row in rows for name in row} - {"epoch", "batches"}
        with whole_file(self.path) as unfinished, unfinished.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["epoch", "batches", *sorted(others)])
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
        # They become numbers when a checkpoint is written, since that waits for the device.
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
    """Returns the dictionaries of a list, which may come from another program."""
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def _is_part(part: dict[str, Any]) -> bool:
    return is_whole(part.get("batches"), 1) and isinstance(part.get("logs"), dict)


def _number(value: Any) -> float:
    return float(np.mean(keras.ops.convert_to_numpy(value)))

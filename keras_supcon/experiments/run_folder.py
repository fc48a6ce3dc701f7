"""The folder of a run: the record of what is trained there, and the models that were saved."""

import functools
import hashlib
import json
import os
import pathlib
import sys
import time
import zipfile
from collections.abc import Mapping
from typing import Any

import keras

from keras_supcon.arguments import name_some
from keras_supcon.callbacks import Checkpoint, Position
from keras_supcon.files import whole_file

ENCODER, CLASSIFIER, RESULTS = "encoder.keras", "classifier.keras", "results.json"
ENCODER_WITH_HEAD = "encoder_with_head.keras"
_RECORD = "run.json"
# Not in the records of earlier versions; a record without them is not compared in them.
_ADDED_KEYS = (
    "host_crops",
    "trust_coefficient",
    "model",
    "head",
    "prediction_head",
    "head_layers",
    "fine_tunes_encoder",
)
_MOST_NAMED = 3
# Network file systems may show the files of another machine late.
_SECONDS_TO_APPEAR = 60


def write_json(path: pathlib.Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON file whole or not at all; paths become strings."""
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=2, default=os.fspath) + "\n")


def checkpoint_of(folder: pathlib.Path, save_freq: int | str = "epoch") -> Checkpoint:
    """Returns the checkpoint of the stage that is trained in a folder."""
    return Checkpoint(folder / "checkpoints", save_freq)


def write_record(folder: pathlib.Path, record: dict[str, Any]) -> None:
    """Writes run.json of a stage."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / _RECORD, record)


def read_record(folder: pathlib.Path) -> dict[str, Any] | None:
    """Reads the record of the run in a folder.

    It is in run.json or, if that is missing or damaged, in the newest checkpoint.

    Returns:
        The record, or None if nothing was trained there.

    Raises:
        RuntimeError: If run.json is of no use and the newest checkpoint is damaged.
    """
    try:
        record = json.loads((folder / _RECORD).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        record = None
    except (ValueError, RecursionError):
        record = "damaged"
    if not _is_record(record):
        is_damaged, record = record is not None, checkpoint_of(folder).read_notes().get("record")
        record = record if _is_record(record) else None
        if is_damaged:
            source = "that of the newest checkpoint" if record else "that of this start"
            _warn_once(f"{str(folder / _RECORD)!r} is damaged; {source} takes its place.")
    return record


@functools.cache
def _warn_once(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def _is_record(record: Any) -> bool:
    return (
        isinstance(record, dict) and isinstance(record.get("epochs"), int) and record["epochs"] >= 1
    )


def check_same_run(folder: pathlib.Path, record: dict[str, Any]) -> None:
    """Checks that a folder holds no run of another record.

    Raises:
        ValueError: If it does, with the first differences.
    """
    earlier = read_record(folder)
    if earlier is None:
        return
    record = json.loads(json.dumps(record))  # tuples are lists there
    others = [
        f"{name} {earlier.get(name)!r} instead of {value!r}"
        for name, value in record.items()
        if earlier.get(name, value if name in _ADDED_KEYS else None) != value
    ]
    if others:
        raise ValueError(
            f"{str(folder)!r} holds another run: {name_some(others, _MOST_NAMED, '; ')}. Give "
            "another `output_dir`, or delete that folder"
        )


def check_run_folder(
    output_dir: pathlib.Path, mode: str, epochs: dict[str, int], records: dict[str, dict[str, Any]]
) -> None:
    """Checks that a run continues what its folder holds.

    Args:
        output_dir: Folder of all stages.
        mode: What is trained.
        epochs: Epochs of each stage of this run, by the name of the stage, in order.
        records: Records of the same stages.

    Raises:
        ValueError: If it does not.
    """
    for name, record in records.items():
        check_same_run(output_dir / name, record)
        done = newest_position(output_dir / name)
        if done > (epochs[name], 0):
            raise ValueError(
                f"{str(output_dir / name)!r} has {done.epoch} epochs. Received: {epochs[name]} "
                "epochs"
            )
    first = next(iter(epochs))
    is_ours = (
        first == "linear"
        or read_record(output_dir / first) is not None
        or newest_position(output_dir / first) > (0, 0)
    )
    if (output_dir / ENCODER).exists() and not is_ours:
        raise ValueError(
            f"{str(output_dir)!r} holds the encoder of another run, which mode={mode!r} would "
            "replace. Give another `output_dir`, or delete that folder"
        )
    trained = read_record(output_dir / first)
    if len(epochs) > 1 and trained and read_record(output_dir / "linear"):
        before, now = trained["epochs"], epochs[first]
        if before != now:
            raise ValueError(
                f"{str(output_dir / 'linear')!r} holds the classifier of an encoder that was "
                f"trained for {before} epochs. Give another `output_dir`, or delete that folder. "
                f"Received: epochs={now}"
            )


def newest_position(folder: pathlib.Path) -> Position:
    """Returns the position of the newest checkpoint of a stage."""
    return checkpoint_of(folder).newest() or Position()


def next_position(output_dir: pathlib.Path, epochs: dict[str, int]) -> str:
    """Says which stage is the first that is not done, and how far it is."""
    for name, number in epochs.items():
        position = newest_position(output_dir / name)
        if position.epoch < number:
            return f"in {name}, {describe_position(position)}"
    return "after the last epoch"


def describe_position(position: Position) -> str:
    """Says from where training resumes, counting from 1."""
    if not any(position):
        return "from the start"
    return f"from epoch {position.epoch + 1}, batch {position.batch + 1}"


def wait_for_record(folder: pathlib.Path, start: int) -> bool:
    """Waits for the record of a start that another process writes.

    Returns:
        Whether it appeared in this folder in time.
    """
    end = time.monotonic() + _SECONDS_TO_APPEAR
    while (read_record(folder) or {}).get("start") != start:
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def weights_digest(model: keras.Model) -> str:
    """Returns a digest that is equal for two models if their weights are."""
    hashed = hashlib.sha256()
    for weight in model.weights:
        hashed.update(keras.ops.convert_to_numpy(weight).tobytes())
    return hashed.hexdigest()


def load_encoder(path: pathlib.Path, mode: str) -> keras.Model:
    """Loads the encoder that a mode has written.

    Raises:
        RuntimeError: If it is damaged.
    """
    again = (
        f"mode={mode!r} with the same settings writes it again, from its checkpoints if they are "
        "there"
    )
    if not zipfile.is_zipfile(path):  # Keras would say that it was not found
        raise RuntimeError(f"{str(path)!r} is damaged or not whole. {again}")
    try:
        return keras.saving.load_model(path)
    except (zipfile.BadZipFile, OSError, KeyError, EOFError) as error:
        raise RuntimeError(f"{str(path)!r} is damaged or not whole ({error}). {again}") from error

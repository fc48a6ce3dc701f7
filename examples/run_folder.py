"""The folder of a run: which run it is of, and models that were saved there."""

import functools
import hashlib
import json
import pathlib
import sys
import time
import zipfile
from typing import Any

import keras

from keras_supcon.callbacks import Checkpoint, Position
from keras_supcon.files import whole_file

ENCODER = "encoder.keras"
_RECORD = "run.json"
_MOST_NAMED = 3
# Network file systems may show the files of another machine late.
_SECONDS_TO_APPEAR = 60


def write_json(path: pathlib.Path, content: dict[str, Any]) -> None:
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=2) + "\n")


def checkpoint_of(folder: pathlib.Path, save_freq: int | str = "epoch") -> Checkpoint:
    return Checkpoint(folder / "checkpoints", save_freq)


def write_record(folder: pathlib.Path, record: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / _RECORD, record)


def read_record(folder: pathlib.Path) -> dict[str, Any] | None:
    """What was written of the run in a folder: in run.json or, if that is missing or damaged, in
    its newest checkpoint.

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
            _say_once(f"{str(folder / _RECORD)!r} is damaged; {source} takes its place.")
    return record


@functools.cache
def _say_once(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def _is_record(record: Any) -> bool:
    return (
        isinstance(record, dict) and isinstance(record.get("epochs"), int) and record["epochs"] >= 1
    )


def refuse_another_run(folder: pathlib.Path, record: dict[str, Any]) -> None:
    """Raises `ValueError`, with the first differences, if a folder holds the run of another record."""
    earlier = read_record(folder)
    if earlier is None:
        return
    record = json.loads(json.dumps(record))  # tuples are lists there
    others = [
        f"{name} {earlier.get(name)!r} instead of {value!r}"
        for name, value in record.items()
        if earlier.get(name) != value
    ]
    if others:
        more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
        raise ValueError(
            f"{str(folder)!r} holds another run: {'; '.join(others[:_MOST_NAMED])}{more}. Give "
            "another --model_dir, or delete "
            "that folder"
        )


def check_folder(
    model_dir: pathlib.Path, mode: str, epochs: dict[str, int], records: dict[str, dict[str, Any]]
) -> None:
    """Raises `ValueError` if a folder holds what a run is not the continuation of.

    Args:
        model_dir: The folder of all stages.
        mode: What is trained, as --mode says it.
        epochs: From the stages of this run, the first one first, to their epochs.
        records: Likewise to their records.
    """
    for name, record in records.items():
        refuse_another_run(model_dir / name, record)
        done = newest(model_dir / name)
        if done > (epochs[name], 0):
            raise ValueError(
                f"{str(model_dir / name)!r} has {done.epoch} epochs. Received: {epochs[name]} "
                "epochs"
            )
    first = next(iter(epochs))
    is_ours = (
        first == "linear"
        or read_record(model_dir / first) is not None
        or newest(model_dir / first) > (0, 0)
    )
    if (model_dir / ENCODER).exists() and not is_ours:
        raise ValueError(
            f"{str(model_dir)!r} holds the encoder of another run, which --mode={mode} would "
            "replace. Give another "
            "--model_dir, or delete that folder"
        )
    pretraining = read_record(model_dir / "pretrain")
    if len(epochs) > 1 and pretraining and read_record(model_dir / "linear"):
        before, now = pretraining["epochs"], epochs["pretrain"]
        if before != now:
            raise ValueError(
                f"{str(model_dir / 'linear')!r} holds the classifier of an encoder that was "
                f"trained for {before} "
                f"epochs. Give another --model_dir, or delete that folder. Received: --epochs={now}"
            )


def newest(folder: pathlib.Path) -> Position:
    return checkpoint_of(folder).newest() or Position()


def next_position(model_dir: pathlib.Path, epochs: dict[str, int]) -> str:
    """The first stage that is not done, and how far it is."""
    for name, number in epochs.items():
        position = newest(model_dir / name)
        if position.epoch < number:
            return f"in {name}, {where(position)}"
    return "after the last epoch"


def where(position: Position) -> str:
    return (
        f"from epoch {position.epoch + 1}, batch {position.batch + 1}"
        if any(position)
        else "from the start"
    )


def is_seen(folder: pathlib.Path, start: int) -> bool:
    """Whether the record of a start, which another process has written, is in this folder, now or
    soon.
    """
    end = time.monotonic() + _SECONDS_TO_APPEAR
    while (read_record(folder) or {}).get("start") != start:
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def digest(model: keras.Model) -> str:
    """Tells whether two models have the same weights."""
    hashed = hashlib.sha256()
    for weight in model.weights:
        hashed.update(keras.ops.convert_to_numpy(weight).tobytes())
    return hashed.hexdigest()


def load_encoder(path: pathlib.Path) -> keras.Model:
    """Loads encoder.keras.

    Raises:
        RuntimeError: If it is damaged.
    """
    again = "--mode=pretrain with the same flags writes it again, from its checkpoints if they are there"
    if not zipfile.is_zipfile(path):  # of which Keras says that it was not found
        raise RuntimeError(f"{str(path)!r} is damaged or not whole. {again}")
    try:
        return keras.saving.load_model(path)
    except (zipfile.BadZipFile, OSError, KeyError, EOFError) as error:
        raise RuntimeError(f"{str(path)!r} is damaged or not whole ({error}). {again}") from error

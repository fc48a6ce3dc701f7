"""Training that resumes, bit for bit, where it was killed."""

import itertools
import json
import os
import pathlib
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_supcon._keras_internals import BuildsForBatches, strategy_of
from keras_supcon.arguments import check_whole_number, is_whole
from keras_supcon.callbacks.checkpoint_file import (
    plain_number,
    read_checkpoint,
    read_notes,
    remove_unfinished,
    write_checkpoint,
)
from keras_supcon.callbacks.epoch_reader import EpochReader, ReplayedStart
from keras_supcon.callbacks.training_state import (
    check_same,
    describe,
    describe_variable,
    training_state,
)
from keras_supcon.distribution import worker
from keras_supcon.files import DirectoryLock, InUseError
from keras_supcon.models import EncoderModel
from keras_supcon.models.class_weights import check_class_weight, weigh_classes
from keras_supcon.seeds import random_states, set_random_states
from keras_supcon.typing import Dataset

_NAME = re.compile(r"epoch-(\d+)-batch-(\d+)\.npz")


class Position(NamedTuple):
    """Progress of training.

    Args:
        epoch: Number of epochs that are done, which is the index of the present one.
        batch: Number of batches that are done in the present epoch.
    """

    epoch: int = 0
    batch: int = 0


class Checkpoint(keras.callbacks.Callback):
    """Saves the whole state of training, so that it can be killed at any moment and resume.

    A checkpoint holds the weights, the states of the seed generators (dropout, augmentation in the
    model; `save_weights` and `keras.callbacks.BackupAndRestore` leave them out), the optimizer with
    its learning rate, moments, averages and loss scale, torch's own random generators, and the
    position in the data. With data that can begin at a position, such as
    `keras_supcon.data.load_epochs`, training on one replica ends with the weights of an
    uninterrupted run. They agree bit for bit where the computation itself is deterministic.

    Each checkpoint is one file, `epoch-0003-batch-000120.npz`, that appears whole or not at all.
    Older ones are removed once it is safe on the disk. `fit` of this class is the way to train: it
    restores, finishes the epoch that was begun and continues. To call `model.fit` instead,
    `restore` first, and pass the position on:

    ```python
    checkpoint = Checkpoint(directory)  # at ends of epochs, so that all epochs have equal length
    position = checkpoint.restore(model)
    train = keras_supcon.data.load_epochs(..., epochs=100, start=position)
    model.fit(
        train,
        initial_epoch=position.epoch,
        epochs=100,
        steps_per_epoch=train.steps_per_epoch,
        callbacks=[checkpoint],
    )
    ```

    Other state of a program, such as the curves so far, goes into the dictionary
    `checkpoint.notes`. It takes everything that JSON holds, and numbers of NumPy and of the
    backend. It is written with each checkpoint and read by `restore`.

    With several processes (`tf.distribute`, JAX, `torch.distributed`) the first one writes, and all
    read the same directory. During training the callback holds a lock on the directory, the file
    `in-use.lock`, so that a second training there is refused. The lock ends with the process. If it
    is lost before, as when the process copies the directory, the next checkpoint takes it again,
    unless another training has begun there or has got further; then nothing is written. On Windows
    there is no lock.

    Not saved: metrics (after a restart within an epoch they cover only its remaining batches); the
    state of other callbacks; random numbers from outside the model's seed generators; and
    per-replica state (of moving averages of batch normalization that is not synchronized, those of
    the first replica are saved).

    Args:
        directory: Directory of the files, created if missing. It should be on a mounted file
            system, and used by one training run only.
        save_freq: `"epoch"` saves at the end of each epoch; a whole number also after so many
            batches within an epoch.
        keep: Number of checkpoints to keep, at least 1.

    Raises:
        ValueError: If an argument is out of its range. When training begins, if the directory holds
            checkpoints but `restore` was not called, if `fit` begins elsewhere than they end, or if
            JSON cannot hold the notes.
        RuntimeError: If another process or thread trains with this directory, or has written to it
            since `restore`: when training begins, or before a checkpoint is written.
        OSError: When training begins, if the directory cannot be written to; during training, if
            the disk is full. Earlier checkpoints are left unchanged.

    Example:

    >>> import tempfile
    >>> import keras, keras_supcon
    >>> from keras_supcon import data
    >>> from keras_supcon.callbacks import Checkpoint
    >>> def training(directory, epochs):
    ...     encoder = keras.Sequential(
    ...         [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(16)]
    ...     )
    ...     head = keras_supcon.ProjectionHead(output_dim=8, hidden_units=(16,))
    ...     model = keras_supcon.ContrastiveModel(encoder, head)
    ...     model.build((None, 8, 8, 1))
    ...     model.compile(optimizer="adam", loss=keras_supcon.SupConLoss())
    ...     batches = lambda start: data.load_epochs(
    ...         "digits", "train", batch_size=256, epochs=epochs, start=start
    ...     )
    ...     checkpoint = Checkpoint(directory, save_freq=2)
    ...     return checkpoint.fit(model, batches, epochs=epochs, verbose=0).epoch
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     training(directory, epochs=1), training(directory, epochs=3)  # the second resumes
    ([0], [1, 2])
    """

    def __init__(
        self, directory: str | os.PathLike[str], save_freq: str | int = "epoch", keep: int = 2
    ) -> None:
        super().__init__()
        if (
            not isinstance(directory, (str, os.PathLike))
            or not str(directory)
            or "://" in str(directory)
        ):
            raise ValueError(
                "`directory` should be a path of a mounted file system. Received: "
                f"directory={directory!r}"
            )
        if save_freq != "epoch" and not is_whole(save_freq, 1):
            raise ValueError(
                "`save_freq` should be 'epoch' or a whole number of batches, at least 1. Received: "
                f"save_freq={save_freq!r}"
            )
        self.directory = pathlib.Path(directory)
        if self.directory.exists() and not self.directory.is_dir():
            raise ValueError(
                "`directory` should be a directory, not a file. Received: "
                f"directory={str(directory)!r}"
            )
        self.save_freq = save_freq
        self.keep = check_whole_number("keep", keep, at_least=1)
        self.notes: dict[str, Any] = {}
        self._directory_lock = DirectoryLock(self.directory)
        self._newest_known = None  # the newest file when this object last read or wrote one
        self._model_at = None  # the model whose state is that of `_position`
        self._position = None  # None: nothing is done, and training may begin anywhere
        self._is_restored = False  # that model is unchanged since `restore`
        self._epoch_steps = None  # batches in a whole epoch, where known
        self._runs_own_fit = False
        self._random_states = []  # to be set again when training begins

    def newest(self) -> Position | None:
        """Returns the position at which training would resume, by the names of the files alone.

        Returns:
            The position, or None without a checkpoint.

        Example:

        >>> import tempfile
        >>> from keras_supcon.callbacks import Checkpoint
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     print(Checkpoint(directory).newest())
        None
        """
        paths = self._paths()
        return _position(paths[-1].name) if paths else None

    def read_notes(self) -> dict[str, Any]:
        """Reads the notes of the newest checkpoint, without a model.

        Returns:
            The value of `notes` when it was written; empty without a checkpoint.

        Raises:
            RuntimeError: If the newest checkpoint is damaged, as in `restore`.

        Example:

        >>> import tempfile
        >>> from keras_supcon.callbacks import Checkpoint
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     print(Checkpoint(directory).read_notes())
        {}
        """
        paths = self._paths()
        return _read_newest(paths, read_notes) if paths else {}

    def restore(self, model: keras.Model) -> Position:
        """Restores a model from the newest checkpoint; leaves it unchanged if there is none.

        Everything is read and compared before anything is changed. The checkpoint should be of a
        model with the same variables in the same order: their number, shapes, dtypes and own names
        (`kernel`) are compared, and so is the class of the optimizer. The names of layers are not,
        since Keras counts them up within a process (`dense_1`, `dense_2`).

        Args:
            model: A built and compiled model, in the process and scope in which it will be trained.

        Returns:
            The position at which training resumes; `Position(0, 0)` without a checkpoint.

        Raises:
            ValueError: If the model is not built and compiled, or the checkpoint is of another
                model, optimizer or version of this package.
            RuntimeError: If the newest checkpoint is damaged. The message names the newest one that
                is whole; no file is removed.
            OSError: If the file cannot be read.

        Example:

        >>> import tempfile
        >>> import keras
        >>> from keras_supcon.callbacks import Checkpoint
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> model.compile(optimizer="adam", loss="mse")
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     Checkpoint(directory).restore(model)
        Position(epoch=0, batch=0)
        """
        variables = training_state(model)
        self._random_states = []
        self._model_at, self._position, self._epoch_steps = None, None, None
        paths = self._paths()
        if paths:
            description, arrays = _read_newest(paths, read_checkpoint)
            check_same(paths[-1], description, describe(model, variables))
            is_ours = [bool(variable["of"]) for variable in description["variables"]]
            self._random_states = [
                array for array, ours in zip(arrays, is_ours, strict=True) if not ours
            ]
            try:
                set_random_states(self._random_states)
            except Exception as error:
                raise RuntimeError(
                    f"The checkpoint {str(paths[-1])!r} has states of random generators that "
                    f"cannot be set ({error}), and nothing was restored"
                ) from error
            for variable, array in zip(variables, itertools.compress(arrays, is_ours), strict=True):
                variable.assign(array)
            if isinstance(model, BuildsForBatches):
                model.prepare_weights()
            self._position = Position(*description["position"])
            self._epoch_steps = description["steps_per_epoch"]
            self.notes = description["notes"]
        self._newest_known = paths[-1].name if paths else None
        self._model_at, self._is_restored = model, True
        return self._position or Position()

    def fit(
        self,
        model: keras.Model,
        dataset: Callable[[Position], Dataset],
        epochs: int,
        steps_per_epoch: int | None = None,
        **arguments: Any,
    ) -> keras.callbacks.History:
        """Trains from the newest checkpoint, or from the start, to the end.

        The first start and every restart make the same call. It is one `model.fit`, whose first
        epoch consists of the remaining batches of the epoch that was begun.

        Args:
            model: A built and compiled model.
            dataset: Function from a `Position` to the training batches from there to the end of the
                last epoch, as one iterable: a `tf.data.Dataset` for TensorFlow, or a
                `keras.utils.PyDataset` such as that of `data.balanced_batches(..., epochs=epochs)`,
                whose `workers` are threads here. A `PyDataset` of `steps_per_epoch` batches is one
                epoch that all of them read, the first one from `position.batch` on. If it changes
                in `on_epoch_begin` or `on_epoch_end`, the function should give it in its state of
                `position.epoch`, as `data.balanced_batches(..., epoch=position.epoch)`.
            epochs: Total number of epochs, those before the restart included.
            steps_per_epoch: Number of batches in a whole epoch; None takes the attribute
                `steps_per_epoch` of the data set.
            **arguments: Further arguments of `model.fit`, such as `callbacks`, `validation_data`
                and `verbose`.

        Returns:
            The `keras.callbacks.History` of the epochs that were run; empty if training had ended
            before.

        Raises:
            ValueError: As in `restore`; and if an argument is out of its range, if a begun epoch
                had another number of batches, if `steps_per_execution` does not divide its
                remaining batches, or if the batches do not last to the end: before training for a
                `PyDataset`, and otherwise once they are used up, after a checkpoint.
            RuntimeError: As in `restore`, and if another training runs in the directory.
            OSError: As in `restore`, and if the directory or a checkpoint cannot be written.
        """
        if not callable(dataset):
            raise ValueError(
                "`dataset` should be a function from a position to batches. Received: "
                f"dataset={dataset!r}"
            )
        epochs = check_whole_number("epochs", epochs, at_least=1)
        if not (self._is_restored and self._model_at is model):
            self.restore(model)
        position = self._position or Position()
        if position.epoch >= epochs:
            # As after the last epoch.
            model.optimizer.finalize_variable_values(model.trainable_variables)
            history = keras.callbacks.History()
            history.on_train_begin()
            return history
        batches = dataset(position)
        steps_per_epoch = self._check_steps(model, position, batches, steps_per_epoch)
        # Written by a `model.fit` that did not know the length of the epoch.
        if position.batch == steps_per_epoch:
            self._position = Position(position.epoch + 1, 0)
            return self.fit(model, dataset, epochs, steps_per_epoch, **arguments)
        callbacks = [*(arguments.pop("callbacks", None) or ())]
        callbacks += [] if self in callbacks else [self]
        if position.batch:
            callbacks = _with_short_first_epoch(model, callbacks, steps_per_epoch - position.batch)
        reader = None
        if isinstance(batches, keras.utils.PyDataset):
            if arguments.get("class_weight") is not None and not isinstance(model, EncoderModel):
                # Keras takes it for a `PyDataset`, and not for what reads that in order.
                class_weight = check_class_weight(arguments.pop("class_weight"))
                batches = weigh_classes({"x": batches}, class_weight)["x"]
            reader = EpochReader(batches, position, epochs, steps_per_epoch)
            batches = reader.read()
            if strategy_of(model) is not None:
                replayed = ReplayedStart(batches)
                batches = replayed.dataset()
                begun = keras.callbacks.LambdaCallback(
                    on_train_batch_end=lambda batch, logs: replayed.training_has_begun()
                )
                callbacks = [begun, *callbacks]
        self._epoch_steps, self._runs_own_fit = steps_per_epoch, True
        try:
            self._begin(model)  # before the first step is compiled, which takes minutes
            history = model.fit(
                batches,
                initial_epoch=position.epoch,
                epochs=epochs,
                steps_per_epoch=steps_per_epoch,
                callbacks=callbacks,
                **{"shuffle": False, **arguments},
            )
            if reader is not None:
                reader.end_epoch()
            return history
        finally:
            self._runs_own_fit = False
            self._directory_lock.release()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self._model_at is not self.model:
            if self._paths():
                raise ValueError(
                    f"{str(self.directory)!r} holds checkpoints that the model was not restored "
                    "from. Call `checkpoint.restore(model)` first, or give another `directory` to "
                    "a new training run"
                )
            self._position = self._epoch_steps = self._newest_known = None
        self._begin(self.model)
        # Until training ends regularly the model is ahead of its last checkpoint.
        self._model_at, self._is_restored, self._is_first_epoch = None, False, True

    def _begin(self, model: keras.Model) -> None:
        """Takes the directory; of several processes the first one does."""
        self._is_chief = worker(getattr(model, "distribute_strategy", None))[0] == 0
        if not self._is_chief:
            return
        try:
            json.dumps(self.notes, default=plain_number)
        except (TypeError, ValueError) as error:
            raise ValueError(f"`checkpoint.notes` should be JSON-serializable: {error}") from error
        self._directory_lock.acquire()
        newest = self._paths()[-1:]
        if [path.name for path in newest] != (
            [] if self._newest_known is None else [self._newest_known]
        ):
            self._directory_lock.release()
            raise InUseError(
                f"{str(self.directory)!r} was changed by another training since the model was "
                f"restored: its newest checkpoint is {newest[0].name if newest else None!r} "
                f"instead of {self._newest_known!r}. Restore again to resume from it"
            )
        remove_unfinished(self.directory)

    def _check_not_overtaken(self) -> None:
        """Checks that no other training has got further in the directory while the lock was lost.

        Raises:
            InUseError: If one has.
        """
        newest = self.newest()
        known = None if self._newest_known is None else _position(self._newest_known)
        if newest is not None and (known is None or newest > known):
            raise InUseError(
                f"{str(self.directory)!r} was changed by another training, whose newest checkpoint "
                f"is of {newest}; this one has written {self._newest_known!r}. Nothing was "
                "written. Restore again to resume from there"
            )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch, self._offset, self._done = epoch, 0, 0
        if self._is_first_epoch and self._position is not None:
            self._offset = self._done = self._position.batch
            self._check_begin(epoch)
        if not self._runs_own_fit:
            steps = self.params.get("steps")
            self._epoch_steps = None if steps is None else steps + self._offset
        self._is_first_epoch = False

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._random_states:  # torch's data loaders have drawn since `restore`
            set_random_states(self._random_states)
            self._random_states = []

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        before, self._done = self._done, self._offset + batch + 1
        if self.save_freq == "epoch" or self._is_whole_epoch():  # `on_epoch_end` writes
            return
        if self._done // self.save_freq > before // self.save_freq:
            self._write(Position(self._epoch, self._done))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        # An epoch can be cut by `model.stop_training`.
        is_whole = self._epoch_steps is None or self._is_whole_epoch()
        self._write(Position(epoch + 1, 0) if is_whole else Position(epoch, self._done))
        if self._runs_own_fit and not is_whole and not self.model.stop_training:
            raise ValueError(
                "`dataset` should give all batches from the position to the end of the last epoch. "
                f"Received: batches that ended after {self._done} of the {self._epoch_steps} of "
                f"epoch {epoch}. A checkpoint of there was written"
            )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._model_at = self.model
        self._directory_lock.release()

    def _is_whole_epoch(self) -> bool:
        return self._epoch_steps is not None and self._done >= self._epoch_steps

    def _check_begin(self, epoch: int) -> None:
        position = self._position
        if epoch != position.epoch:
            raise ValueError(
                "`fit` should resume where the checkpoint ends, with "
                f"initial_epoch={position.epoch}. Received: initial_epoch={epoch}"
            )
        steps, whole = self.params.get("steps"), self._epoch_steps
        if (
            position.batch
            and not self._runs_own_fit
            and whole is not None
            and steps != whole - position.batch
        ):
            raise ValueError(
                f"The checkpoint ends within an epoch, after {position.batch} of its {whole} "
                "batches. `checkpoint.fit(model, dataset, epochs)` finishes it and continues; "
                "`model.fit` should be given that epoch alone, with "
                f"steps_per_epoch={whole - position.batch}. Received: {steps} batches in an epoch"
            )

    def _check_steps(
        self, model: keras.Model, position: Position, batches: Dataset, steps_per_epoch: int | None
    ) -> int:
        steps = (
            getattr(batches, "steps_per_epoch", None)
            if steps_per_epoch is None
            else steps_per_epoch
        )
        if not is_whole(steps, 1):
            raise ValueError(
                "`steps_per_epoch` should be a whole number of at least 1, or None for a data set "
                f"with that attribute. Received: steps_per_epoch={steps_per_epoch!r}, "
                f"dataset={batches!r}"
            )
        if (position.batch and (self._epoch_steps or steps) != steps) or position.batch > steps:
            raise ValueError(
                f"The checkpoint ends after {position.batch} batches of an epoch of "
                f"{self._epoch_steps or 'at most as many'}; the batch size should stay what it was "
                f"until that epoch ends. Received: {steps} batches in an epoch"
            )
        together = model.steps_per_execution
        if steps % together or position.batch % together:
            raise ValueError(
                "`steps_per_execution` should divide the number of batches in an epoch, and of "
                f"those already done. Received: steps_per_execution={together}, with "
                f"{position.batch} of {steps} batches done"
            )
        return int(steps)

    def _paths(self) -> list[pathlib.Path]:
        """Lists the checkpoints, oldest first."""
        names = os.listdir(self.directory) if self.directory.is_dir() else []
        matches = sorted(
            filter(None, map(_NAME.fullmatch, names)),
            key=lambda match: (int(match[1]), int(match[2])),
        )
        return [self.directory / match[0] for match in matches]

    def _write(self, position: Position) -> None:
        self._position = position
        if not self._is_chief:
            return
        self._directory_lock.renew()
        self._check_not_overtaken()
        model = self.model  # updates the variables on JAX
        variables = training_state(model)
        generators = random_states()
        description = {
            **describe(model, variables),
            "position": position,
            "steps_per_epoch": self._epoch_steps,
        }
        description["notes"] = self.notes
        description["variables"] += [
            describe_variable(len(variables) + i, f"generator_{i}", a, "")
            for i, a in enumerate(generators)
        ]
        values = itertools.chain(
            (ops.convert_to_numpy(variable) for variable in variables), generators
        )
        arrays = (
            (entry["entry"], array)
            for entry, array in zip(description["variables"], values, strict=True)
        )
        remove_unfinished(self.directory)
        path = self.directory / f"epoch-{position.epoch:04d}-batch-{position.batch:06d}.npz"
        write_checkpoint(path, description, arrays)
        self._newest_known = path.name
        for path in self._paths()[: -self.keep]:
            path.unlink(missing_ok=True)


def _position(name: str) -> Position:
    return Position(*map(int, _NAME.fullmatch(name).groups()))


def _read_newest(paths: list[pathlib.Path], read: Callable[[pathlib.Path], Any]) -> Any:
    """Reads the last of these files by a function.

    Raises:
        RuntimeError: If it is damaged. The message names the newest file that is whole.
    """
    try:
        return read(paths[-1])
    except RuntimeError as error:
        for path in reversed(paths[:-1]):
            try:
                read_checkpoint(path)
            except (RuntimeError, ValueError, OSError):
                continue
            remedy = f"Delete it to resume from {path.name!r}, the newest one that is whole"
            break
        else:
            remedy = (
                "No other one in the directory is whole: restore it from elsewhere, or delete all "
                "to begin again"
            )
        raise RuntimeError(f"{error}. {remedy}") from error


def _with_short_first_epoch(model: keras.Model, callbacks: list[Any], batches: int) -> list[Any]:
    """Adds callbacks that end the first epoch of a `fit` early.

    Keras gives all epochs the same number of batches. An epoch ends where `stop_training` is set,
    but training only after the callbacks of that epoch, which can take it back.
    """
    state = {"is_first": True, "is_cut": False}

    def end_epoch(batch: int, logs: Any) -> None:
        if state["is_first"] and batch + 1 >= batches and not model.stop_training:
            model.stop_training = state["is_cut"] = True

    def resume(epoch: int, logs: Any) -> None:
        if state["is_cut"]:
            model.stop_training = state["is_cut"] = False
        state["is_first"] = False

    # Other callbacks that stop training do so between the two.
    take_back = keras.callbacks.LambdaCallback(on_epoch_end=resume)
    return [take_back, *callbacks, keras.callbacks.LambdaCallback(on_train_batch_end=end_epoch)]

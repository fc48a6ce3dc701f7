"""Training that goes on, bit for bit, where it was killed."""

import itertools
import json
import os
import pathlib
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_supcon.arguments import check_whole_number, is_whole
from keras_supcon.callbacks.checkpoint_file import (
    plain_number,
    read_checkpoint,
    read_notes,
    remove_unfinished,
    write_checkpoint,
)
from keras_supcon.callbacks.training_state import (
    check_same,
    describe,
    describe_variable,
    training_state,
)
from keras_supcon.distribution import worker
from keras_supcon.files import DirectoryLock, InUseError
from keras_supcon.seeds import random_states, set_random_states

_NAME = re.compile(r"epoch-(\d+)-batch-(\d+)\.npz")


class Position(NamedTuple):
    """How far training is.

    Args:
        epoch: Number of epochs that are done, which is the index of the present one.
        batch: Number of batches that are done in the present epoch.
    """

    epoch: int = 0
    batch: int = 0


class Checkpoint(keras.callbacks.Callback):
    """Writes all that training depends on, so that it can be killed at any moment and lose nothing.

    A checkpoint holds the weights, the states of the seed generators (dropout, augmentation in the
    model; `save_weights` and `keras.callbacks.BackupAndRestore` leave them out), the optimizer with
    its learning rate, moments, averages and loss scale, torch's own random generators, and the
    position in the data. With data that can begin at a position, such as
    `keras_supcon.data.load_epochs`, training on one replica ends with the weights of an
    uninterrupted run, bit for bit where the computation itself repeats bit for bit.

    Each checkpoint is one file, `epoch-0003-batch-000120.npz`, that appears whole or not at all;
    older ones are removed after it is safe on the disk. `fit` of this class is the way to train: it
    restores, finishes the epoch that was begun and goes on. To call `model.fit` instead, `restore`
    before, and pass the position on:

    ```python
    checkpoint = Checkpoint(directory)  # at the ends of epochs, for then all epochs have the same length
    position = checkpoint.restore(model)
    train = keras_supcon.data.load_epochs(..., epochs=100, start=position)
    model.fit(train, initial_epoch=position.epoch, epochs=100, steps_per_epoch=train.steps_per_epoch, callbacks=[checkpoint])
    ```

    What else a program wants to go on with, such as the curves so far, goes into the dictionary
    `checkpoint.notes`: all that JSON holds, and numbers of NumPy and of the backend. It is written
    with each checkpoint and read by `restore`.

    With several processes (`tf.distribute`, JAX, `torch.distributed`) the first one writes, and all
    read the same directory. While it trains it holds a lock on the directory, the file
    `in-use.lock`, so that a second training there is refused. The lock ends with the process. If it
    is lost before, as when the process copies the directory, it is taken again with the next
    checkpoint, unless another training has begun there or got further; then nothing is written. On
    Windows there is no lock.

    Not in a checkpoint: metrics, so that those of an epoch finished after a restart are of its rest
    alone; other callbacks' memory; random numbers from outside the model's seed generators; what
    replicas hold apart (moving averages of batch normalization that is not synchronized: those of
    the first replica are kept).

    Args:
        directory: Where the files go, made if missing. A mounted file system; one directory for
            each training run.
        save_freq: `"epoch"` writes at the end of each epoch, a whole number also after so many
            batches of an epoch.
        keep: How many checkpoints to keep, at least 1.

    Raises:
        ValueError: If an argument is out of its range; when training begins, if the directory holds
            checkpoints but `restore` was not called, if `fit` begins at another place than they
            end, or if JSON does not hold the notes.
        RuntimeError: If another process or thread trains with this directory, or has written to it
            since `restore`: when training begins, or before a checkpoint is written.
        OSError: When training begins, if the directory cannot be written to; while training, if the
            disk is full. Earlier checkpoints stay as they are.

    Example:

    >>> import tempfile
    >>> import keras, keras_supcon
    >>> from keras_supcon import data
    >>> from keras_supcon.callbacks import Checkpoint
    >>> def training(directory, epochs):
    ...     encoder = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(16)])
    ...     model = keras_supcon.ContrastiveModel(encoder, keras_supcon.ProjectionHead(8, (16,)))
    ...     model.build((None, 8, 8, 1))
    ...     model.compile(optimizer="adam", loss=keras_supcon.SupConLoss())
    ...     batches = lambda start: data.load_epochs("digits", "train", batch_size=256, epochs=epochs, start=start)
    ...     return Checkpoint(directory, save_freq=2).fit(model, batches, epochs=epochs, verbose=0).epoch
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     training(directory, epochs=1), training(directory, epochs=3)  # the second goes on where the first ended
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
                "`save_freq` should be 'epoch' or a whole number of batches, at least 1. "
                f"Received: save_freq={save_freq!r}"
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
        self._position = None  # None: nothing has been done, and training may begin anywhere
        self._is_restored = False  # nothing has happened to that model since `restore`
        self._epoch_steps = None  # batches in a whole epoch, where known
        self._runs_own_fit = False
        self._random_states = []  # to be set once more when training begins

    def newest(self) -> Position | None:
        """Where training would go on, without a model: nothing is read but the names of the files.

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
            What `notes` was when it was written; empty without a checkpoint.

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
        """Brings a model to the newest checkpoint; does nothing to it if there is none.

        All is read and compared before anything is changed. The checkpoint should be of a model
        with the same variables in the same order: their number, shapes, dtypes and own names
        (`kernel`) are compared, and so is the class of the optimizer. The names of layers are not,
        since Keras counts them up within a process (`dense_1`, `dense_2`).

        Args:
            model: A built and compiled model, in whichever process and scope it will be trained.

        Returns:
            Where training goes on; `Position(0, 0)` without a checkpoint.

        Raises:
            ValueError: If the model is not built and compiled, or the checkpoint is of another
                model, optimizer or version of this package.
            RuntimeError: If the newest checkpoint is damaged. It says which one before it is whole;
                no file is removed.
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
                    f"cannot be set ({error}), and "
                    "nothing was restored"
                ) from error
            for variable, array in zip(variables, itertools.compress(arrays, is_ours), strict=True):
                variable.assign(array)
            self._position = Position(*description["position"])
            self._epoch_steps = description["steps_per_epoch"]
            self.notes = description["notes"]
        self._newest_known = paths[-1].name if paths else None
        self._model_at, self._is_restored = model, True
        return self._position or Position()

    def fit(
        self,
        model: keras.Model,
        dataset: Callable[[Position], Any],
        epochs: int,
        steps_per_epoch: int | None = None,
        **arguments: Any,
    ) -> keras.callbacks.History:
        """Trains from the newest checkpoint, or from the start, to the end: the same call at the
        first and every next start.

        It is one `model.fit`, whose first epoch is only as long as what is left of the epoch that
        was begun.

        Args:
            model: A built and compiled model.
            dataset: Function from a `Position` to the training batches from there to the end of the
                last epoch, as one iterable. For TensorFlow a `tf.data.Dataset`.
            epochs: Epochs in all, those before the restart included.
            steps_per_epoch: Batches in a whole epoch; None takes the attribute `steps_per_epoch` of
                the data set.
            **arguments: Further arguments of `model.fit`, such as `callbacks`, `validation_data`
                and `verbose`.

        Returns:
            The `keras.callbacks.History` of the epochs that were run; empty if training had ended
            before.

        Raises:
            ValueError: As in `restore`; and if an argument is out of its range, a begun epoch had
                another number of batches, or what is left of it is no multiple of
                `steps_per_execution`.
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
            model.optimizer.finalize_variable_values(
                model.trainable_variables
            )  # as after the last epoch
            history = keras.callbacks.History()
            history.on_train_begin()
            return history
        batches = dataset(position)
        steps_per_epoch = self._check_steps(model, position, batches, steps_per_epoch)
        if (
            position.batch == steps_per_epoch
        ):  # written by a `model.fit` that did not know how long the epoch was
            self._position = Position(position.epoch + 1, 0)
            return self.fit(model, dataset, epochs, steps_per_epoch, **arguments)
        callbacks = [*(arguments.pop("callbacks", None) or ())]
        callbacks += [] if self in callbacks else [self]
        if position.batch:
            callbacks = _with_short_first_epoch(model, callbacks, steps_per_epoch - position.batch)
        self._epoch_steps, self._runs_own_fit = steps_per_epoch, True
        try:
            self._begin(model)  # before the first step is compiled, which takes minutes
            return model.fit(
                batches,
                initial_epoch=position.epoch,
                epochs=epochs,
                steps_per_epoch=steps_per_epoch,
                callbacks=callbacks,
                **{"shuffle": False, **arguments},
            )
        finally:
            self._runs_own_fit = False
            self._directory_lock.release()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self._model_at is not self.model:
            if self._paths():
                raise ValueError(
                    f"{str(self.directory)!r} holds checkpoints that the model was not restored "
                    "from. Call "
                    "`checkpoint.restore(model)` first, or give another `directory` to a new "
                    "training run"
                )
            self._position = self._epoch_steps = self._newest_known = None
        self._begin(self.model)
        # Until training ends in an orderly way the model is ahead of its last checkpoint.
        self._model_at, self._is_restored, self._is_first_epoch = None, False, True

    def _begin(self, model: keras.Model) -> None:
        """Takes the directory, of several processes in the first one."""
        self._is_chief = worker(getattr(model, "distribute_strategy", None))[0] == 0
        if not self._is_chief:
            return
        try:
            json.dumps(self.notes, default=plain_number)
        except (TypeError, ValueError) as error:
            raise ValueError(f"`checkpoint.notes` should be what JSON holds: {error}") from error
        self._directory_lock.acquire()
        newest = self._paths()[-1:]
        if [path.name for path in newest] != (
            [] if self._newest_known is None else [self._newest_known]
        ):
            self._directory_lock.release()
            raise InUseError(
                f"{str(self.directory)!r} was changed by another training since the model was "
                "restored: its newest checkpoint "
                f"is {newest[0].name if newest else None!r} instead of {self._newest_known!r}. "
                "Restore again to go on from it"
            )
        remove_unfinished(self.directory)

    def _check_not_overtaken(self) -> None:
        """Refuses to write where another training has got further, which had the directory while
        the lock was lost.
        """
        newest = self.newest()
        known = None if self._newest_known is None else _position(self._newest_known)
        if newest is not None and (known is None or newest > known):
            raise InUseError(
                f"{str(self.directory)!r} was changed by another training, whose newest "
                f"checkpoint is of {newest}; this one "
                f"has written {self._newest_known!r}. Nothing was written. Restore again to go on "
                "from there"
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
        if (
            self.save_freq == "epoch" or self._is_whole_epoch()
        ):  # the end of the epoch writes its own
            return
        if self._done // self.save_freq > before // self.save_freq:
            self._write(Position(self._epoch, self._done))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        # An epoch can be cut by `model.stop_training`.
        is_whole = self._epoch_steps is None or self._is_whole_epoch()
        self._write(Position(epoch + 1, 0) if is_whole else Position(epoch, self._done))

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._model_at = self.model
        self._directory_lock.release()

    def _is_whole_epoch(self) -> bool:
        return self._epoch_steps is not None and self._done >= self._epoch_steps

    def _check_begin(self, epoch: int) -> None:
        position = self._position
        if epoch != position.epoch:
            raise ValueError(
                "`fit` should go on where the checkpoint ends, with "
                f"initial_epoch={position.epoch}. "
                f"Received: initial_epoch={epoch}"
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
                "batches. `checkpoint.fit(model, "
                "dataset, epochs)` finishes it and goes on; `model.fit` should be given that "
                "epoch alone, with "
                f"steps_per_epoch={whole - position.batch}. Received: {steps} batches in an epoch"
            )

    def _check_steps(
        self, model: keras.Model, position: Position, batches: Any, steps_per_epoch: int | None
    ) -> int:
        steps = (
            getattr(batches, "steps_per_epoch", None)
            if steps_per_epoch is None
            else steps_per_epoch
        )
        if not is_whole(steps, 1):
            raise ValueError(
                "`steps_per_epoch` should be a whole number of at least 1, or None for a data set "
                "with that attribute. "
                f"Received: steps_per_epoch={steps_per_epoch!r}, dataset={batches!r}"
            )
        if (position.batch and (self._epoch_steps or steps) != steps) or position.batch > steps:
            raise ValueError(
                f"The checkpoint ends after {position.batch} batches of an epoch of "
                f"{self._epoch_steps or 'at most as many'}; "
                f"the batch size should stay what it was until that epoch ends. Received: {steps} "
                "batches in an epoch"
            )
        together = model.steps_per_execution
        if steps % together or position.batch % together:
            raise ValueError(
                "`steps_per_execution` should divide the number of batches in an epoch, and of "
                "those already done. Received: "
                f"steps_per_execution={together}, with {position.batch} of {steps} batches done"
            )
        return int(steps)

    def _paths(self) -> list[pathlib.Path]:
        """The checkpoints, oldest first."""
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
        model = self.model  # brings the variables up to date on JAX
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
    """What a function reads of the last of these files; of a damaged one it is said which file
    before it is whole.
    """
    try:
        return read(paths[-1])
    except RuntimeError as error:
        for path in reversed(paths[:-1]):
            try:
                read_checkpoint(path)
            except (RuntimeError, ValueError, OSError):
                continue
            way_on = f"Delete it to go on from {path.name!r}, the newest one that is whole"
            break
        else:
            way_on = "No other one in the directory is whole: restore it from elsewhere, or delete all to begin again"
        raise RuntimeError(f"{error}. {way_on}") from error


def _with_short_first_epoch(model: keras.Model, callbacks: list[Any], batches: int) -> list[Any]:
    """Adds callbacks that end the first epoch of a `fit` early.

    Keras gives all epochs the same number of batches, but an epoch ends where `stop_training` is
    set, and training only after that epoch's callbacks: between the two it can be taken back.
    """
    state = {"is_first": True, "is_cut": False}

    def end_epoch(batch: int, logs: Any) -> None:
        if state["is_first"] and batch + 1 >= batches and not model.stop_training:
            model.stop_training = state["is_cut"] = True

    def go_on(epoch: int, logs: Any) -> None:
        if state["is_cut"]:
            model.stop_training = state["is_cut"] = False
        state["is_first"] = False

    # Others that stop training do so before the one and after the other.
    take_back = keras.callbacks.LambdaCallback(on_epoch_end=go_on)
    return [take_back, *callbacks, keras.callbacks.LambdaCallback(on_train_batch_end=end_epoch)]

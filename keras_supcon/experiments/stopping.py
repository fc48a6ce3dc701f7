"""Early ends of a program: one line for an error, and a saved model for a signal."""

import contextlib
import os
import pathlib
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

import keras

from keras_supcon.arguments import rename_arguments
from keras_supcon.files import release_locks, whole_file

# Ctrl-C; what `kill`, systemd, Slurm and Kubernetes send; the end of a terminal. Not every system
# has all of them.
SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class StopOnSignal(keras.callbacks.Callback):
    """Ends `fit` between two steps at Ctrl-C, SIGTERM or SIGHUP, so that the model can be saved.

    It handles the signals within `with StopOnSignal() as stop:`, in the main thread. A first signal
    within `with stop.hold():` is noted, and ends `fit` after the present step, of training or of
    validation. A second one, or one elsewhere, ends the program at once. A signal that was ignored
    before, as by `nohup`, stays ignored.

    Keras begins each validation with one step. The figures of a validation that was cut short are
    of a few batches: they are removed from the logs of the epoch, for all callbacks that follow
    this one in the list. So it should be the first.

    Args:
        saved: Function that says what there is when the program ends. None names `files`.

    Attributes:
        received: Number of the signal, or None.
        files: Paths of the models that the program has saved.

    Example:

    >>> import pathlib, tempfile
    >>> import keras, numpy as np
    >>> from keras_supcon.experiments import StopOnSignal
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> with tempfile.TemporaryDirectory() as folder, StopOnSignal() as stop:
    ...     path = pathlib.Path(folder) / "model.keras"
    ...     with stop.saving(model, path):
    ...         history = model.fit(np.ones((4, 2)), np.ones(4), callbacks=[stop], verbose=0)
    ...     path.exists(), stop.received
    (True, None)
    """

    def __init__(self, saved: Callable[[], str] | None = None) -> None:
        super().__init__()
        self.saved = self._name_files if saved is None else saved
        self.received, self.files, self._is_held, self._previous = None, [], False, {}
        self._validation_was_cut, self._partial_metrics = False, set()
        self._terminals = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]

    def __enter__(self) -> "StopOnSignal":
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Returns a context in which a first signal is only noted."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False

    @contextlib.contextmanager
    def saving(self, model: keras.Model, path: pathlib.Path) -> Iterator[None]:
        """Returns a context for a `fit`, at whose end the model is saved, whole or not at all.

        If a signal was noted, the program ends after that.

        Args:
            model: Model that is trained in the context, with this callback.
            path: File that ends with `.keras`.

        Raises:
            OSError: If the file cannot be written.
            SystemExit: If a signal was noted.
        """
        with self.hold():
            yield
            with whole_file(path) as unfinished:
                model.save(unfinished)
            self.files.append(path)
        if self.received is not None:
            self.end()

    def end(self) -> None:
        """Ends the program with a sentence and the exit code of the noted signal.

        Raises:
            SystemExit: Always, with 128 plus the number of the signal.
        """
        _say(self.received, self.saved)
        raise SystemExit(128 + self.received)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.received is not None:
            self.model.stop_training = True

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._validation_was_cut = False

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.received is not None:
            self.model.stop_evaluating = self._validation_was_cut = True

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        self._partial_metrics = (
            {f"val_{name}" for name in logs or {}} if self._validation_was_cut else set()
        )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        for name in self._partial_metrics & set(logs or {}):
            del logs[name]  # the other callbacks get the same dictionary
        self.on_train_batch_end(-1)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number == getattr(signal, "SIGHUP", None):
            self._leave_terminals()
        is_first, self.received = self.received is None, number
        if not (self._is_held and is_first):
            # Not by an exception: within TensorFlow or scikit-learn that leads to other errors and
            # crashes.
            _say(number, self.saved)
            release_locks()
            os._exit(128 + number)
        _write(
            f"{signal.Signals(number).name}: training ends after the present step, and what there "
            "is is saved. A second signal ends the program at once, without that."
        )

    def _name_files(self) -> str:
        if not self.files:
            return "Nothing was trained yet, and nothing saved."
        names = ", ".join(f"keras.saving.load_model({path.as_posix()!r})" for path in self.files)
        return f"What was trained until now was saved: {names}"

    def _leave_terminals(self) -> None:
        """Sends output to nowhere, since writing to a terminal that has gone fails."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in self._terminals:
            os.dup2(nowhere, descriptor)
        os.close(nowhere)


def exit_on_signal(saved: Callable[[], str]) -> None:
    """Makes the signals end the process at once with a sentence, from now on.

    They do so also while the process waits in TensorFlow for a worker that has gone, where Python
    would call a handler only afterwards. A thread that the system wakes does not wait for that.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, frame: None)

    def wait() -> None:
        number = 0
        while number not in SIGNALS:
            number = os.read(reading, 1)[0]
        _say(number, saved)
        os._exit(128 + number)

    threading.Thread(target=wait, daemon=True).start()


def _say(number: int, saved: Callable[[], str]) -> None:
    _write(f"Stopped by {signal.Signals(number).name}. {saved()}")


def _write(sentence: str) -> None:
    """Writes a line to standard error, in a handler too."""
    with contextlib.suppress(Exception):  # a terminal that has gone, or an interrupted `print`
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        os.write(2, f"\n{sentence}\n".encode(errors="backslashreplace"))


@contextlib.contextmanager
def one_line_errors(
    *kinds: type[Exception], flags: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Returns a context that ends a program with one line for an error that its user can mend.

    The line begins with the name of the program, and the exit code is 1. Other errors keep their
    traceback.

    Args:
        *kinds: Classes of the errors. Default: `OSError`, `ImportError`, and those instances of
            `ValueError` and `RuntimeError` that this package itself has raised.
        flags: Names of flags, by the names of the arguments that they set; they take the place of
            those in the line.

    Example:

    >>> from keras_supcon import experiments
    >>> with experiments.one_line_errors(flags={"seed": "seed"}):
    ...     experiments.Settings(output_dir="build/trial", seed=-1)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    SystemExit: ...: `--seed` should be a whole number of at least 0. Received: --seed=-1
    """
    try:
        yield
    except Exception as error:
        if not (isinstance(error, kinds) if kinds else _is_for_user(error)):
            raise
        names = {argument: f"--{flag}" for argument, flag in (flags or {}).items()}
        sentence = rename_arguments(" ".join(str(error).split()), names)
        sys.exit(f"{_program()}: {sentence}")


def _program() -> str:
    """Returns what a user calls the program that runs."""
    path = pathlib.Path(sys.argv[0])
    return f"python -m {path.parent.name}" if path.name == "__main__.py" else path.name


def _is_for_user(error: Exception) -> bool:
    """Returns whether an error has a message for the user of a program."""
    if isinstance(error, (ValueError, RuntimeError)):
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        return str(frame.f_globals.get("__name__")).startswith("keras_supcon.")
    return isinstance(error, (OSError, ImportError))

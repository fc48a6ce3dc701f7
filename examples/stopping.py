"""How programs end early: with one line for an error, and for Ctrl-C, SIGTERM and SIGHUP when what
there is is saved.
"""

import contextlib
import os
import pathlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras

from keras_supcon.files import release_locks

# Ctrl-C; what `kill`, systemd, Slurm and Kubernetes send; the end of a terminal, which not every
# system has.
SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class StopOnSignal(keras.callbacks.Callback):
    """Within `with stop.hold():` a first signal is noted and ends `fit`; elsewhere, and a second
    time, it ends the program.

    A signal that is ignored when the program starts, as by `nohup`, stays ignored.

    `fit` then ends after the present step, of training or of validation; Keras begins each
    validation with one step. What a validation that was cut short has measured is of a few batches:
    it is taken out of the logs of the epoch, for all callbacks that stand after this one in the
    list. So this one should be the first.

    Args:
        saved: Function that says what there is when the program is ended. Default: it names
            `files`.

    Attributes:
        received: The number of the signal, or None.
        files: Models that the program has saved.
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

    def __exit__(self, *exception: Any) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False

    def end(self) -> None:
        """Ends the program with a sentence and the exit code of the signal, after `hold`."""
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

    def _receive(self, number: int, frame: Any) -> None:
        if number == getattr(signal, "SIGHUP", None):
            self._leave_terminals()
        is_first, self.received = self.received is None, number
        if not (self._is_held and is_first):
            # Not by an exception: within TensorFlow or scikit-learn it ends in other errors and
            # crashes.
            _say(number, self.saved)
            release_locks()
            os._exit(128 + number)
        _write(
            f"{signal.Signals(number).name}: training ends after the present step, and what there "
            "is is saved. A second signal "
            "ends the program at once, without that."
        )

    def _name_files(self) -> str:
        names = ", ".join(f"keras.saving.load_model({path.as_posix()!r})" for path in self.files)
        return (
            f"What was trained until now was saved: {names}"
            if names
            else "Nothing was trained yet, and nothing saved."
        )

    def _leave_terminals(self) -> None:
        """Sends output to nowhere, since what writes to a terminal that has gone fails."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in self._terminals:
            os.dup2(nowhere, descriptor)
        os.close(nowhere)


def end_at_once(saved: Callable[[], str]) -> None:
    """Lets the signals end the process with a sentence, also while it waits in TensorFlow for a
    worker that has gone.

    Python would call a handler after that alone. A thread that the system wakes does not wait for
    it.
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
    with contextlib.suppress(
        Exception
    ):  # a terminal that has gone, or a `print` that was interrupted
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        os.write(2, f"\n{sentence}\n".encode(errors="backslashreplace"))


@contextlib.contextmanager
def one_line_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Ends the program with one line for errors of these kinds, or for all that say what a user can
    put right.
    """
    kinds = kinds or (ValueError, RuntimeError, OSError)
    try:
        yield
    except kinds as error:
        sys.exit(f"{program_name()}: {' '.join(str(error).split())}")


def program_name() -> str:
    return pathlib.Path(sys.argv[0]).name

"""What a signal does, in this process."""

import os
import pathlib
import signal

import keras
import pytest

from tests.callbacks.test_checkpoint import STEPS, batches, small_model
from tests.examples.test_run_folder import EXAMPLES

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals")


@pytest.fixture
def stopping(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import stopping

    # A shell starts what runs in its background with Ctrl-C ignored.
    before = [(number, signal.signal(number, signal.SIG_DFL)) for number in stopping.SIGNALS]
    yield stopping
    for number, handler in before:
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_ends_fit_between_two_steps_and_the_second_the_program(stopping, number, capfd, monkeypatch):
    codes = []
    monkeypatch.setattr(os, "_exit", codes.append)

    def send(batch, logs):
        if batch == 2:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    model = small_model()
    with stopping.StopOnSignal() as stop:
        callbacks = [keras.callbacks.LambdaCallback(on_train_batch_begin=send), stop]
        with stop.hold():
            model.fit(batches(), steps_per_epoch=STEPS, epochs=2, callbacks=callbacks, verbose=0, shuffle=False)
            stop.files.append(pathlib.Path("a.keras"))
        assert int(model.optimizer.iterations) == 3
        assert stop.received == number
        os.kill(os.getpid(), number)
        assert codes == [128 + number]
        with pytest.raises(SystemExit) as caught:
            stop.end()
    assert caught.value.code == 128 + number
    said = f"Stopped by {number.name}. What was trained until now was saved: keras.saving.load_model('a.keras')"
    assert capfd.readouterr().err.count(said) == 2
    assert signal.getsignal(number) == before


def test_a_signal_that_is_ignored_stays_ignored(stopping):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with stopping.StopOnSignal() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
        assert stop.received is None
    finally:
        signal.signal(signal.SIGHUP, before)

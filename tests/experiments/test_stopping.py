"""What a signal does, in this process."""

import os
import pathlib
import signal

import keras
import pytest

from keras_supcon import encoders
from keras_supcon.experiments import StopOnSignal, one_line_errors
from keras_supcon.experiments.stopping import SIGNALS
from tests.callbacks.test_checkpoint import STEPS, batches, small_model

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals")


@pytest.fixture(autouse=True)
def _default_signals():
    # A shell starts what runs in its background with Ctrl-C ignored.
    before = [(number, signal.signal(number, signal.SIG_DFL)) for number in SIGNALS]
    yield
    for number, handler in before:
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_ends_fit_between_two_steps_and_the_second_the_program(
    number, capfd, monkeypatch
):
    codes = []
    monkeypatch.setattr(os, "_exit", codes.append)

    def send(batch, logs):
        if batch == 2:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    model = small_model()
    with StopOnSignal() as stop:
        callbacks = [keras.callbacks.LambdaCallback(on_train_batch_begin=send), stop]
        with stop.hold():
            model.fit(
                batches(),
                steps_per_epoch=STEPS,
                epochs=2,
                callbacks=callbacks,
                verbose=0,
                shuffle=False,
            )
            stop.files.append(pathlib.Path("a.keras"))
        assert int(model.optimizer.iterations) == 3
        assert stop.received == number
        os.kill(os.getpid(), number)
        assert codes == [128 + number]
        with pytest.raises(SystemExit) as caught:
            stop.end()
    assert caught.value.code == 128 + number
    said = f"Stopped by {number.name}. What was trained until now was saved: "
    assert capfd.readouterr().err.count(f"{said}keras.saving.load_model('a.keras')") == 2
    assert signal.getsignal(number) == before


def test_a_signal_ends_validation_too_whose_figures_are_then_not_those_of_the_epoch(capfd):
    steps, logged = [], []

    def send(batch, logs):
        steps.append(batch)
        if len(steps) == STEPS + 2:  # in the second epoch
            os.kill(os.getpid(), signal.SIGTERM)

    early = keras.callbacks.EarlyStopping(
        "val_loss", min_delta=1e9, patience=2, restore_best_weights=True
    )
    model = small_model()
    with StopOnSignal() as stop:
        callbacks = [
            stop,
            keras.callbacks.LambdaCallback(on_test_batch_begin=send),
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: logged.append(dict(logs))
            ),
            early,
        ]
        with stop.hold(), pytest.warns(UserWarning, match="`val_loss` which is not available"):
            history = model.fit(
                batches(),
                steps_per_epoch=STEPS,
                epochs=9,
                validation_data=batches(),
                validation_steps=STEPS,
                callbacks=callbacks,
                verbose=0,
                shuffle=False,
            )
    assert steps == [*range(STEPS), 0, 1]
    assert [sorted(logs) for logs in logged] == [
        ["loss", "mae", "val_loss", "val_mae"],
        ["loss", "mae"],
    ]
    assert history.history["val_loss"] == [logged[0]["val_loss"]]
    assert early.wait == 0
    said = capfd.readouterr().err
    assert (
        said.count("SIGTERM: training ends after the present step")
        == said.count("A second signal ends the program")
        == 1
    )


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with StopOnSignal() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
        assert stop.received is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_model_is_saved_at_the_end_of_fit_and_before_the_program_ends(tmp_path):
    model, path = small_model(), tmp_path / "model.keras"
    with StopOnSignal() as stop:
        with stop.saving(model, path):
            assert not path.exists()
        assert stop.files == [path]
        with pytest.raises(SystemExit) as caught, stop.saving(model, tmp_path / "second.keras"):
            os.kill(os.getpid(), signal.SIGTERM)
    assert caught.value.code == 128 + signal.SIGTERM
    assert sorted(saved.name for saved in tmp_path.iterdir()) == ["model.keras", "second.keras"]


def test_errors_that_this_package_raised_become_a_line_and_others_keep_their_traceback(monkeypatch):
    monkeypatch.setattr("sys.argv", ["folder/program.py"])
    with pytest.raises(SystemExit) as caught, one_line_errors(flags={"depth": "encoder_depth"}):
        encoders.ResNet(depth=11)
    line = str(caught.value.code)
    assert line.startswith("program.py: `--encoder_depth` should be one of")
    assert line.endswith(" --encoder_depth=11")
    monkeypatch.setattr("sys.argv", ["folder/keras_supcon/__main__.py"])
    with pytest.raises(SystemExit, match="^python -m keras_supcon: `depth` "), one_line_errors():
        encoders.ResNet(depth=11)
    for error in (OSError(28, "No space left"), ImportError("no such module")):
        with pytest.raises(SystemExit), one_line_errors():
            raise error
    for error in (ValueError("a bug"), RuntimeError("out of memory"), KeyError("a")):
        with pytest.raises(type(error)), one_line_errors():
            raise error
        with pytest.raises(SystemExit), one_line_errors(type(error)):
            raise error

"""The program as users start it, on a small CIFAR-10 of real images."""

import csv
import json
import os
import re
import signal
import time

import keras
import numpy as np
import pytest

import keras_supcon  # noqa: F401, registers the classes that a saved model names
from tests.examples import small_imagenet
from tests.examples.programs import SECONDS

pytestmark = pytest.mark.slow

PROGRAM = "cifar10.py"
EPOCHS, BATCH_SIZE, EPOCH_STEPS = 2, 16, 4


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> list[str]:
    """The flags of a small training."""
    folder = tmp_path_factory.mktemp("tfds")
    small_imagenet.write("cifar10", folder)
    encoder = ("--encoder_depth=10", "--encoder_width=0.125")
    return [f"--data_dir={folder}", f"--batch_size={BATCH_SIZE}", f"--epochs={EPOCHS}", *encoder]


@pytest.mark.parametrize("method", ["supcon", "cross_entropy"])
def test_trains_and_evaluates(programs, small, tmp_path, method):
    flags = (f"--model_dir={tmp_path}", f"--method={method}", "--linear_epochs=1", *small)
    code, _, errors = programs.run(PROGRAM, *flags)
    assert code == 0, errors
    results = json.loads((tmp_path / "results.json").read_text())
    stages = {
        "supcon": {"pretrain": EPOCHS, "linear": 1},
        "cross_entropy": {"cross_entropy": EPOCHS},
    }[method]
    assert {name: results[name]["epochs"] for name in stages} == stages
    assert {name: results[name]["steps"] for name in stages} == {
        name: EPOCH_STEPS * n for name, n in stages.items()
    }
    # The recipes of the PyTorch code have rates for their batch alone.
    peaks = {"pretrain": 0.5, "linear": 5.0, "cross_entropy": 0.8}
    assert {name: results[name]["peak_learning_rate"] for name in stages} == {
        name: peaks[name] for name in stages
    }
    assert results["recipe"] == f"supcontrast_{method}_cifar10_resnet50"
    assert results["images_evaluated"] == small_imagenet.NUM_EVAL
    assert 0 <= results["top_1"] <= results["top_5"] <= 1

    encoder = keras.saving.load_model(tmp_path / "encoder.keras")
    classifier = keras.saving.load_model(tmp_path / "classifier.keras")
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype("uint8")
    assert encoder.predict(images, verbose=0).shape == (3, 64)
    np.testing.assert_allclose(classifier.predict(images, verbose=0).sum(axis=1), 1.0, rtol=1e-5)


def test_a_stopped_run_goes_on_whatever_happened_to_the_files_that_can_be_made_again(
    programs, small, tmp_path
):
    """Of two processes the second is refused; SIGTERM leaves a checkpoint; logs, records and models
    are not needed.
    """
    flags = (f"--model_dir={tmp_path}", "--linear_epochs=1", *small, "--checkpoint_every=1")
    pid = programs.start(PROGRAM, *flags)
    end = time.monotonic() + SECONDS
    while not list(tmp_path.glob("pretrain/checkpoints/epoch-*")):
        assert time.monotonic() < end
        time.sleep(0.001)
    os.kill(pid, signal.SIGSTOP)  # lest it ends while the other starts
    code, _, errors = programs.run(PROGRAM, *flags)
    assert code == 1
    assert f"is in use: another process (process {pid} on" in errors.splitlines()[-1]
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGCONT)
    code, _, errors = programs.wait(pid)
    assert code == 128 + signal.SIGTERM
    said = r"Stopped by SIGTERM. Start it again with the same flags: it goes on in pretrain, (from epoch \d+, batch \d+)\."
    position = re.fullmatch(said, errors.splitlines()[-1])[1]

    (tmp_path / "pretrain" / "run.json").write_text("[1, 2]")
    (tmp_path / "pretrain" / "epochs.csv").write_text("epoch,lo")
    (tmp_path / "encoder.keras").write_bytes(b"PK")
    code, output, errors = programs.run(PROGRAM, *flags)
    assert code == 0, errors
    assert f"pretrain: {EPOCHS} epochs of 4 batches of 16, {position}\n" in output
    assert "run.json' is damaged; that of the newest checkpoint takes its place." in errors
    with (tmp_path / "pretrain" / "epochs.csv").open(newline="") as file:
        epochs = list(csv.DictReader(file))
    assert [(epoch["epoch"], epoch["batches"]) for epoch in epochs] == [
        (f"{i}", f"{EPOCH_STEPS}") for i in range(EPOCHS)
    ]
    assert json.loads((tmp_path / "results.json").read_text())["pretrain"]["loss"] == float(
        epochs[-1]["loss"]
    )
    assert not list(tmp_path.rglob("in-use.lock"))


def test_a_wrong_flag_is_named_and_nothing_is_written(programs, small, tmp_path):
    model_dir = tmp_path / "models"
    code, _, errors = programs.run(
        PROGRAM, f"--model_dir={model_dir}", *small, "--micro_batch_size=5"
    )
    assert code == 1
    assert "cifar10.py: `--micro_batch_size` should divide the 16 images" in errors
    assert "Traceback" not in errors
    assert not model_dir.exists()

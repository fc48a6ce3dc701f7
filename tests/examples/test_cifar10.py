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
    said = "Stopped by SIGTERM. Start it again with the same settings: it resumes in pretrain, "
    position = re.fullmatch(said + r"(from epoch \d+, batch \d+)\.", errors.splitlines()[-1])[1]

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

    results = json.loads((tmp_path / "results.json").read_text())
    assert results["recipe"] == "supcontrast_supcon_cifar10_resnet50"
    assert results["flags"]["method"] == "supcon"
    # The recipes of the PyTorch code have rates for their batch alone.
    for stage, epochs, peak in (("pretrain", EPOCHS, 0.5), ("linear", 1, 5.0)):
        assert results[stage]["epochs"] == epochs
        assert results[stage]["steps"] == EPOCH_STEPS * epochs
        assert results[stage]["peak_learning_rate"] == peak
    assert results["images_evaluated"] == small_imagenet.NUM_EVAL
    assert f"results: {tmp_path}/results.json" in output
    encoder, classifier = (
        keras.saving.load_model(tmp_path / f"{name}.keras") for name in ("encoder", "classifier")
    )
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype("uint8")
    assert encoder.predict(images, verbose=0).shape == (3, 64)
    np.testing.assert_allclose(classifier.predict(images, verbose=0).sum(axis=1), 1.0, rtol=1e-5)

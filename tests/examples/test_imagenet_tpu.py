"""The program as users start it, on a small ImageNet of real JPEG files.

TPUs, GPUs and JAX with several processes are not run here: the tests need a processor alone.
"""

import csv
import json
import os
import pathlib
import re
import signal
import time

import keras
import numpy as np
import pytest

import keras_supcon
from tests.covering import representatives
from tests.distribution.engines import worker_environments
from tests.examples import small_imagenet
from tests.examples.programs import SECONDS, Programs

pytestmark = pytest.mark.slow

PROGRAM = "imagenet_tpu.py"
EPOCHS, BATCH_SIZE, EPOCH_STEPS = 2, 16, 4
# name: (flags, number of workers, class of the strategy, number of replicas); --strategy=auto finds
# TF_CONFIG.
ENGINES = {
    "default": ((), 1, "DefaultDistributionStrategy", 1),
    "mirrored": (
        ("--strategy=mirrored", "--num_virtual_cpus=2", "--micro_batch_size=4"),
        1,
        "MirroredStrategy",
        2,
    ),
    "multi_worker": ((), 2, "CollectiveAllReduceStrategy", 2),
}
SMALL = (
    f"--batch_size={BATCH_SIZE}",
    f"--epochs={EPOCHS}",
    f"--linear_epochs={EPOCHS}",
    "--image_size=32",
    "--encoder_depth=10",
    "--encoder_width=0.125",
)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    small_imagenet.write("imagenet2012", folder)
    return folder


@pytest.fixture(scope="module")
def train(programs, data_dir):
    """Starts a training, in as many processes as the engine has workers."""

    def start(engine: str, model_dir: pathlib.Path, *flags: str) -> list[int]:
        own, workers, *_ = ENGINES[engine]
        environments = worker_environments(workers) if workers > 1 else [{}]
        flags = (f"--model_dir={model_dir}", f"--data_dir={data_dir}", *SMALL, *own, *flags)
        return [programs.start(PROGRAM, *flags, **environment) for environment in environments]

    return start


@pytest.fixture(scope="module")
def finished(programs, train, tmp_path_factory):
    """The folder of a run on one device that nothing disturbed."""
    model_dir = tmp_path_factory.mktemp("finished") / "made" / "by the program"
    wait_for_success(programs, train("default", model_dir))
    return model_dir


def wait_for_success(programs: Programs, pids: list[int]) -> str:
    """Standard output of the first of several workers; the others say nothing, since the chief
    speaks for all.
    """
    (code, output, errors), *others = map(programs.wait, pids)
    assert code == 0, errors
    for other_code, other_output, other_errors in others:
        assert other_code == 0, other_errors
        assert other_output == ""
    return output


def read_results(model_dir: pathlib.Path) -> dict:
    return json.loads((model_dir / "results.json").read_text())


def read_epochs(model_dir: pathlib.Path, stage: str) -> list[dict[str, str]]:
    with (model_dir / stage / "epochs.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def saved_weights(model_dir: pathlib.Path, name: str) -> list[np.ndarray]:
    return keras.saving.load_model(model_dir / name).get_weights()


def all_files(model_dir: pathlib.Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(model_dir)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in model_dir.rglob("*")
        if path.is_file()
    }


def check_results(model_dir: pathlib.Path, strategy: str, replicas: int, workers: int) -> None:
    results = read_results(model_dir)
    assert (results["strategy"], results["replicas"], results["workers"]) == (
        strategy,
        replicas,
        workers,
    )
    assert (results["recipe"], results["mode"]) == (
        "supcon_imagenet_resnet50",
        "pretrain_then_linear",
    )
    assert results["flags"]["encoder_depth"] == 10
    for stage, base_learning_rate in (("pretrain", 0.4), ("linear", 0.05)):
        assert results[stage]["steps"] == EPOCHS * EPOCH_STEPS
        assert results[stage]["peak_learning_rate"] == pytest.approx(
            base_learning_rate * BATCH_SIZE / 256
        )
        epochs = read_epochs(model_dir, stage)
        assert [int(epoch["epoch"]) for epoch in epochs] == list(range(EPOCHS))
        assert results[stage]["loss"] == float(epochs[-1]["loss"])
    assert results["images_evaluated"] == small_imagenet.NUM_EVAL
    # Shares of all images, and of a thousand classes that were seen only a little.
    for share in (results["top_1"], results["top_5"]):
        assert share * small_imagenet.NUM_EVAL == pytest.approx(
            round(share * small_imagenet.NUM_EVAL), abs=1e-3
        )
    assert 0 <= results["top_1"] <= results["top_5"] <= 1
    assert 4 < results["eval_loss"] < 8
    assert not list(model_dir.rglob("unfinished-*"))


def scores(model_dir: pathlib.Path, data_dir: pathlib.Path) -> dict[str, float]:
    """Of the saved classifier, on all images of the evaluation split in one batch."""

    def decode(encoded, seed):
        return keras_supcon.data.decode_and_center(encoded, (32, 32), crop_padding=32 * 32 // 224)

    dataset = keras_supcon.data.load_epochs(
        "imagenet2012",
        "validation",
        small_imagenet.NUM_EVAL,
        1,
        data_dir=str(data_dir),
        map_image=decode,
    )
    ((images, labels),) = dataset
    probabilities = keras.saving.load_model(model_dir / "classifier.keras").predict(
        images, verbose=0
    )
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.05)  # as the recipe has it
    return {
        "top_1": float(np.mean(keras.ops.in_top_k(labels, probabilities, 1))),
        "top_5": float(np.mean(keras.ops.in_top_k(labels, probabilities, 5))),
        "eval_loss": float(loss(keras.ops.one_hot(labels, 1000), probabilities)),
    }


def check_finished(model_dir: pathlib.Path, data_dir: pathlib.Path, engine: str) -> None:
    check_results(model_dir, *ENGINES[engine][2:], workers=ENGINES[engine][1])
    encoder = keras.saving.load_model(model_dir / "encoder.keras")
    classifier = keras.saving.load_model(model_dir / "classifier.keras")
    assert classifier.num_classes == 1000
    for ours, theirs in zip(encoder.get_weights(), classifier.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)  # frozen
    results = read_results(model_dir)
    for name, score in scores(model_dir, data_dir).items():  # each image was scored once
        assert results[name] == pytest.approx(score, rel=1e-4), name


def check_same_weights(model_dir: pathlib.Path, undisturbed: pathlib.Path, name: str) -> None:
    for ours, expected in zip(
        saved_weights(model_dir, name), saved_weights(undisturbed, name), strict=True
    ):
        assert ours.tobytes() == expected.tobytes()


def test_trains_and_evaluates(data_dir, finished):
    check_finished(finished, data_dir, "default")


def test_killed_in_both_stages_it_ends_with_the_same_bits(
    programs, train, data_dir, finished, tmp_path
):
    for stage in ("pretrain", "linear"):
        (pid,) = train("default", tmp_path, "--checkpoint_every=1")
        kill_after_a_checkpoint(pid, tmp_path / stage / "checkpoints")
        assert programs.wait(pid)[0] == -signal.SIGKILL
        assert (tmp_path / "encoder.keras").exists() == (stage == "linear")
        assert not (tmp_path / "results.json").exists()
    output = wait_for_success(programs, train("default", tmp_path, "--checkpoint_every=1"))
    assert "pretrain: 2 epochs of 4 batches of 16, done before" in output
    assert re.search("linear: 2 epochs of 4 batches of 16, from epoch [12], batch", output)
    check_finished(tmp_path, data_dir, "default")
    for name in ("encoder.keras", "classifier.keras"):
        check_same_weights(tmp_path, finished, name)


@representatives("engine", ["multi_worker"], ["mirrored"])
def test_several_replicas_go_on_when_one_was_killed(programs, train, data_dir, tmp_path, engine):
    """Of several workers the last one is killed, as when a machine dies: the others end by
    themselves and say why.
    """
    undisturbed, model_dir = tmp_path / "undisturbed", tmp_path / "killed"
    wait_for_success(programs, train(engine, undisturbed, "--mode=pretrain"))
    *survivors, pid = train(engine, model_dir, "--checkpoint_every=1")
    kill_after_a_checkpoint(pid, model_dir / "pretrain" / "checkpoints")
    assert programs.wait(pid)[0] == -signal.SIGKILL
    for survivor in survivors:
        code, _, errors = programs.wait(survivor)
        assert code == 1
        assert (
            "imagenet_tpu.py: Another worker has ended, and training with it. Start all again"
            in errors.splitlines()[-1]
        )
    assert not (model_dir / "encoder.keras").exists()
    output = wait_for_success(programs, train(engine, model_dir, "--checkpoint_every=1"))
    assert re.search("pretrain: 2 epochs of 4 batches of 16, from epoch [12], batch", output)
    assert "top-1" in output
    check_finished(model_dir, data_dir, engine)
    check_same_weights(model_dir, undisturbed, "encoder.keras")


def kill_after_a_checkpoint(pid: int, folder: pathlib.Path) -> None:
    end = time.monotonic() + SECONDS
    while not list(folder.glob("epoch-*")):
        assert time.monotonic() < end
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)


# The other wrong settings are those of tests/experiments.
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--encoder_depth=11"], "imagenet_tpu.py: `--encoder_depth` should be one of"),
        (
            ["--strategy=mirrored", "--num_virtual_cpus=2", "--batch_size=15"],
            "imagenet_tpu.py: `--batch_size` should be divisible by the number of replicas, 2. "
            "Received: --batch_size=15",
        ),
        (
            ["--model_dir=gs://bucket/models"],
            "imagenet_tpu.py: `--model_dir` should be a folder of a mounted file system. "
            "Received: --model_dir='gs://bucket/models'",
        ),
        (["--epochs=0"], "--epochs"),
    ],
)
def test_a_wrong_flag_is_named_in_a_line_and_nothing_is_written(
    programs, data_dir, tmp_path, flags, message
):
    model_dir = tmp_path / "models"
    code, output, errors = programs.run(
        PROGRAM, f"--model_dir={model_dir}", f"--data_dir={data_dir}", *SMALL, *flags
    )
    assert code == 1
    assert "Traceback" not in errors
    assert [message in line for line in (output + errors).splitlines()].count(True) == 1
    assert not model_dir.exists()

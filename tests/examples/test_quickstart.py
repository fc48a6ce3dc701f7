"""The examples as a user starts them: each in a process of its own."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_supcon  # noqa: F401, whose classes files name
from tests.covering import representatives

ROOT = pathlib.Path(__file__).parent.parent.parent
PROGRAM = "quickstart.py"


@pytest.mark.slow
def test_writes_models_results_and_a_report_that_agree(programs, tmp_path):
    from keras_supcon.data.digits import read_digits

    flags = (f"--output_dir={tmp_path}", "--epochs=12", "--batch_size=128", "--seed=3")
    code, output, errors = programs.run(PROGRAM, *flags)
    assert code == 0, errors
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["epochs"] == 12
    (results,) = content["runs"]
    assert results["seed"] == 3
    assert results["accuracy"] > 0.85
    assert results["cross_entropy_accuracy"] > 0.85
    assert results["knn_accuracy"] > 0.85
    for name, number in content["summary"].items():
        assert number == {"mean": results[name], "min": results[name], "max": results[name]}

    table = [
        re.split(r"\s*\|\s*", line.strip("| "))
        for line in output.splitlines()
        if line.startswith("|")
    ]
    assert table[0][:3] == ["trained with", "test accuracy", "kNN accuracy of the embedding"]
    assert table[2][1] == f"{results['accuracy']:.2%}"
    assert table[3][1] == f"{results['cross_entropy_accuracy']:.2%}"
    assert "One of the 355 test images is 0.28 points. One run says little" in output
    assert output.count("Compiling the first step") == 3
    written = re.findall(rf"^  ({re.escape(str(tmp_path))}\S+)  +\S", output, re.MULTILINE)
    assert {pathlib.Path(path).name for path in written} == {
        path.name for path in tmp_path.iterdir() if path.is_file()
    }
    assert all(map(os.path.exists, written))
    assert f'keras.saving.load_model("{tmp_path}/classifier.keras")' in output

    images, labels = read_digits("test")
    for name in ("classifier", "cross_entropy"):
        model = keras.saving.load_model(tmp_path / f"{name}.keras")
        accuracy = np.mean(model.predict(images, verbose=0).argmax(axis=1) == labels)
        assert accuracy == pytest.approx(
            results["accuracy" if name == "classifier" else "cross_entropy_accuracy"]
        )
    encoder = keras.saving.load_model(tmp_path / "contrastive.keras").encoder
    classifier_encoder = keras.saving.load_model(tmp_path / "classifier.keras").encoder
    for ours, theirs in zip(encoder.get_weights(), classifier_encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)  # frozen
    assert "12 epochs" in (tmp_path / "report.html").read_text()
    left_over = [path.name for path in tmp_path.rglob("*") if "unfinished" in path.name]
    assert left_over == []


@pytest.mark.slow
@representatives("num_seeds", [], [2])
def test_several_seeds_are_the_runs_that_each_would_be(programs, tmp_path, num_seeds):
    pids = {
        name: programs.start(PROGRAM, f"--output_dir={tmp_path / name}", "--epochs=1", *flags)
        for name, flags in {"two": (f"--seeds={num_seeds}",), "second": ("--seed=1",)}.items()
    }
    outputs = {}
    for name, pid in pids.items():
        code, outputs[name], errors = programs.wait(pid)
        assert code == 0, errors
    both, second = (json.loads((tmp_path / name / "results.json").read_text()) for name in pids)
    assert [run["seed"] for run in both["runs"]] == [0, 1]
    for name, number in both["summary"].items():
        values = [run[name] for run in both["runs"]]
        assert values[1] == second["runs"][0][name]
        assert number == {
            "mean": pytest.approx(sum(values) / 2),
            "min": min(values),
            "max": max(values),
        }
    low, high = (100 * both["summary"]["accuracy"][name] for name in ("min", "max"))
    assert f"({low:.2f}% to {high:.2f}%)" in outputs["two"]
    assert "Mean (lowest to highest) of the seeds 0 to 1." in outputs["two"]
    models = {"contrastive.keras", "classifier.keras", "cross_entropy.keras"}
    for seed in (0, 1):
        assert {path.name for path in (tmp_path / "two" / f"seed-{seed}").iterdir()} == models
    assert {path.name for path in (tmp_path / "two").iterdir()} == {
        "figures",
        "report.html",
        "report.json",
        "report.md",
        "results.json",
        "seed-0",
        "seed-1",
    }


@pytest.mark.slow
@representatives("number", [signal.SIGTERM], [signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_a_model_that_loads(tmp_path, number):
    environment = {
        name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"
    }
    before = signal.signal(
        number, signal.SIG_DFL
    )  # shells have programs in the background ignore Ctrl-C, which is handed on
    process = subprocess.Popen(
        [
            sys.executable,
            str(ROOT / "examples" / PROGRAM),
            f"--output_dir={tmp_path}",
            "--epochs=1000",
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**environment, "PYTHONUNBUFFERED": "1"},
    )
    signal.signal(number, before)
    try:
        output = b""
        while b"Epoch 3/" not in output:
            chunk = os.read(process.stdout.fileno(), 4096)
            assert chunk, output.decode()
            output += chunk
        process.send_signal(number)
        output += process.communicate(timeout=120)[0]
    finally:
        process.kill()
    assert process.returncode == 128 + number
    said = f"Stopped by {number.name}. What was trained until now was saved: "
    assert output.decode().endswith(
        f"\n{said}keras.saving.load_model('{tmp_path}/contrastive.keras')\n"
    )
    # Without the noise of TensorFlow's start.
    assert output.startswith(b"digits, 1000 epochs, encoder 'small'; Keras ")
    assert not re.search(rb"[IWE]0000 |oneDNN|absl", output)
    model = keras.saving.load_model(tmp_path / "contrastive.keras")
    assert int(model.optimizer.iterations) >= 24  # two epochs of twelve steps
    assert sorted(path.name for path in tmp_path.iterdir()) == ["contrastive.keras"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--dataset=digit", "Did you mean 'digits'"),
        ("--batch_size=0", "quickstart.py: `batch_size` should be a whole number of at least 1"),
        ("--seeds=0", "--seeds"),
        ("digits", "Flags look like --name=value"),
    ],
)
def test_a_wrong_flag_is_named_and_nothing_is_written(programs, tmp_path, flag, message):
    output_dir = tmp_path / "output"
    code, output, errors = programs.run(PROGRAM, f"--output_dir={output_dir}", flag)
    assert code != 0
    assert message in output + errors
    assert not output_dir.exists()

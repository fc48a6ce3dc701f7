"""The command `keras-supcon`, as a user types it."""

import json
import re

import keras
import numpy as np
import pytest

from keras_supcon.cli import doctor, main
from keras_supcon.experiments.claims import Claims

COMMANDS = ("evaluate", "embed", "study", "claims", "demo", "doctor")

needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="`tf.data` reads the data sets"
)


@pytest.fixture
def encoder(tmp_path):
    path = tmp_path / "pixels.keras"
    keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()]).save(path)
    return path


@pytest.mark.neutral
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_can_be_read(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"] if command else ["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: keras-supcon {command}".rstrip())
    assert max(map(len, text.splitlines())) <= 110
    if command:
        assert f"keras-supcon {command}" in text.split("\n\n", 1)[1]
    else:
        for name in COMMANDS:
            assert re.search(rf"^ +{name} +\w", text, re.MULTILINE)


@needs_tensorflow
def test_evaluate_prints_and_writes(encoder, tmp_path, capsys):
    arguments = [
        "evaluate",
        f"--encoder={encoder}",
        "--dataset=digits",
        f"--output_dir={tmp_path / 'out'}",
        "--protocols=knn, retrieval",
    ]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    accuracy = json.loads((tmp_path / "out" / "knn.json").read_text())["pixels"]["accuracy"]
    assert f"{accuracy:.2%}" in said
    assert str(tmp_path / "out" / "report.html") in said
    with pytest.raises(SystemExit, match="`--output_dir` should not hold the results of another"):
        main(arguments)
    assert main([*arguments, "--overwrite"]) == 0


@needs_tensorflow
def test_embed_writes_what_numpy_loads(encoder, tmp_path, capsys):
    arguments = ["embed", f"--encoder={encoder}", "--dataset=digits", "--split=test"]
    assert main([*arguments, f"--output_dir={tmp_path / 'out'}"]) == 0
    assert np.load(tmp_path / "out" / "embeddings.npy").shape == (355, 64)
    assert np.load(tmp_path / "out" / "labels.npy").shape == (355,)
    assert "355 embeddings of 64 features" in capsys.readouterr().out


@needs_tensorflow
@pytest.mark.slow
def test_demo_trains_and_says_how_to_go_on(tmp_path, capsys):
    assert main(["demo", "--epochs=1", f"--output_dir={tmp_path}"]) == 0
    said = capsys.readouterr().out
    assert "SupCon, then linear classifier" in said
    assert (tmp_path / "contrastive.keras").is_file()
    command = re.search(r"keras-supcon (evaluate .*)", said)[1].split()
    command[-1] = f"--output_dir={tmp_path / 'evaluation'}"
    assert main([*command, "--protocols=knn"]) == 0


@pytest.mark.neutral
@pytest.mark.slow
def test_doctor_finds_nothing_wrong_here(capsys):
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert keras.__version__ in said
    assert keras.backend.backend() in said
    assert "All works." in said


@pytest.mark.neutral
def test_doctor_says_what_fails(monkeypatch, capsys):
    def broken():
        raise RuntimeError("no device")

    monkeypatch.setattr(doctor, "_CHECKS", {"device": broken, "other": lambda: "fine"})
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "FAILED: RuntimeError: no device" in said
    assert "fine" in said
    assert "1 of 2 checks failed" in said


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["evaluate", "--encoder=none.keras", "--dataset=digits"],
            "`--encoder` should be the file",
        ),
        (
            ["evaluate", "--encoder=x", "--dataset=digits", "--protocols=magic"],
            "`--protocols` should",
        ),
        (["embed", "--encoder=none.keras", "--dataset=digits"], "`--encoder` should be the file"),
        (["demo", "--epochs=0"], "`--epochs` should be"),
        (
            ["evaluate", "--encoder=x", "--baseline=x", "--dataset=digits"],
            "`--name` and `--baseline_name` should be different",
        ),
    ],
)
def test_wrong_input_is_one_line(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=message):
        main([*arguments, "--output_dir=out"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.neutral
def test_unknown_commands_are_named(capsys):
    for arguments in (["fly"], [], ["evaluate", "--encoder=x"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert capsys.readouterr().err.startswith("usage: keras-supcon")


@pytest.mark.neutral
def test_an_interrupted_command_says_so(tmp_path, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Claims, "run", interrupt)
    assert main(["claims", f"--output_dir={tmp_path}"]) == 130
    assert capsys.readouterr().err == "keras-supcon claims: stopped\n"


def test_claims_judges_what_is_computed(tmp_path, capsys):
    names = "in_below_out, hard_and_easy_pairs"
    assert main(["claims", f"--claims={names}", f"--output_dir={tmp_path}"]) == 0
    said = capsys.readouterr().out
    assert said.count("holds") == 2
    verdicts = json.loads((tmp_path / "claims.json").read_text())["claims"]
    assert {one["verdict"] for one in verdicts.values()} == {"holds"}
    assert (tmp_path / "report.html").exists()


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["claims", "--claims=none"], "`--claims` should be"),
        (["claims", "--minutes=-1"], "`--minutes` should be"),
        (["claims", "--claims=simclr", "--verdicts=x.md"], "`--verdicts` should be None"),
        (["study", "--factor=epochs", "--values=1,x", "--dataset=digits"], "`--values` should be"),
        (["study", "--factor=epochs", "--values=1", "--dataset=digits"], "at least two"),
        (["study", "--factor=epochs", "--values=1,2", "--dataset=digits", "--seeds=1"], "--seeds"),
    ],
    ids=["name", "minutes", "documents", "kind", "one", "seeds"],
)
def test_wrong_arguments_of_experiments_are_one_line(arguments, message, tmp_path):
    with pytest.raises(SystemExit, match=message):
        main([*arguments, f"--output_dir={tmp_path}"])
    assert not list(tmp_path.iterdir())


@pytest.mark.quickest
@pytest.mark.neutral
@pytest.mark.slow
def test_study_prints_a_table_and_goes_on(tmp_path, capsys):
    arguments = [
        "study",
        "--factor=temperature",
        "--values=0.1, 1",
        "--dataset=digits",
        "--train_images=100",
        "--epochs=1",
        "--batch_size=32",
        "--seeds=2",
        "--measurement=knn",
        f"--output_dir={tmp_path}",
    ]
    assert main(arguments) == 0
    first = capsys.readouterr().out
    assert "trainings: 4 of 4" in first
    assert str(tmp_path / "report.html") in first
    assert main(arguments) == 0
    again = capsys.readouterr().out
    assert again.splitlines()[0] == "trainings: 4 of 4"
    assert again.splitlines()[1:4] == first.splitlines()[-5:-2]

"""Each program as a user meets it first: its help, a trial on the digits without network, what it
says of missing packages.
"""

import ast
import importlib
import os
import pathlib
import re
import subprocess
import sys

import pytest

from tests.covering import representatives

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
ON_DIGITS = (
    "--dataset=digits",
    "--model_dir=trial",
    "--batch_size=256",
    "--epochs=1",
    "--linear_epochs=1",
    "--encoder_depth=10",
    "--encoder_width=0.125",
)
# From the program to the flags of its smallest run on the digits and a file that the run writes, or
# None. quickstart.py is run by test_quickstart.py.
TRIALS = {
    "own_images.py": (("--images=digits", "--image_size=8", "--epochs=1"), "own_images.keras"),
    # test_cifar10.py runs the other methods.
    "cifar10.py": ((*ON_DIGITS, "--method=cross_entropy"), "trial/classifier.keras"),
    "imagenet_tpu.py": ((*ON_DIGITS, "--image_size=16"), "trial/classifier.keras"),
    "methods.py": (
        ("--method=byol", "--epochs=1", "--linear_epochs=1", "--encoder_width=0.125"),
        "build/methods/methods.md",
    ),
    "continual.py": (
        (
            "--arm=co2l",
            "--num_tasks=2",
            "--seeds=1",
            "--first_epochs=1",
            "--epochs=1",
            "--images_per_class=40",
            "--buffer_size=20",
            "--encoder_width=0.125",
        ),
        "build/continual/table.md",
    ),
    "recipe_to_keras.py": (("--epochs=1",), None),
    "show_augmentations.py": (
        ("--images=digits", "--size=24", "--output_dir=trial"),
        "trial/recipes.jpg",
    ),
}
PROGRAMS = ("quickstart.py", *TRIALS)
pytestmark = pytest.mark.slow


def test_the_table_names_every_program():
    assert set(PROGRAMS) == {
        path.name for path in EXAMPLES.glob("*.py") if '__name__ == "__main__"' in path.read_text()
    }


def test_help_says_what_a_program_does_and_how_to_try_it(programs):
    pids = {program: programs.start(program, "--help") for program in PROGRAMS}
    for program, pid in pids.items():
        _, output, errors = programs.wait(pid)
        first, blank, command, *_ = output.splitlines()
        assert len(first) > 30
        assert first.endswith((".", ":")), program
        assert blank == ""
        assert command.startswith(f"    python examples/{program}")
        assert "digits" in output.split("flags:")[0]
        assert "no network" in output.split("flags:")[0]
        assert "flags:" in output
        assert errors == ""


# The others have tests of their own, on other data.
@representatives(
    "program",
    ["cifar10.py", "continual.py", "methods.py", "recipe_to_keras.py", "show_augmentations.py"],
    ["own_images.py", "imagenet_tpu.py"],
)
def test_runs_on_the_digits(programs, tmp_path, monkeypatch, program):
    trial, written = TRIALS[program]
    code, output, errors = programs.run(program, *trial, cwd=str(tmp_path))
    assert code == 0, errors
    assert output
    assert "AutoGraph" not in errors
    assert written is None or (tmp_path / written).stat().st_size > 0


# The others start a process of their own: those above are forked from one that has the imports.


@representatives("program", PROGRAMS[:1], PROGRAMS[1:])
def test_an_unknown_flag_is_named(program):
    finished = subprocess.run(
        [sys.executable, EXAMPLES / program, "--no_such_flag"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1
    assert "Unknown command line flag 'no_such_flag'" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_the_guide_names_every_program():
    guide = (EXAMPLES / "README.md").read_text()
    assert set(re.findall(r"^\| `(\w+\.py)`", guide, re.MULTILINE)) == set(PROGRAMS)


def test_programs_use_the_public_names_alone():
    """Of the package they import rooms, and from rooms what these export."""
    for path in EXAMPLES.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("keras_supcon"):
                exported = importlib.import_module(node.module).__all__
                assert {alias.name for alias in node.names} <= set(exported), path.name
            if isinstance(node, ast.Import):
                ours = [one.name for one in node.names if one.name.startswith("keras_supcon")]
                assert ours in ([], ["keras_supcon"]), path.name


def test_every_program_begins_with_the_import_that_names_what_is_missing():
    for program in PROGRAMS:
        imports = re.findall(
            r"^(?:import|from) (\w+)", (EXAMPLES / program).read_text(), re.MULTILINE
        )
        own = imports[: imports.index("start")]
        assert set(own) <= set(sys.stdlib_module_names), program


@pytest.mark.parametrize(
    ("program", "flags", "package", "sentence"),
    [
        (
            "quickstart.py",
            (),
            "keras",
            "quickstart.py needs keras, which is not installed: `pip install",
        ),
        (
            "quickstart.py",
            (),
            "absl",
            "quickstart.py needs absl, which is not installed: `pip install",
        ),
        (
            "quickstart.py",
            (),
            "matplotlib",
            "quickstart.py: The report at the end needs matplotlib, which is not installed:",
        ),
        (
            "cifar10.py",
            ("--model_dir=trial",),
            "tensorflow",
            "cifar10.py needs tensorflow, which is not installed:",
        ),
        (
            "show_augmentations.py",
            (),
            "sklearn",
            "show_augmentations.py needs sklearn, which is not installed:",
        ),
    ],
)
def test_a_missing_package_is_named_before_anything_is_done(
    tmp_path, program, flags, package, sentence
):
    (tmp_path / "sitecustomize.py").write_text(f"import sys; sys.modules[{package!r}] = None")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    finished = subprocess.run(
        [sys.executable, EXAMPLES / program, *flags],
        env={**os.environ, "PYTHONPATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1
    assert finished.stderr.startswith(sentence)
    assert "pip install" in finished.stderr
    assert finished.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"] == [
        "sitecustomize.py"
    ]

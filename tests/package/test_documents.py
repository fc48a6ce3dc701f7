"""Python in the documents prints what they say; commands, files and flags in them exist."""

import ast
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "examples" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
# Those whose Python runs on every backend, without TensorFlow.
NEUTRAL = ("labels.md", "losses.md")
PROGRAMS = [
    path for path in sorted((ROOT / "examples").glob("*.py")) if "flags.DEFINE" in path.read_text()
]
NAMES = {"ids": lambda path: str(path.relative_to(ROOT))}
every_document = pytest.mark.parametrize("path", DOCUMENTS, **NAMES)
every_text = pytest.mark.parametrize("path", [*DOCUMENTS, *PROGRAMS], **NAMES)
# Python, and the text block that shows what it prints, where one follows at once.
README_BLOCKS = re.findall(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", README, re.DOTALL)
# Those of `tests/conftest.py` that trade the speed of a program for that of its compilation.
NOT_OF_A_USER = ("XLA_FLAGS",)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("block", "shown"),
    [
        pytest.param(block, shown, marks=[] if number else pytest.mark.neutral, id=str(number + 1))
        for number, (block, shown) in enumerate(README_BLOCKS)
    ],
)
def test_every_block_of_the_readme_runs_in_a_process_of_its_own(block, shown, tmp_path):
    finished = subprocess.run(
        [sys.executable, "-c", block],
        cwd=tmp_path,
        env={
            **{name: value for name, value in os.environ.items() if name not in NOT_OF_A_USER},
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    if shown:
        assert without_numbers(finished.stdout) == without_numbers(shown)
        for ours, theirs in zip(percentages(finished.stdout), percentages(shown), strict=True):
            assert ours == pytest.approx(theirs, abs=3)


def without_numbers(text: str) -> str:
    return re.sub(r"\d+(\.\d+)?", "#", text)


def percentages(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"([\d.]+)%", text)]


def test_the_first_block_of_the_readme_is_the_whole_method_with_what_it_prints():
    block, shown = README_BLOCKS[0]
    for name in (
        "ContrastiveModel",
        "LinearClassifier",
        "evaluate",
        "predict",
        "save",
        "load_model",
    ):
        assert name in block
    assert percentages(shown)
    assert percentages(shown)[0] >= 95


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[pytest.mark.neutral] if path.name in NEUTRAL else [])
        for path in DOCUMENTS[1:]
    ],
    **NAMES,
)
def test_every_python_block_runs(path, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL):
        exec(compile(block, path.name, "exec"), names)  # later blocks use the names of earlier ones


@every_document
def test_every_file_it_points_to_exists(path):
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


@every_text
def test_every_command_it_names_exists(path):
    makefile, setup = ((ROOT / name).read_text() for name in ("Makefile", "setup.py"))
    for command in commands(path):
        if match := re.match(r"make ([a-z-]+)(.*)", command):
            target, variables = match.groups()
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), command
            for variable in re.findall(r"([A-Z_]+)=", variables):
                assert re.search(rf"^{variable} \?=", makefile, re.MULTILINE), command
        if match := re.search(r"\bpython3? ((?:examples|benchmarks|tools)/\w+\.py)(.*)", command):
            program, flags = match.groups()
            assert set(re.findall(r"--(\w+)", flags)) <= flags_of(ROOT / program), command
        if match := re.search(r"pip install '\.\[([\w,-]+)\]'", command):
            for extra in match.group(1).split(","):
                assert f'"{extra}": [' in setup, command


def test_the_commands_that_are_checked_are_those_of_the_readme():
    found = "\n".join(commands(ROOT / "README.md"))
    for command in (
        "make demo",
        "make test",
        "pip install '.[tensorflow,report]'",
        "quickstart.py --seeds=5",
        "--micro_batch_size=32",
    ):
        assert command in found


def commands(path: pathlib.Path) -> Iterator[str]:
    """Returns the shell lines and the code in the text, or in the docstring of a program.

    Comments are removed.
    """
    text = path.read_text()
    if path.suffix == ".py":
        text = re.sub(
            r"(?m)^ {4}(.*)$",
            r"```\n\1\n```",
            re.sub(r"\\\n +", "", ast.get_docstring(ast.parse(text)) or ""),
        )
    fences = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    for language, block in fences.findall(text):
        for line in [] if language else re.sub(r"\\\n\s*", "", block).splitlines():
            yield line.partition(" #")[0].strip()
    yield from re.findall(r"`([^`\n]+)`", fences.sub("", text))


def flags_of(program: pathlib.Path) -> set[str]:
    """Returns the flags that a program, and the modules beside it that it imports, define."""
    source = program.read_text()
    flags = set(re.findall(r'DEFINE_\w+\(\s*"(\w+)"', source))
    for module in re.findall(r"^(?:import|from) (\w+)", source, re.MULTILINE):
        beside = program.with_name(f"{module}.py")
        if beside.exists():
            flags |= flags_of(beside)
    return flags

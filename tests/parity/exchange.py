"""Questions to another package and its answers, as files: the packages do not fit into one
environment.

Both sides import this module, so it needs no more than NumPy.
"""

import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

ROOT = pathlib.Path(__file__).parent.parent.parent


class Case(NamedTuple):
    """A batch, what a peer computes of it, and the same from ours."""

    peer: str
    """Name of the loss in the peer's program."""
    ours: Callable[[Any], Any]
    """Maps embeddings `(batch, views, dim)` to our loss with the factors, mean and anchors of the
    peer.
    """
    arguments: dict[str, Any]
    """Arrays and numbers for the peer; the gradient is taken at `embeddings`."""


class Answer(NamedTuple):
    value: float
    gradient: np.ndarray


def ask(
    interpreter: str, program: str, cases: dict[str, Case], folder: pathlib.Path
) -> dict[str, Answer]:
    """Answers to all cases from one run of a module of this folder."""
    questions = {
        f"{name}/{case.peer}/{argument}": value
        for name, case in cases.items()
        for argument, value in case.arguments.items()
    }
    answers = run_peer(interpreter, program, questions, folder)
    return {
        name: Answer(float(answers[f"{name}/value"]), answers[f"{name}/gradient"]) for name in cases
    }


def run_peer(
    interpreter: str,
    program: str,
    questions: dict[str, Any],
    folder: pathlib.Path,
    timeout: float = 300,
) -> dict[str, np.ndarray]:
    """Runs a module of this folder on arrays, and returns its arrays; it has the two file names."""
    np.savez(folder / "questions.npz", **questions)
    command = [
        interpreter,
        "-m",
        f"tests.parity.{program}",
        folder / "questions.npz",
        folder / "answers.npz",
    ]
    finished = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert finished.returncode == 0, finished.stderr
    with np.load(folder / "answers.npz") as answers:
        return dict(answers)


def answer(
    losses: dict[str, Callable[..., Any]],
    value_and_gradient: Callable[[Callable[[Any], Any], np.ndarray], tuple[Any, Any]],
) -> None:
    """The peer's side of `ask`: `losses` take embeddings and the other arguments, as NumPy arrays,
    by name.
    """
    cases: dict[tuple[str, str], dict[str, np.ndarray]] = {}
    with np.load(sys.argv[1]) as questions:
        for key in questions.files:
            name, loss, argument = key.split("/")
            cases.setdefault((name, loss), {})[argument] = questions[key]
    answers = {}
    for (name, loss), arguments in cases.items():
        embeddings = arguments.pop("embeddings")
        answers[f"{name}/value"], answers[f"{name}/gradient"] = value_and_gradient(
            lambda z, loss=loss, arguments=arguments: losses[loss](z, **arguments), embeddings
        )
    np.savez(sys.argv[2], **answers)

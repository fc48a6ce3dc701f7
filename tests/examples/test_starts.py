"""Each program finds what it imports when a user starts it; the other tests fork it from a process that has the imports."""

import pathlib
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.mark.slow
@pytest.mark.parametrize("program", ["cifar10.py", "imagenet_tpu.py", "own_images.py", "show_augmentations.py"])
def test_an_unknown_flag_is_named(program):
    finished = subprocess.run(
        [sys.executable, EXAMPLES / program, "--no_such_flag"], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 1
    assert "Unknown command line flag 'no_such_flag'" in finished.stderr
    assert "Traceback" not in finished.stderr

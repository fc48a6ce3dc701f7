"""`examples/show_augmentations.py` at a small size."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent


@pytest.mark.slow
def test_draws_every_operation_and_every_recipe(tmp_path):
    from PIL import Image

    program = ROOT / "examples" / "show_augmentations.py"
    command = [sys.executable, str(program), f"--output_dir={tmp_path}", "--size=24"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    rows = {"operations.jpg": 11, "recipes.jpg": 8}
    for name, number in rows.items():
        with Image.open(tmp_path / name) as picture:
            assert abs(picture.height - number * (24 + 3 + 15)) <= 2
            assert len(set(picture.resize((40, 40)).getdata())) > 500

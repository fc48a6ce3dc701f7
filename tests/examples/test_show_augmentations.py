"""`examples/show_augmentations.py` at a small size."""

import numpy as np
import pytest


@pytest.mark.slow
def test_draws_every_operation_and_every_recipe(programs, tmp_path):
    from PIL import Image

    code, _, errors = programs.run("show_augmentations.py", f"--output_dir={tmp_path}", "--size=24")
    assert code == 0, errors
    rows = {"operations.jpg": 11, "recipes.jpg": 8}
    for name, number in rows.items():
        with Image.open(tmp_path / name) as picture:
            assert abs(picture.height - number * (24 + 3 + 15)) <= 2
            colors = np.asarray(picture.resize((40, 40))).reshape(-1, 3)
            assert len(np.unique(colors, axis=0)) > 500

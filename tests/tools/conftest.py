import pathlib
from collections.abc import Callable

import pytest

DATA_DIR = pathlib.Path(__file__).parents[2] / "build" / "tfds"


@pytest.fixture
def real() -> Callable[[str], pathlib.Path]:
    """Returns the folder of TFDS data sets, if one of that name was prepared; skips otherwise."""

    def data_dir(name: str) -> pathlib.Path:
        if not (DATA_DIR / name).is_dir():
            pytest.skip(f"There is no {name} in build/tfds: `make datasets` prepares it")
        return DATA_DIR

    return data_dir

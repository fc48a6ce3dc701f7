"""The benchmark of reading folders, on a few small files."""

import pathlib

import pytest

BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _benchmarks_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.slow
def test_measures_what_it_says(tmp_path, monkeypatch):
    import data_files
    import data_implementations as implementations

    monkeypatch.setattr(data_files, "FILES", {"small": (900, 720, 6)})
    monkeypatch.setattr(data_files, "SIDE", 16)
    monkeypatch.setattr(data_files, "FILES_PER_CLASS", 2)
    data_files.write_files(tmp_path)
    small, large = tmp_path / "small", tmp_path / "large"
    assert len(list(small.glob("*/*.jpg"))) == 6
    assert len(list(large.glob("*/*.jpg"))) == 80
    assert len({path.stat().st_ino for path in large.glob("*/*.jpg")}) == data_files.NUM_DIFFERENT
    monkeypatch.setattr(implementations, "BATCH_SIZE", 4)
    errors = {}
    for name in ("keras_supcon", "keras_supcon_antialias", "keras"):
        read = implementations.IMPLEMENTATIONS[name].read
        rate = implementations.measure_rate(read, str(small), 1)
        assert [window["images"] for window in rate["windows"]] == [6]
        assert rate["windows"][0]["cpu_seconds"] > 0
        errors[name] = rate["error"]
        start = implementations.measure_start(read, str(large), str(small))
        assert 0 < start["made_seconds"] < start["first_batch_seconds"]
        assert start["num_classes"] > 10
        memory = implementations.measure_memory(read, str(large))
        assert len(memory["megabytes"]) == 10
    assert errors["keras_supcon_antialias"] < errors["keras_supcon"] < 1.05 * errors["keras"]

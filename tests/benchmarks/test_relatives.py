"""The losses that `benchmarks/relatives.py` measures, and its table."""

import importlib
import pathlib

import numpy as np
import pytest
from keras import ops

from tests.autodiff import value_and_gradient

BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _benchmarks_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_every_loss_runs_and_is_another_one(rng):
    implementations = importlib.import_module("relatives_implementations")
    class_ids, z = rng.integers(0, 5, 24), rng.normal(size=(24, 2, implementations.DIM))
    values = {}
    for name in implementations.LOSSES:
        loss = implementations._loss_function(name)
        labels = ops.convert_to_tensor(implementations._labels(name, class_ids))
        value, gradient = value_and_gradient(
            lambda views, loss=loss, labels=labels: ops.mean(loss(views, labels)),
            z.astype("float32"),
        )
        assert np.isfinite(value)
        assert np.abs(gradient).max() > 0
        values[name] = value
    assert values["pair_weights"] == pytest.approx(values["supcon"], rel=1e-5)
    del values["pair_weights"]
    assert len({round(float(value), 5) for value in values.values()}) == len(values)


def test_the_table_has_multiples_of_supcon_on_the_same_backend():
    tables = importlib.import_module("relatives_tables")
    measured = {"extra_memory_mb": 3.0}
    records = [
        {"implementation": name, "loss_name": loss, "step_seconds": [seconds, 9.0], **measured}
        for name, loss, seconds in (
            ("ours_tensorflow", "supcon", 0.2),
            ("ours_torch", "supcon", 0.1),
            ("ours_tensorflow", "SINCERE", 0.3),
            ("ours_torch", "SINCERE", 0.4),
        )
    ]
    records.append(
        {"implementation": "tensorflow_addons", "loss_name": "SINCERE", "note": "not run: 9 GB"}
    )
    table = tables.format_rows(records)
    (line,) = [line for line in table.splitlines() if line.startswith("| SINCERE")]
    assert ", 1.5x, 3 MB" in line
    assert ", 4.0x, 3 MB" in line
    assert "not run: 9 GB" in line

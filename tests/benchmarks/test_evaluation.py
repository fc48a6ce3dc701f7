"""The benchmark of evaluation, on few rows."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _benchmarks_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture
def arrays(tmp_path):
    import evaluation_data

    evaluation_data.write_splits(tmp_path / "rows.npz", None, train=600, test=500, width=32)
    with np.load(tmp_path / "rows.npz") as file:
        return dict(file)


def test_made_up_rows_look_like_those_of_an_encoder(arrays):
    assert arrays["train"].shape == (600, 32)
    assert arrays["train"].dtype == "float32"
    assert set(arrays["train_labels"]) == set(arrays["test_labels"]) == set(range(10))
    assert (arrays["train"] >= 0).all()
    correlations = np.corrcoef(arrays["train"].T)[np.triu_indices(32, k=1)]
    assert np.abs(correlations).mean() > 0.1
    # Other images of the same patterns.
    assert not np.isin(arrays["test"][:, 0], arrays["train"][:, 0]).mean() > 0.5


@pytest.mark.parametrize(
    ("task", "options", "least"),
    [
        ("knn", {"neighbors": 20}, 0.5),
        ("linear", {"regularizations": [0.1, 10.0]}, 0.5),
        ("retrieval", {}, 0.2),
        ("effective_rank", {}, 2),
        ("uniformity", {}, -4),
    ],
)
def test_implementations_agree(arrays, task, options, least):
    import evaluation_implementations as implementations
    import evaluation_tables as tables

    records = [
        {
            "implementation": name,
            **implementations.measure(implementation, arrays, options, repeats=2, seconds=60),
        }
        for name, implementation in implementations.IMPLEMENTATIONS[task].items()
        if implementation.environment == "ours"
    ]
    assert all(len(record["seconds"]) == 2 for record in records)
    assert min(record["seconds"][0] for record in records) > 0
    assert records[0]["score"] > least
    table = {"task": task, "title": "t", "sizes": (600, 500, 32), "records": records}
    assert tables.disagreement(table) is None
    assert len(tables.format_table(table).splitlines()) == 4 + len(records)


def test_votes_of_a_search_are_those_of_knn_evaluation(arrays):
    import evaluation_implementations as implementations

    from keras_supcon.evaluation.search import nearest

    unit = {name: implementations.unit_rows(arrays[name]) for name in ("train", "test")}
    found = nearest(unit["test"], unit["train"], 20)
    ours = implementations.knn_of_keras_supcon(arrays, {"neighbors": 20})
    assert implementations.accuracy_of_votes(arrays, *found) == ours


def test_tables_have_ratios_and_notes_and_tell_of_disagreement():
    import evaluation_tables as tables

    records = [
        {"implementation": "keras_supcon", "seconds": [0.5, 0.4], "extra_memory_mb": 7, "score": 1},
        {"implementation": "torch", "seconds": [0.2, 0.3], "extra_memory_mb": 2000, "score": 1.0},
    ]
    table = {"task": "uniformity", "title": "U", "sizes": (1000, 1, 4), "records": records}
    title, _, _, _, ours, theirs = tables.format_table(table).splitlines()
    assert title == "U, 1,000 rows of 4"
    assert [cell.strip() for cell in ours.split("|")[2:5]] == ["400 ms", "1.00", "7 MB"]
    assert [cell.strip() for cell in theirs.split("|")[2:5]] == ["200 ms", "0.50", "2,000 MB"]
    assert tables.disagreement(table) is None
    records[1]["score"] = float("nan")
    assert "the uniformity of torch is nan" in tables.disagreement(table)
    records[1] = {"implementation": "torch", "note": "failed (1): no memory"}
    assert "failed (1): no memory" in tables.format_table(table)
    assert "torch failed (1)" in tables.disagreement(table)


@pytest.mark.slow
def test_a_trial_run_measures_and_writes(tmp_path):
    command = [
        sys.executable,
        BENCHMARKS / "evaluation.py",
        "--quick",
        "--tasks=uniformity",
        f"--output_dir={tmp_path}",
    ]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    assert "| keras_supcon" in run.stdout
    assert "Left out" in run.stdout
    (table,) = json.loads((tmp_path / "results.json").read_text())["tables"]
    assert table["task"] == "uniformity"
    assert table["records"][0]["extra_memory_mb"] >= 0


def test_the_plan_has_every_task_and_its_trial_the_same_tables():
    import evaluation_implementations as implementations
    import evaluation_plan

    tables, trial = (evaluation_plan.plan(is_quick=quick) for quick in (False, True))
    assert {table.task for table in tables} == set(implementations.IMPLEMENTATIONS)
    assert [table.workers for table in trial] == [table.workers for table in tables]
    assert all(table.workers[0] == implementations.OURS for table in tables)
    assert max(table.sizes[0] for table in trial) < 1000

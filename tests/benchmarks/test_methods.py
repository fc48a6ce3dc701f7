"""The benchmark of methods: what it runs is what it says, and nothing is chosen on test images."""

import dataclasses
import pathlib
import subprocess
import sys

import numpy as np
import pytest

BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _benchmarks_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def run_of(method: str, **fields):
    from methods_run import Run

    numbers = {
        "dataset": "fashion_mnist",
        "seed": 0,
        "num_images": 16,
        "batch_size": 8,
        "epochs": 2,
        "queue_size": 8,
    }
    network = {"learning_rate": 1e-3, "depth": 10, "width": 0.125}
    return Run(**{"method": method, **numbers, **network, **fields})


@pytest.mark.parametrize("method", ["supcon", "moco", "moco_supcon", "simsiam", "byol", "nnclr"])
def test_a_run_is_the_recipe_with_its_numbers(method):
    from methods_keras_supcon import make_model

    model = make_model(run_of(method), (28, 28))
    assert model.num_views == 2
    assert model.augmenter.get_config()["image_size"] == (28, 28)
    assert model.encoder.depth == 10
    assert getattr(model, "queue_size", 8) == 8
    expected = {"supcon": "SupConLoss", "moco": "NTXentLoss", "moco_supcon": "SupConLoss"}
    expected |= {"nnclr": "NTXentLoss"}
    loss = expected.get(method, "NegativeCosineLoss")
    assert type(model.loss).__name__ == loss
    if method in ("byol", "simsiam"):
        assert model.initial_momentum == (0.97 if method == "byol" else 0)
        assert model.total_steps == (2 * 2 if method == "byol" else None)
    # The warm-up is the first epoch, of two steps.
    schedule = model.optimizer._learning_rate
    rates = [float(schedule(step)) for step in range(4)]
    np.testing.assert_allclose(rates, [0, 5e-4, 1e-3, 5e-4], rtol=1e-5)


@pytest.mark.slow
def test_a_run_leaves_times_memory_and_the_features_of_every_split(tmp_path, rng):
    import json

    from methods_run import Paths, run_arguments

    arrays = {}
    for name in ("train", "validation", "test"):
        arrays[f"{name}_images"] = rng.integers(0, 256, (16, 28, 28, 1)).astype("uint8")
        arrays[f"{name}_labels"] = np.arange(16) % 10
    paths = Paths(tmp_path / "data.npz", tmp_path / "features.npz")
    np.savez(paths.data, **arrays)
    arguments = run_arguments(run_of("moco_supcon", ready_batches=2), paths)
    command = [sys.executable, str(BENCHMARKS / "methods_keras_supcon.py")]
    command += [f"--{name}={value}" for name, value in arguments.items()]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    record = json.loads(answer.splitlines()[-1])
    assert len(record["epoch_seconds"]) == 2
    assert record["ready_images_per_second"] > 0
    assert record["peak_megabytes"] > 200
    with np.load(paths.features) as features:
        assert {name: features[name].shape for name in features} == {
            "train": (16, 64),
            "validation": (16, 64),
            "test": (16, 64),
        }


def test_the_probe_chooses_on_validation_images_alone(rng):
    from methods_probe import measure_features

    centers = rng.normal(size=(4, 6))

    def split(number):
        labels = rng.integers(0, 4, number)
        return centers[labels] + 0.7 * rng.normal(size=(number, 6)), labels

    splits = {"train": split(300), "validation": split(100), "test": split(100)}
    record = measure_features(splits)
    assert record["linear_accuracy"] > 0.5
    assert record["knn_accuracy"] > 0.5
    features, labels = splits["test"]
    wrong = measure_features({**splits, "test": (features, (labels + 1) % 4)})
    assert wrong["linear_accuracy"] < 0.3
    for choice in ("penalty", "neighbors"):
        assert wrong[choice] == record[choice]
    features, _ = splits["validation"]
    other = measure_features({**splits, "validation": (features, rng.integers(0, 4, 100))})
    assert other["linear_accuracy"] > 0.5


def test_spread_tells_one_point_from_the_whole_sphere(rng):
    from methods_probe import measure_spread

    point = np.ones((500, 16)) * rng.uniform(1, 2, (500, 1))
    sphere, line = rng.normal(size=(500, 16)), np.outer(rng.normal(size=500), np.ones(16))
    spread = measure_spread(point)
    assert spread["deviation"] < 1e-6
    assert spread["effective_rank"] == pytest.approx(1, abs=1e-3)
    spread = measure_spread(sphere)
    assert spread["deviation"] == pytest.approx(1, abs=0.05)
    assert spread["effective_rank"] == pytest.approx(16, abs=0.3)
    spread = measure_spread(line)  # both ends of one line
    assert spread["deviation"] == pytest.approx(1, abs=0.05)
    assert spread["effective_rank"] == pytest.approx(1, abs=1e-3)


def test_rows_say_what_failed_and_how_far_seeds_lie_apart():
    from methods_tables import format_table, images_per_second

    run = dataclasses.asdict(run_of("byol"))
    record = {"label": "BYOL", "library": "keras_supcon", "run": run, "peak_megabytes": 512.4}
    first = {**record, "epoch_seconds": [9.0, 2.0], "linear_accuracy": 0.81, "knn_accuracy": 0.7}
    assert images_per_second(first) == 8
    second = {**first, "linear_accuracy": 0.83, "ready_images_per_second": 20.0}
    failed = {"label": "BYOL", "library": "lightly", "run": run, "note": "failed (1): no lightly"}
    *_, ours, theirs = format_table([first, second, failed], ["BYOL"], "batch 8").splitlines()
    cells = [cell.strip() for cell in ours.split("|")[1:-1]]
    of_ours = ["82.0 (81.0 to 83.0)", "70.0 (70.0 to 70.0)", "8", "20", "512 MB"]
    assert cells == ["BYOL", "keras_supcon", *of_ours]
    assert "failed (1): no lightly" in theirs
    spread = {"deviation": 0.5, "effective_rank": 7.25}
    *_, ours = format_table([first | spread, second | spread], ["BYOL"], "batch 8").splitlines()
    cells = [cell.strip() for cell in ours.split("|")[1:-1]]
    assert cells == ["BYOL", "82.0 (81.0 to 83.0)", "70.0 (70.0 to 70.0)", "0.50", "7.2"]


def test_memory_is_that_of_children_too():
    from harness import PeakMemory

    code = "held = bytearray(200_000_000); print('ready', flush=True); input()"
    with PeakMemory(seconds=0.01) as alone:
        pass
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        child.stdout.readline()
        with PeakMemory(seconds=0.01) as both:
            pass
        child.communicate("\n")
    assert both.megabytes > alone.megabytes + 190

"""Trains one encoder by every method on Fashion-MNIST, beside lightly: accuracy, speed, memory.

    make benchmark-methods  # about 80 minutes on two CPUs, with nothing else beside it
    python benchmarks/methods.py --dataset=digits  # 15 minutes, and needs no files
    python benchmarks/methods.py --methods=moco,byol --seeds=1 --lightly_python=PYTHON
    python benchmarks/methods.py --backend=jax --images=57856 --depth=18 --width=1 --epochs=30

Prints Markdown tables and writes results.json to --output_dir after every run. Every run has its
own process: the same encoder, views, optimizer, epochs and batch for all methods. Frozen features
are then measured by a linear probe and by kNN, with settings chosen on validation images, once on
the 10,000 test images. Images per second are those of all epochs but the first, in which models
are compiled; those of the steps alone are trained on views that are there already. Memory is the
peak of the process and its children, libraries included. Linux only.

The images are Debian's package dataset-fashion-mnist. With the digits there is neither lightly nor
speed; instead the table says how the projections of the test images spread, also for BYOL without
its prediction head: the deviation of unit rows times the root of their length, and the effective
rank.
"""

import dataclasses
import datetime
import json
import math
import pathlib
import runpy
import sys
import time
from typing import Any

import numpy as np
from absl import app, flags
from harness import (
    CPU_ENVIRONMENT,
    describe_machine,
    worker_records,
    write_results,
)
from methods_probe import measure_features
from methods_run import Paths, Run, run_arguments
from methods_tables import LIBRARIES, format_table

KERAS_SUPCON, LIGHTLY = LIBRARIES

# Name: label.
METHODS = {
    "untrained": "untrained encoder",
    "cross_entropy": "cross-entropy",
    "supcon": "SupCon",
    "moco_supcon": "momentum SupCon",
    "simclr": "SimCLR",
    "moco": "MoCo v2",
    "byol": "BYOL",
    "simsiam": "SimSiam",
    "nnclr": "NNCLR",
    "byol_alone": "BYOL without prediction head",
}
# Of each data set: methods, training and validation images, numbers of the runs.
DATASETS = {
    "fashion_mnist": {
        "methods": [name for name in METHODS if name != "byol_alone"],
        "images": 10_240,
        "validation_images": 2048,
        "epochs": 5,
        "batch_size": 256,
        "queue_size": 1024,
        "learning_rate": 2e-3,
    },
    "digits": {
        "methods": list(METHODS),
        "images": 1280,
        "validation_images": 162,
        "epochs": 30,
        "batch_size": 64,
        "queue_size": 128,
        "learning_rate": 4e-3,
    },
}
OF_LIGHTLY = ("simclr", "moco", "byol", "simsiam", "nnclr")
# Name: method, batch, rows that the encoder sees at once.
BATCHES = {
    "SupCon, batch 64": ("supcon", 64, 0),
    "momentum SupCon, batch 64": ("moco_supcon", 64, 0),
    "SupCon, batch 512": ("supcon", 512, 0),
    "SupCon, batch 512, gradient caching": ("supcon", 512, 128),
}

_DATASET = flags.DEFINE_enum("dataset", "fashion_mnist", list(DATASETS), "The images.")
_METHODS = flags.DEFINE_list("methods", None, f"Some of {', '.join(METHODS)}. Default: all.")
_BATCHES = flags.DEFINE_bool("batches", True, "Whether the second table, of batches, is made.")
_IMAGES = flags.DEFINE_integer(
    "images", None, "Training images, a multiple of the batches. Default: 10,240, or 1,280 digits."
)
_EPOCHS = flags.DEFINE_integer(
    "epochs", None, "Epochs, the first of them warm-up. Default: 5, or 30.", lower_bound=2
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", None, "Images in a batch. Default: 256, or 64.", lower_bound=2
)
_QUEUE_SIZE = flags.DEFINE_integer(
    "queue_size", None, "Rows of a queue. Default: 1,024, or 128.", lower_bound=1
)
_LEARNING_RATE = flags.DEFINE_float(
    "learning_rate",
    None,
    "That of Adam for a batch of 256; it goes with the batch's root. Default: 0.002, or 0.004.",
)
_DEPTH = flags.DEFINE_integer("depth", 10, "Depth of the ResNet with the stem for small images.")
_WIDTH = flags.DEFINE_float("width", 0.25, "Its width.")
_SEEDS = flags.DEFINE_integer("seeds", 3, "Runs of each method.", lower_bound=1)
_READY_BATCHES = flags.DEFINE_integer(
    "ready_batches", 10, "Batches of views that time the steps alone, with the first seed."
)
_BACKEND = flags.DEFINE_enum(
    "backend", "tensorflow", ["tensorflow", "jax", "torch"], "Backend of Keras."
)
_CPU = flags.DEFINE_bool("cpu", True, "Hides GPUs.")
_LIGHTLY_PYTHON = flags.DEFINE_string(
    "lightly_python", None, "Python interpreter that has lightly; without it there are no rows."
)
_SOURCE_DIR = flags.DEFINE_string(
    "source_dir",
    "build/dataset-fashion-mnist/usr/share/datasets/fashion-mnist",
    "Folder with the four *-ubyte.gz files.",
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "build/benchmarks/methods", "Folder for results.json."
)
_RESUME = flags.DEFINE_bool("resume", False, "Takes finished runs from results.json.")


def given(name: str) -> Any:
    """Returns a flag, or what the data set has in its place."""
    value = flags.FLAGS[name].value
    return DATASETS[_DATASET.value][name] if value is None else value


def read_split(split: str) -> tuple[np.ndarray, np.ndarray]:
    if _DATASET.value == "digits":
        from keras_supcon.data import load_arrays

        return load_arrays("digits", split)
    root = pathlib.Path(__file__).resolve().parents[1]
    return runpy.run_path(str(root / "tools" / "idx.py"))["read_split"](_SOURCE_DIR.value, split)


def write_data(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Writes the images of all splits, shuffled once, and returns the class ids of each."""
    images, labels = read_split("train")
    number, validation = given("images"), DATASETS[_DATASET.value]["validation_images"]
    if number + validation > len(images):
        raise app.UsageError(
            f"--images should leave {validation} of {len(images)} images for validation. "
            f"Received: --images={number}"
        )
    order = np.random.default_rng(0).permutation(len(images))
    places = {"train": order[:number], "validation": order[number : number + validation]}
    splits = {name: (images[place], labels[place]) for name, place in places.items()}
    splits["test"] = read_split("test")
    arrays = {}
    for name, (of_split, ids) in splits.items():
        arrays |= {f"{name}_images": of_split, f"{name}_labels": ids}
    np.savez(path, **arrays)
    return {name: ids for name, (_, ids) in splits.items()}


def make_run(method: str, seed: int, batch_size: int, micro_batch_size: int = 0) -> Run:
    return Run(
        dataset=_DATASET.value,
        method=method,
        seed=seed,
        num_images=given("images"),
        batch_size=batch_size,
        micro_batch_size=micro_batch_size,
        epochs=given("epochs"),
        queue_size=given("queue_size"),
        learning_rate=given("learning_rate") * math.sqrt(batch_size / 256),
        depth=_DEPTH.value,
        width=_WIDTH.value,
        ready_batches=_READY_BATCHES.value if seed == 0 and not micro_batch_size else 0,
    )


def has_peers() -> bool:
    """Returns whether the run has lightly's rows and the table of batches."""
    return _DATASET.value == "fashion_mnist"


def make_plan() -> list[tuple[str, str, Run]]:
    """Returns table row, library and run, in the order in which they are done.

    The runs of one row follow one another, so that a ratio compares times of the same minutes.
    """
    plan = []
    for seed in range(_SEEDS.value):
        for method in given("methods"):
            run = make_run(method, seed, given("batch_size"))
            plan.append((METHODS[method], KERAS_SUPCON, run))
            if method in OF_LIGHTLY and has_peers() and _LIGHTLY_PYTHON.value:
                plan.append((METHODS[method], LIGHTLY, run))
        if has_peers() and _BATCHES.value:
            for label, (method, batch_size, micro_batch_size) in BATCHES.items():
                run = make_run(method, seed, batch_size, micro_batch_size)
                plan.append((label, KERAS_SUPCON, run))
    return plan


def do_run(library: str, run: Run, paths: Paths, labels: dict[str, np.ndarray]) -> dict[str, Any]:
    """Trains in a process of its own, and measures the features that it leaves."""
    paths.features.unlink(missing_ok=True)
    python = _LIGHTLY_PYTHON.value if library == LIGHTLY else sys.executable
    *_, record = worker_records(
        python,
        f"methods_{library}.py",
        _BACKEND.value,
        run_arguments(run, paths),
        CPU_ENVIRONMENT if _CPU.value else {},
    )
    if "note" not in record:
        with np.load(paths.features) as features:
            splits = {name: (features[name], labels[name]) for name in run.SPLITS}
        record |= measure_features(splits)
    return record


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Flags look like --name=value. Received: {' '.join(argv[1:])}")
    check_flags()
    output_dir = pathlib.Path(_OUTPUT_DIR.value)
    output_dir.mkdir(parents=True, exist_ok=True)
    results_path = output_dir / "results.json"
    paths = Paths(output_dir / "data.npz", output_dir / "features.npz")
    labels = write_data(paths.data)
    machine = describe_machine()
    earlier = read_runs(results_path) if _RESUME.value else []
    results: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python", *sys.argv]),
        "machine": machine,
        "backend": _BACKEND.value,
        "runs": [],
    }
    print(", ".join(f"{name}: {value}" for name, value in machine.items()), flush=True)
    for label, library, run in make_plan():
        key = {"label": label, "library": library, "run": dataclasses.asdict(run)}
        record = next((one for one in earlier if key.items() <= one.items()), None)
        begin = time.perf_counter()
        record = record or {**key, **do_run(library, run, paths, labels)}
        results["runs"].append(record)
        write_results(results_path, results)
        accuracy = record.get("note") or f"{record['linear_accuracy']:.2%}"
        seconds = time.perf_counter() - begin
        progress = f"{label}, {library}, seed {run.seed}: {accuracy}, {seconds:.0f} s"
        print(progress, file=sys.stderr, flush=True)
    rows = [METHODS[name] for name in given("methods")]
    print(f"\n{format_table(results['runs'], rows, 'batch ' + str(given('batch_size')))}")
    if has_peers() and _BATCHES.value:
        print(f"\n{format_table(results['runs'], list(BATCHES), 'method and batch')}")
    print(f"\n{results_path}")
    if any("note" in record for record in results["runs"]):
        sys.exit("methods.py: some runs failed, see the tables")


def check_flags() -> None:
    """Refuses what would fail after the first run."""
    unknown = set(given("methods")) - set(METHODS)
    if unknown:
        raise app.UsageError(
            f"--methods should be some of {', '.join(METHODS)}. Received: {sorted(unknown)}"
        )
    others = [size for _, size, _ in BATCHES.values()] if has_peers() and _BATCHES.value else []
    sizes = sorted({given("batch_size"), *others})
    if given("images") < 1 or any(given("images") % size for size in sizes):
        raise app.UsageError(
            f"--images should be a multiple of {sizes}. Received: --images={given('images')}"
        )


def read_runs(path: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the runs of an earlier results.json that did not fail."""
    if not path.is_file():
        return []
    return [run for run in json.loads(path.read_bytes())["runs"] if "note" not in run]


if __name__ == "__main__":
    app.run(main)

r"""Measures the images per second of the augmentations on the CPU, beside their peers.

    make benchmark-augmentation
    python benchmarks/augmentation.py  # only this package, keras-cv, Keras and tf.image
    python benchmarks/augmentation.py --neutral_python=.venv-neutral/bin/python \
        --peers_python=PYTHON
    python benchmarks/augmentation.py --sizes=32 --recipes=simaugment

--neutral_python has keras, jax and torch, --peers_python has torch, kornia and albumentations;
without them their rows are left out. Prints Markdown tables and writes results.json to
--output_dir. Each implementation runs in its own process, all of them in turn, and again in every
round; so a ratio compares times of the same minutes. Linux only.

Views of 32 pixels are made from images of 32, those of 224 from images of 256 pixels; uint8 goes
in, float32 in [0, 1] comes out. The rate is that of the best of several windows of about a second.
"Cores" is the number of cores that it kept busy in that window, and "others" the number that other
work on the machine did: a rate beside much of that is too low. "Per core" divides by the processor
time of all threads instead of the wall time, to compare single-threaded and multi-threaded
implementations. "Distinct" is the share of different views in a batch of one image repeated: 100 %
if every image has its own random numbers.
"""

import datetime
import pathlib
import statistics
import sys
from typing import Any

from absl import app, flags
from augmentation_implementations import (
    CROP_AREA,
    GRAYSCALE_PROBABILITY,
    HUE,
    IMPLEMENTATIONS,
    JITTER,
    JITTER_PROBABILITY,
    MAGNITUDE,
    NUM_OPS,
    RECIPES,
)
from harness import describe_machine, markdown_table, run_worker, write_results

# Side of the images in pixels, for each size of the views.
INPUT_SIZES = {32: 32, 224: 256}

_SIZES = flags.DEFINE_multi_enum(
    "sizes", ["32", "224"], [str(size) for size in INPUT_SIZES], "Sizes of the views, in pixels."
)
_BATCH_SIZES = {
    32: flags.DEFINE_integer(
        "batch_size_32", 256, "Images in a batch at 32 pixels.", lower_bound=1
    ),
    224: flags.DEFINE_integer(
        "batch_size_224", 32, "Images in a batch at 224 pixels.", lower_bound=1
    ),
}
_RECIPES = flags.DEFINE_multi_enum(
    "recipes", list(RECIPES), list(RECIPES), "Recipes to measure; may be given several times."
)
_ROUNDS = flags.DEFINE_integer(
    "rounds", 1, "Measurements of an implementation; their windows count as one set.", lower_bound=1
)
_WINDOWS = flags.DEFINE_integer("windows", 4, "Windows of a measurement.", lower_bound=2)
_WINDOW_SECONDS = flags.DEFINE_float(
    "window_seconds", 1.0, "Length of a window; it lasts longer for a few slow batches."
)
_SECONDS = flags.DEFINE_float("seconds", 15.0, "After so many seconds two windows are enough.")
_NEUTRAL_PYTHON = flags.DEFINE_string(
    "neutral_python", None, "Python interpreter with keras, jax and torch."
)
_PEERS_PYTHON = flags.DEFINE_string(
    "peers_python", None, "Python interpreter with torch, kornia and albumentations."
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "build/benchmarks/augmentation", "Folder for results.json."
)

# (ours, a peer, the quantity): the ratios by which this package is judged.
COMPARISONS = (
    ("simaugment_tf_data", "keras_cv", "rate"),
    ("simaugment_tf_data", "keras", "rate"),
    ("simaugment_tf_data", "tf_image", "rate"),
    ("simaugment_tf_data", "albumentations", "rate_per_core"),
    ("simaugment_torch", "kornia", "rate"),
    ("rand_augment_tf_data", "keras_rand_augment", "rate"),
    ("rand_augment_tf_data", "keras_cv_rand_augment", "rate"),
    ("auto_augment_tf_data", "keras_rand_augment", "rate"),  # Keras has no AutoAugment
)


def interpreter(name: str) -> str | None:
    return {
        "tensorflow": sys.executable,
        "neutral": _NEUTRAL_PYTHON.value,
        "peers": _PEERS_PYTHON.value,
    }[IMPLEMENTATIONS[name].environment]


def measure(name: str, size: int) -> dict[str, Any]:
    """Returns the windows of one process, and prints the progress to stderr."""
    arguments = {
        "worker": name,
        "input_size": INPUT_SIZES[size],
        "size": size,
        "batch_size": _BATCH_SIZES[size].value,
        "windows": _WINDOWS.value,
        "window_seconds": _WINDOW_SECONDS.value,
        "seconds": _SECONDS.value,
    }
    answer = run_worker(
        interpreter(name),
        "augmentation_implementations.py",
        IMPLEMENTATIONS[name].backend,
        arguments,
    )
    outcome = answer.get("note") or f"{rate(best_window(answer['windows'])):,.0f} images per second"
    print(f"{size} pixels, {describe(name)}: {outcome}", file=sys.stderr, flush=True)
    return answer


def summarize(name: str, size: int, answers: list[dict]) -> dict[str, Any]:
    """Returns one row of a table: all rounds of an implementation."""
    record = {"implementation": name, "recipe": IMPLEMENTATIONS[name].recipe, "size": size}
    failed = next((answer for answer in answers if "note" in answer), None)
    if failed:
        return record | failed
    windows = [window for answer in answers for window in answer["windows"]]
    best = best_window(windows)
    return {
        **record,
        **answers[0],
        "windows": windows,
        "rate": rate(best),
        "median_rate": statistics.median(map(rate, windows)),
        "rate_per_core": max(window["images"] / window["cpu_seconds"] for window in windows),
        "cores": best["cpu_seconds"] / best["seconds"],
        "other_cores": best["other_cpu_seconds"] / best["seconds"],
    }


def best_window(windows: list[dict]) -> dict[str, float]:
    return max(windows, key=rate)


def rate(window: dict[str, float]) -> float:
    return window["images"] / window["seconds"]


def compare(records: list[dict]) -> list[dict]:
    """Returns the ratios of COMPARISONS for which both sides were measured."""
    measured = {record["implementation"]: record for record in records if "rate" in record}
    return [
        {
            "ours": ours,
            "peer": peer,
            "quantity": quantity,
            "times_faster": measured[ours][quantity] / measured[peer][quantity],
        }
        for ours, peer, quantity in COMPARISONS
        if ours in measured and peer in measured
    ]


def format_measurements(records: list[dict]) -> str:
    """Returns a table, whose last column is relative to the first row of the recipe."""
    rows = []
    for record in records:
        implementation = IMPLEMENTATIONS[record["implementation"]]
        names = [RECIPES[implementation.recipe], implementation.label]
        if "rate" not in record:
            rows.append([*names, record["note"], *[""] * 6])
            continue
        reference = next(other for other in records if other["recipe"] == record["recipe"])
        rows.append(
            [
                *names,
                f"{record['rate']:,.0f}",
                f"{record['median_rate']:,.0f}",
                f"{record['cores']:.1f}",
                f"{record['other_cores']:.1f}",
                f"{record['rate_per_core']:,.0f}",
                f"{record['distinct_views']:.0%}",
                f"{reference['rate'] / record['rate']:.2f}" if "rate" in reference else "",
            ]
        )
    header = [
        "recipe",
        "implementation",
        "images per second",
        "median",
        "cores",
        "others",
        "per core",
        "distinct",
        "times slower",
    ]
    return markdown_table(header, rows, num_left=2)


def describe(name: str) -> str:
    return f"{RECIPES[IMPLEMENTATIONS[name].recipe]}, {IMPLEMENTATIONS[name].label}"


def format_comparisons(comparisons: list[dict]) -> str:
    rows = [
        [
            describe(comparison["ours"]),
            describe(comparison["peer"])
            + (", per core" if comparison["quantity"] == "rate_per_core" else ""),
            f"{comparison['times_faster']:.2f}",
        ]
        for comparison in comparisons
    ]
    return markdown_table(["this", "beside this", "times faster"], rows, num_left=2)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Flags look like --name=value. Received: {' '.join(argv[1:])}")
    names = [
        name
        for name, implementation in IMPLEMENTATIONS.items()
        if implementation.recipe in _RECIPES.value
    ]
    output_dir = pathlib.Path(_OUTPUT_DIR.value)
    output_dir.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "settings": {
            "crop_area": CROP_AREA,
            "jitter": {"amount": JITTER, "hue": HUE, "probability": JITTER_PROBABILITY},
            "grayscale_probability": GRAYSCALE_PROBABILITY,
            "num_ops": NUM_OPS,
            "magnitude": MAGNITUDE,
            "input_sizes": INPUT_SIZES,
            "batch_sizes": {size: batch_size.value for size, batch_size in _BATCH_SIZES.items()},
        },
        "left_out": [describe(name) for name in names if not interpreter(name)],
        "measurements": [],
        "comparisons": {},
    }
    print(", ".join(f"{name}: {value}" for name, value in results["machine"].items()))
    if results["left_out"]:
        print(f"Left out, for want of an interpreter (--help): {'; '.join(results['left_out'])}")
    for size in map(int, _SIZES.value):
        answers: dict[str, list] = {name: [] for name in names if interpreter(name)}
        for _ in range(_ROUNDS.value):
            for name, earlier in answers.items():
                earlier.append(measure(name, size))
        records = [summarize(name, size, of_name) for name, of_name in answers.items()]
        results["measurements"] += records
        comparisons = results["comparisons"][size] = compare(records)
        print(f"\n{size} pixels from {INPUT_SIZES[size]}, batches of {_BATCH_SIZES[size].value}")
        print(f"\n{format_measurements(records)}", flush=True)
        if comparisons:
            print(f"\n{format_comparisons(comparisons)}", flush=True)
        write_results(output_dir / "results.json", results)
    print(f"\n{output_dir / 'results.json'}")
    if any("note" in record for record in results["measurements"]):
        sys.exit("augmentation.py: some measurements failed, see the tables")


if __name__ == "__main__":
    app.run(main)

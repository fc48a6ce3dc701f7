r"""Measures triplet losses and their gradients on the CPU, beside SupCon and peers.

    make benchmark-triplets
    python benchmarks/triplets.py  # only this package on TensorFlow
    python benchmarks/triplets.py --neutral_python=.venv-neutral/bin/python \
        --pytorch_metric_learning_python=PYTHON --tensorflow_addons_python=PYTHON

Every row runs in its own process and says how many times the time of this package's SupConLoss on
the same backend it takes, and prints value and extra memory. Peers keep arrays of pairs, and
pytorch-metric-learning one of all triplets: one that needs more than --peer_memory_gb is not
run. TensorFlow Addons averages
semi-hard triplets over pairs, and pytorch-metric-learning all of them over triplets, where this
package averages over anchors: values differ a little. pytorch-metric-learning has no semi-hard rule
of the same meaning.
"""

import json
import pathlib
import statistics
import sys
from typing import Any

from absl import app, flags
from harness import (
    available_gigabytes,
    describe_machine,
    format_seconds,
    markdown_table,
    run_worker,
    write_results,
)
from triplets_implementations import IMPLEMENTATIONS, MININGS

_ROWS = flags.DEFINE_list("rows", "512,2048,8192", "Numbers of rows (2 views x batch).")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Timed steps of a measurement.", lower_bound=2)
_SECONDS = flags.DEFINE_float("seconds", 25.0, "After so many seconds two timed steps are enough.")
_PEER_MEMORY_GB = flags.DEFINE_float("peer_memory_gb", 4.0, "Peers that need more are not run.")
_NEUTRAL_PYTHON = flags.DEFINE_string("neutral_python", None, "Python with keras, jax and torch.")
_PYTORCH_METRIC_LEARNING_PYTHON = flags.DEFINE_string(
    "pytorch_metric_learning_python", None, "Python with torch and pytorch-metric-learning."
)
_TENSORFLOW_ADDONS_PYTHON = flags.DEFINE_string(
    "tensorflow_addons_python", None, "Python with TensorFlow 2.14 and TensorFlow Addons."
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "build/benchmarks/triplets", "Folder for results.json."
)


def interpreter(environment: str) -> str | None:
    return {
        "tensorflow": sys.executable,
        "neutral": _NEUTRAL_PYTHON.value,
        "pytorch_metric_learning": _PYTORCH_METRIC_LEARNING_PYTHON.value,
        "tensorflow_addons": _TENSORFLOW_ADDONS_PYTHON.value,
    }[environment]


def measure(name: str, mining: str, num_rows: int) -> dict[str, Any]:
    implementation = IMPLEMENTATIONS[name]
    record = {"implementation": name, "mining": mining, "rows": num_rows}
    gigabytes = implementation.bytes_needed(num_rows, mining) / 1e9
    if gigabytes > min(_PEER_MEMORY_GB.value, available_gigabytes()):
        return {**record, "note": f"not run: about {gigabytes:.1f} GB"}
    arguments = {
        "worker": name,
        "mining": mining,
        "rows": num_rows,
        "repeats": _REPEATS.value,
        "seconds": _SECONDS.value,
    }
    record |= run_worker(
        interpreter(implementation.environment),
        "triplets_implementations.py",
        implementation.backend,
        arguments,
    )
    print(json.dumps(record), file=sys.stderr, flush=True)
    return record


def format_rows(records: list[dict]) -> str:
    supcon = {
        record["implementation"]: min(record["step_seconds"])
        for record in records
        if record["mining"] == "supcon" and "step_seconds" in record
    }
    rows = []
    for record in records:
        implementation = IMPLEMENTATIONS[record["implementation"]]
        name = [implementation.label, record["mining"]]
        if "step_seconds" not in record:
            rows.append([*name, record["note"], *[""] * 4])
            continue
        shortest = min(record["step_seconds"])
        reference = supcon.get(implementation.reference)
        rows.append(
            [
                *name,
                format_seconds(shortest),
                format_seconds(statistics.median(record["step_seconds"])),
                f"{record['extra_memory_mb']:.0f} MB",
                "" if reference is None else f"{shortest / reference:.2f}",
                f"{record['loss']:.5f}",
            ]
        )
    return markdown_table(
        ["implementation", "mining", "min time", "median", "extra memory", "times SupCon", "loss"],
        rows,
    )


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Flags look like --name=value. Received: {' '.join(argv[1:])}")
    output_dir = pathlib.Path(_OUTPUT_DIR.value)
    output_dir.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"machine": describe_machine(), "measurements": []}
    for num_rows in sorted(int(number) for number in _ROWS.value):
        records = [
            measure(name, mining, num_rows)
            for mining in MININGS
            for name, implementation in IMPLEMENTATIONS.items()
            if interpreter(implementation.environment) and mining in implementation.minings
        ]
        results["measurements"] += records
        write_results(output_dir / "results.json", results)
        print(f"\n{num_rows} rows\n\n{format_rows(records)}", flush=True)
    if any(record.get("note", "").startswith("failed") for record in results["measurements"]):
        sys.exit("triplets.py: some measurements failed, see the tables")


if __name__ == "__main__":
    app.run(main)

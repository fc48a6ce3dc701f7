r"""Measures other losses than SupCon, and their gradients, on the CPU: as multiples of its time.

    make benchmark-relatives
    python benchmarks/relatives.py  # only this package on TensorFlow
    python benchmarks/relatives.py --neutral_python=.venv-neutral/bin/python \
        --pytorch_metric_learning_python=PYTHON --tensorflow_addons_python=PYTHON

A table has a row for each loss, SupCon first, with its shortest time, what it takes of the time of
this package's SupCon on the same backend, and its extra memory. `positives=` are losses of SupCon
with other labels, `pair_weights` with a matrix. Every measurement has a process of its own. Triplet
losses of peers stand beside ours. Peers keep arrays of all pairs, TensorFlow Addons of semi-hard
triplets and pytorch-metric-learning of all of them arrays of triplets: one that needs more than
--peer_memory_gb is not run. pytorch-metric-learning has no semi-hard rule of the same meaning.
"""

import json
import pathlib
import sys
from typing import Any

from absl import app, flags
from harness import available_gigabytes, describe_machine, run_worker, write_results
from relatives_implementations import IMPLEMENTATIONS, LOSSES, REFERENCE
from relatives_tables import format_rows

_ROWS = flags.DEFINE_list("rows", "512,8192", "Numbers of rows (2 views x batch).")
_LOSSES = flags.DEFINE_string("losses", None, "Part of the names of losses; all if not given.")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Timed steps of a measurement.", lower_bound=2)
_SECONDS = flags.DEFINE_float("seconds", 10.0, "After so many seconds two timed steps are enough.")
_PEER_MEMORY_GB = flags.DEFINE_float("peer_memory_gb", 4.0, "Peers that need more are not run.")
_NEUTRAL_PYTHON = flags.DEFINE_string("neutral_python", None, "Python with keras, jax and torch.")
_PYTORCH_METRIC_LEARNING_PYTHON = flags.DEFINE_string(
    "pytorch_metric_learning_python", None, "Python with torch and pytorch-metric-learning."
)
_TENSORFLOW_ADDONS_PYTHON = flags.DEFINE_string(
    "tensorflow_addons_python", None, "Python with TensorFlow 2.14 and TensorFlow Addons."
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "build/benchmarks/relatives", "Folder for results.json."
)


def interpreter(environment: str) -> str | None:
    return {
        "tensorflow": sys.executable,
        "neutral": _NEUTRAL_PYTHON.value,
        "pytorch_metric_learning": _PYTORCH_METRIC_LEARNING_PYTHON.value,
        "tensorflow_addons": _TENSORFLOW_ADDONS_PYTHON.value,
    }[environment]


def measure(name: str, loss: str, num_rows: int) -> dict[str, Any]:
    implementation = IMPLEMENTATIONS[name]
    record = {"implementation": name, "loss_name": loss, "rows": num_rows}
    gigabytes = implementation.bytes_needed(num_rows, loss) / 1e9
    if gigabytes > min(_PEER_MEMORY_GB.value, available_gigabytes()):
        return {**record, "note": f"not run: {gigabytes:,.0f} GB"}
    arguments = {
        "worker": name,
        "loss": loss,
        "rows": num_rows,
        "repeats": _REPEATS.value,
        "seconds": _SECONDS.value,
    }
    record |= run_worker(
        interpreter(implementation.environment),
        "relatives_implementations.py",
        implementation.backend,
        arguments,
    )
    print(json.dumps(record), file=sys.stderr, flush=True)
    return record


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Flags look like --name=value. Received: {' '.join(argv[1:])}")
    wanted = [loss for loss in LOSSES if loss == REFERENCE or (_LOSSES.value or "") in loss]
    output_dir = pathlib.Path(_OUTPUT_DIR.value)
    output_dir.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"machine": describe_machine(), "measurements": []}
    for num_rows in sorted(int(number) for number in _ROWS.value):
        records = [
            measure(name, loss, num_rows)
            for loss in wanted
            for name, implementation in IMPLEMENTATIONS.items()
            if interpreter(implementation.environment) and loss in implementation.losses
        ]
        results["measurements"] += records
        write_results(output_dir / "results.json", results)
        print(f"\n{num_rows} rows\n\n{format_rows(records)}", flush=True)
    if any(record.get("note", "").startswith("failed") for record in results["measurements"]):
        sys.exit("relatives.py: some measurements failed, see the tables")


if __name__ == "__main__":
    app.run(main)

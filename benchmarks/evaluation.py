"""Measures the time and memory of evaluation on the CPU, beside scikit-learn, faiss and torch.

    make benchmark-evaluation
    python benchmarks/evaluation.py  # only this package and scikit-learn
    python benchmarks/evaluation.py --source_dir=FASHION_MNIST --peer_python=PYTHON
    python benchmarks/evaluation.py --quick  # a trial on few rows

--peer_python has torch, pytorch-metric-learning and faiss-cpu; without it their rows are left out.
The rows are features of Fashion-MNIST by random weights; without --source_dir those of made-up
images. Prints Markdown tables and writes results.json to --output_dir. Each measurement runs in a
process of its own, all with the same number of threads. Extra memory is the peak over the process
that holds the rows. Linux with glibc only.
"""

import dataclasses
import datetime
import json
import pathlib
import sys
from typing import Any

import keras
from absl import app, flags
from evaluation_data import write_splits
from evaluation_implementations import IMPLEMENTATIONS, Implementation
from evaluation_plan import Table, plan
from evaluation_tables import disagreement, format_table, outcome
from harness import CPU_ENVIRONMENT, describe_machine, worker_records, write_results

_PEER_PYTHON = flags.DEFINE_string(
    "peer_python", None, "Python interpreter with torch, pytorch-metric-learning and faiss-cpu."
)
_SOURCE_DIR = flags.DEFINE_string("source_dir", None, "Folder with the files of Fashion-MNIST.")
_TASKS = flags.DEFINE_list("tasks", list(IMPLEMENTATIONS), "What is measured.")
_THREADS = flags.DEFINE_integer("threads", 2, "Threads of each measurement.", lower_bound=1)
_REPEATS = flags.DEFINE_integer("repeats", 3, "Calls of a measurement.", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 30.0, "After so many seconds one call is enough.")
_QUICK = flags.DEFINE_bool("quick", False, "Few rows, for a trial: the times mean nothing.")
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "build/benchmarks/evaluation", "Folder for the rows and results.json."
)


def interpreter(implementation: Implementation) -> str | None:
    return {"ours": sys.executable, "peer": _PEER_PYTHON.value}[implementation.environment]


def measure(worker: str, table: Table, arrays: pathlib.Path) -> dict[str, Any]:
    """Returns one row of a table, and prints the progress to stderr."""
    threads = str(_THREADS.value)
    variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    implementation = IMPLEMENTATIONS[table.task][worker]
    *_, record = worker_records(
        interpreter(implementation),
        "evaluation_implementations.py",
        keras.backend.backend(),  # not used, but importing Keras imports it
        {
            "task": table.task,
            "worker": worker,
            "arrays": arrays,
            "options": json.dumps(table.options),
            "repeats": _REPEATS.value,
            "seconds": _SECONDS.value,
        },
        {**CPU_ENVIRONMENT, **dict.fromkeys(variables, threads)},
    )
    record = {"implementation": worker, **record}
    print(f"{table.title}, {worker}: {outcome(record)}", file=sys.stderr, flush=True)
    return record


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Flags look like --name=value. Received: {' '.join(argv[1:])}")
    unknown = sorted(set(_TASKS.value) - IMPLEMENTATIONS.keys())
    if unknown:
        sys.exit(
            f"evaluation.py: --tasks should be among {', '.join(IMPLEMENTATIONS)}. Received: "
            f"{', '.join(unknown)}"
        )
    output_dir = pathlib.Path(_OUTPUT_DIR.value)
    output_dir.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "threads": _THREADS.value,
        "images": "made up" if _SOURCE_DIR.value is None else "Fashion-MNIST",
        "tables": [],
    }
    print(", ".join(f"{name}: {value}" for name, value in results["machine"].items()))
    print(f"threads: {results['threads']}, images: {results['images']}")
    if _PEER_PYTHON.value is None:
        print(
            "Left out, for want of an interpreter (--help): faiss, pytorch-metric-learning, torch"
        )
    for table in plan(_QUICK.value):
        if table.task not in _TASKS.value:
            continue
        arrays = output_dir / f"rows-{'-'.join(map(str, table.sizes))}.npz"
        write_splits(arrays, _SOURCE_DIR.value, *table.sizes)
        records = [
            measure(worker, table, arrays)
            for worker in table.workers
            if interpreter(IMPLEMENTATIONS[table.task][worker])
        ]
        results["tables"].append({**dataclasses.asdict(table), "records": records})
        write_results(output_dir / "results.json", results)
        print(f"\n{format_table(results['tables'][-1])}", flush=True)
    print(f"\n{output_dir / 'results.json'}")
    problems = [text for table in results["tables"] if (text := disagreement(table))]
    if problems:
        sys.exit(f"evaluation.py: {'; '.join(problems)}")


if __name__ == "__main__":
    app.run(main)

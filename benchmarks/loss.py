r"""Measures SupCon's loss and gradient on the CPU, beside peers, for a growing number of rows.

    make benchmark-loss
    python benchmarks/loss.py  # only this package and plain TensorFlow
    python benchmarks/loss.py --neutral_python=.venv-neutral/bin/python \
        --pytorch_metric_learning_python=PYTHON
    python benchmarks/loss.py --plot_only=build/benchmarks/loss/results.json

--neutral_python has keras, jax and torch, --pytorch_metric_learning_python has torch and
pytorch-metric-learning; without them their rows are left out. Prints Markdown tables and writes
results.json and loss.png to --output_dir. All implementations run at one number of rows before any
runs at the next, each in its own process, so a ratio compares times of the same minutes. Extra
memory is the peak over the process before the first step, which traces and compiles; "later steps"
is the peak of the others over the same. Linux with glibc only.
"""

import datetime
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
from loss_implementations import (
    DIM,
    IMPLEMENTATIONS,
    NUM_CLASSES,
    NUM_VIEWS,
    TEMPERATURE,
    expected_gigabytes,
)

_ROWS = flags.DEFINE_list(
    "rows", "512,2048,8192,32768,65536", "Numbers of rows (views x batch) for the default mode."
)
_MODE_ROWS = flags.DEFINE_integer(
    "mode_rows", 8192, "Number of rows for the other modes; 0 leaves them out.", lower_bound=0
)
_REPEATS = flags.DEFINE_integer("repeats", 20, "Timed steps of a measurement.", lower_bound=2)
_SECONDS = flags.DEFINE_float("seconds", 25.0, "After so many seconds two timed steps are enough.")
_PEER_MEMORY_GB = flags.DEFINE_float(
    "peer_memory_gb", 8.0, "Peers that would need more are not run."
)
_NEUTRAL_PYTHON = flags.DEFINE_string(
    "neutral_python", None, "Python interpreter with keras, jax and torch."
)
_PYTORCH_METRIC_LEARNING_PYTHON = flags.DEFINE_string(
    "pytorch_metric_learning_python",
    None,
    "Python interpreter with torch and pytorch-metric-learning.",
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "build/benchmarks/loss", "Folder for results.json and loss.png."
)
_PLOT_ONLY = flags.DEFINE_string(
    "plot_only", None, "A results.json to draw again, beside it, without measuring."
)

REFERENCE = next(iter(IMPLEMENTATIONS))
MODES = {
    "default": {},
    "summation in": {"summation": "in"},
    "denominator one_positive": {"denominator": "one_positive"},
    "denominator one_positive, summation in": {"denominator": "one_positive", "summation": "in"},
    "denominator only_negatives": {"denominator": "only_negatives"},
    "contrast_mode one": {"contrast_mode": "one"},
    "positives_cap 4": {"positives_cap": 4},
    "not normalised": {"normalize": False},
}


def interpreter(name: str) -> str | None:
    return {
        "tensorflow": sys.executable,
        "neutral": _NEUTRAL_PYTHON.value,
        "pytorch_metric_learning": _PYTORCH_METRIC_LEARNING_PYTHON.value,
    }[IMPLEMENTATIONS[name].environment]


def measure(name: str, num_rows: int, earlier: list[dict], mode: str = "default") -> dict[str, Any]:
    """Returns one row of a table, and prints the progress to stderr."""
    record = {"implementation": name, "mode": mode, "rows": num_rows}
    measured = {
        record["rows"]: record["extra_memory_mb"] / 1e3
        for record in earlier
        if record["implementation"] == name and "extra_memory_mb" in record
    }
    gigabytes = expected_gigabytes(num_rows, measured) if IMPLEMENTATIONS[name].is_dense else 0.0
    if gigabytes > min(_PEER_MEMORY_GB.value, available_gigabytes()):
        record["note"] = f"not run: about {gigabytes:.{0 if gigabytes >= 10 else 1}f} GB"
    else:
        arguments = {
            "worker": name,
            "rows": num_rows,
            "options": json.dumps(MODES[mode]),
            "repeats": _REPEATS.value,
            "seconds": _SECONDS.value,
        }
        record |= run_worker(
            interpreter(name), "loss_implementations.py", IMPLEMENTATIONS[name].backend, arguments
        )
    if "step_seconds" in record:
        record["min_seconds"] = min(record["step_seconds"])
        record["median_seconds"] = statistics.median(record["step_seconds"])
        outcome = f"{format_seconds(record['min_seconds'])}, {record['extra_memory_mb']:.0f} MB"
    else:
        outcome = record["note"]
    print(
        f"{num_rows} rows, {IMPLEMENTATIONS[name].label}, {mode}: {outcome}",
        file=sys.stderr,
        flush=True,
    )
    return record


def check_agreement(records: list[dict]) -> None:
    """Ends the program if the implementations do not compute the same for some rows.

    Their times would then mean nothing.
    """
    measured = [record for record in records if "step_seconds" in record]
    for record in measured[1:]:
        reference = measured[0]
        for quantity, tolerance in (("loss", 1e-4), ("gradient_norm", 1e-3)):
            if not abs(record[quantity] - reference[quantity]) <= tolerance * abs(
                reference[quantity]
            ):  # NaN is wrong too
                sys.exit(
                    f"loss.py: at {record['rows']} rows the {quantity} of "
                    f"{record['implementation']} is {record[quantity]}, "
                    f"that of {reference['implementation']} {reference[quantity]}"
                )


def compare_implementations(num_rows: int, results: dict) -> None:
    records = [
        measure(name, num_rows, results["measurements"])
        for name in IMPLEMENTATIONS
        if interpreter(name)
    ]
    check_agreement(records)
    results["measurements"] += records
    print(f"\n{num_rows} rows\n\n{format_table(records, 'implementation')}", flush=True)


def compare_modes(num_rows: int, results: dict) -> None:
    """Measures the modes; the default runs again, to be of the same minutes."""
    records = [measure(REFERENCE, num_rows, [], mode) for mode in MODES]
    results["modes"] += records
    print(
        f"\n{IMPLEMENTATIONS[REFERENCE].label}, {num_rows} rows\n\n{format_table(records, 'mode')}",
        flush=True,
    )


def format_table(records: list[dict], subject: str) -> str:
    """Returns a Markdown table.

    The last column is the shortest time relative to that of the first row.
    """
    relative = "times slower" if subject == "implementation" else "times the default"
    rows = []
    for record in records:
        name = (
            IMPLEMENTATIONS[record["implementation"]].label
            if subject == "implementation"
            else record["mode"]
        )
        if "step_seconds" not in record:
            rows.append([name, record["note"], *[""] * 4])
            continue
        ratio = record["min_seconds"] / records[0].get("min_seconds", float("nan"))
        rows.append(
            [
                name,
                format_seconds(record["min_seconds"]),
                format_seconds(record["median_seconds"]),
                f"{record['extra_memory_mb']:.0f} MB",
                f"{record['extra_memory_of_later_steps_mb']:.0f} MB",
                f"{ratio:.2f}",
            ]
        )
    return markdown_table(
        [subject, "min time", "median", "extra memory", "later steps", relative], rows
    )


def draw(results: dict, path: pathlib.Path) -> None:
    """Draws time and extra memory against the number of rows; ours solid, peers dashed."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullFormatter

    figure, panels = plt.subplots(1, 2, figsize=(11, 5.6), layout="constrained")
    quantities = (
        ("min_seconds", "time of a step (s)"),
        ("extra_memory_mb", "extra peak memory (MB)"),
    )
    all_rows = sorted({record["rows"] for record in results["measurements"]})
    for panel, (quantity, label) in zip(panels, quantities, strict=True):
        for number, (name, implementation) in enumerate(IMPLEMENTATIONS.items()):
            measured = [
                r for r in results["measurements"] if r["implementation"] == name and quantity in r
            ]
            if measured:
                panel.plot(
                    [record["rows"] for record in measured],
                    [record[quantity] for record in measured],
                    color=f"C{number}",
                    linestyle="--" if implementation.is_dense else "-",
                    marker="s" if implementation.is_dense else "o",
                    markersize=5,
                    label=implementation.label,
                )
        panel.set(xscale="log", xlabel="rows (views x batch)", ylabel=label)
        panel.set_yscale(
            "log", nonpositive="mask"
        )  # a small step may fit into memory that the process had already
        panel.set_xticks(all_rows, [f"{rows:,}" for rows in all_rows])
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.grid(alpha=0.3)
    figure.suptitle(
        "SupCon loss and gradient, {cores} CPU cores, {dim} dimensions".format(
            **results["machine"], dim=DIM
        )
    )
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
    )
    figure.savefig(path, dpi=150)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Flags look like --name=value. Received: {' '.join(argv[1:])}")
    if _PLOT_ONLY.value:
        path = pathlib.Path(_PLOT_ONLY.value)
        draw(json.loads(path.read_text()), path.with_name("loss.png"))
        return
    try:
        rows = sorted(int(number) for number in _ROWS.value)
    except ValueError:
        sys.exit(f"loss.py: --rows should be whole numbers. Received: {','.join(_ROWS.value)}")
    if any(
        number < NUM_VIEWS or number % NUM_VIEWS
        for number in [*rows, _MODE_ROWS.value or NUM_VIEWS]
    ):
        sys.exit(
            f"loss.py: numbers of rows should be positive multiples of the {NUM_VIEWS} views. "
            f"Received: {rows}"
        )
    output_dir = pathlib.Path(_OUTPUT_DIR.value)
    output_dir.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "settings": {
            "temperature": TEMPERATURE,
            "dim": DIM,
            "classes": NUM_CLASSES,
            "views": NUM_VIEWS,
            "dtype": "float32",
        },
        "left_out": [
            implementation.label
            for name, implementation in IMPLEMENTATIONS.items()
            if not interpreter(name)
        ],
        "measurements": [],
        "modes": [],
    }
    print(", ".join(f"{name}: {value}" for name, value in results["machine"].items()))
    if results["left_out"]:
        print(f"Left out, for want of an interpreter (--help): {'; '.join(results['left_out'])}")
    for num_rows in rows:
        compare_implementations(num_rows, results)
        write_results(output_dir / "results.json", results)
    if _MODE_ROWS.value:
        compare_modes(_MODE_ROWS.value, results)
        write_results(output_dir / "results.json", results)
    draw(results, output_dir / "loss.png")
    print(f"\n{output_dir / 'results.json'}\n{output_dir / 'loss.png'}")
    if any(
        record.get("note", "").startswith("failed")
        for record in results["measurements"] + results["modes"]
    ):
        sys.exit("loss.py: some measurements failed, see the tables")


if __name__ == "__main__":
    app.run(main)

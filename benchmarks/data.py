"""Measures how fast a folder of JPEG files is read on the CPU, beside Keras and torchvision.

    make benchmark-data
    python benchmarks/data.py  # only this package and Keras
    python benchmarks/data.py --torchvision_python=PYTHON

--torchvision_python has torch and torchvision; without it their rows are left out. Prints Markdown
tables and writes results.json to --output_dir. The files are made from the two photographs of
scikit-learn. Each implementation runs in its own process, all of them in turn, and again in every
round. Linux only.

"Per core" divides the images by the processor time of all threads and processes. "Error" is the
mean difference of the pixels, in levels of 255, from those of Pillow with a bicubic filter and
antialiasing.
"""

import datetime
import pathlib
import sys
from typing import Any

from absl import app, flags
from data_files import FILES, FILES_PER_CLASS, JPEG_QUALITY, NUM_CLASSES, SIDE, write_files
from data_implementations import BATCH_SIZE, IMPLEMENTATIONS, MIXED_BATCHES, SIZE
from harness import describe_machine, markdown_table, run_worker, write_results

_ROUNDS = flags.DEFINE_integer(
    "rounds", 3, "Processes of an implementation; the best of their epochs counts.", lower_bound=1
)
_EPOCHS = flags.DEFINE_integer("epochs", 3, "Epochs of a process.", lower_bound=1)
_TORCHVISION_PYTHON = flags.DEFINE_string(
    "torchvision_python", None, "Python interpreter with torch and torchvision."
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "build/benchmarks/data", "Folder for the files and results.json."
)


def interpreter(name: str) -> str | None:
    return (
        sys.executable
        if IMPLEMENTATIONS[name].environment == "tensorflow"
        else _TORCHVISION_PYTHON.value
    )


def measure(name: str, quantity: str, folder: pathlib.Path) -> dict[str, Any]:
    small_folder = folder.with_name(next(iter(FILES)))
    arguments = {
        "worker": name,
        "quantity": quantity,
        "folder": folder,
        "small_folder": small_folder,
        "epochs": _EPOCHS.value,
    }
    answer = run_worker(interpreter(name), "data_implementations.py", "tensorflow", arguments)
    print(
        f"{folder.name}, {quantity}, {IMPLEMENTATIONS[name].label}: {answer.get('note', 'done')}",
        file=sys.stderr,
        flush=True,
    )
    return answer


def summarize_rates(answers: list[dict[str, Any]]) -> dict[str, Any]:
    failed = next((answer for answer in answers if "note" in answer), None)
    if failed:
        return failed
    windows = [window for answer in answers for window in answer["windows"]]
    return {
        "rate": max(window["images"] / window["seconds"] for window in windows),
        "rate_per_core": max(window["images"] / window["cpu_seconds"] for window in windows),
        "error": answers[0]["error"],
        "windows": windows,
        "versions": answers[0]["versions"],
    }


def format_rates(records: dict[str, dict[str, Any]]) -> str:
    rows = []
    for name, record in records.items():
        label = IMPLEMENTATIONS[name].label
        if "note" in record:
            rows.append([label, record["note"], "", "", ""])
            continue
        keras = records["keras"].get("rate_per_core")
        rows.append(
            [
                label,
                f"{record['rate']:,.0f}",
                f"{record['rate_per_core']:,.0f}",
                f"{record['rate_per_core'] / keras:.2f}" if keras else "",
                f"{record['error']:.2f}",
            ]
        )
    return markdown_table(
        ["implementation", "images per second", "per core", "times Keras per core", "error"], rows
    )


def format_large(starts: dict[str, dict[str, Any]], memories: dict[str, dict[str, Any]]) -> str:
    rows = []
    for name, start in starts.items():
        memory = memories[name]
        note = start.get("note") or memory.get("note")
        if note:
            rows.append([IMPLEMENTATIONS[name].label, note, "", "", ""])
            continue
        rows.append(
            [
                IMPLEMENTATIONS[name].label,
                f"{start['first_batch_seconds']:.2f} s",
                f"{start['num_classes']} of {NUM_CLASSES}",
                f"{memory['megabytes'][0]:,.0f} MB",
                f"{memory['megabytes'][-1]:,.0f} MB",
            ]
        )
    header = [
        "implementation",
        "first batch",
        f"classes in {MIXED_BATCHES} batches",
        "memory after a tenth",
        "after the epoch",
    ]
    return markdown_table(header, rows)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Flags look like --name=value. Received: {' '.join(argv[1:])}")
    output_dir = pathlib.Path(_OUTPUT_DIR.value)
    output_dir.mkdir(parents=True, exist_ok=True)
    write_files(output_dir)
    names = [name for name in IMPLEMENTATIONS if interpreter(name)]
    results: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "settings": {
            "size": SIZE,
            "batch_size": BATCH_SIZE,
            "files": FILES,
            "jpeg_quality": JPEG_QUALITY,
        },
        "rates": {},
    }
    print(", ".join(f"{name}: {value}" for name, value in results["machine"].items()))
    left_out = [
        implementation.label
        for name, implementation in IMPLEMENTATIONS.items()
        if name not in names
    ]
    if left_out:
        print(f"Left out, for want of an interpreter (--help): {'; '.join(left_out)}")
    for kind in FILES:
        answers: dict[str, list] = {name: [] for name in names}
        for _ in range(_ROUNDS.value):
            for name, earlier in answers.items():
                earlier.append(measure(name, "rate", output_dir / kind))
        records = results["rates"][kind] = {
            name: summarize_rates(of_name) for name, of_name in answers.items()
        }
        print(f"\n{kind} to {SIZE}x{SIZE}\n\n{format_rates(records)}", flush=True)
        write_results(output_dir / "results.json", results)
    for quantity in ("start", "memory"):
        measure(
            names[0], "start", output_dir / "large"
        )  # brings the files into the memory of the system
        results[quantity] = {name: measure(name, quantity, output_dir / "large") for name in names}
        write_results(output_dir / "results.json", results)
    decoded = NUM_CLASSES * FILES_PER_CLASS * SIDE**2 * 3 / 1e9
    print(
        f"\n{NUM_CLASSES * FILES_PER_CLASS:,} files of {SIDE}x{SIDE}, {decoded:.0f} GB when "
        "decoded, shuffled"
    )
    print(f"\n{format_large(results['start'], results['memory'])}\n\n{output_dir / 'results.json'}")
    failed = [
        *results["start"].values(),
        *results["memory"].values(),
        *(r for kind in results["rates"].values() for r in kind.values()),
    ]
    if any("note" in record for record in failed):
        sys.exit("data.py: some measurements failed, see the tables")


if __name__ == "__main__":
    app.run(main)

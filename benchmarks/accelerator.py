"""Measures loss, training step, augmentation and gradient caching on an accelerator, beside peers.

    make benchmark-accelerator
    python benchmarks/accelerator.py  # on the device that JAX and torch find
    python benchmarks/accelerator.py --minutes=20 --sections=loss
    python benchmarks/accelerator.py --document_only  # only rewrites docs/benchmarks.md

Needs keras, numpy, jax and torch; jax and torch have to see the accelerator. Writes
benchmarks/results/DEVICE.json and the tables of docs/benchmarks.md. Without an accelerator it tries
everything on the CPU with tiny sizes, and writes only to build/benchmarks/accelerator: such figures
say that the program works, not how fast anything is.

Each job (one framework, one implementation or network) runs in its own process. The file of results
is written after every measurement, so a run that is stopped keeps its measurements. With --sections
the other sections of that file stay as they are. The tables note what does not fit into --minutes
or into the memory. docs/benchmarks.md says how each figure is measured. Linux with glibc only.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from absl import app, flags
from accelerator_devices import PRECISIONS
from accelerator_plan import SECTIONS, SIZES, Budget, Job, Size, jobs_of
from accelerator_tables import disagreements, format_facts, format_section, slug, write_document
from harness import (
    CPU_ENVIRONMENT,
    OUT_OF_TIME,
    describe_machine,
    format_seconds,
    worker_records,
    write_results,
)

_MINUTES = flags.DEFINE_float(
    "minutes", 8.0, "No measurement runs after so many minutes.", lower_bound=0.1
)
_SIZE = flags.DEFINE_enum(
    "size",
    None,
    list(SIZES),
    "Sizes to measure; tiny is a trial. Full on an accelerator, tiny without.",
)
_SECTIONS = flags.DEFINE_multi_enum(
    "sections", list(SECTIONS), list(SECTIONS), "What to measure; may be given several times."
)
_PYTORCH_METRIC_LEARNING_PYTHON = flags.DEFINE_string(
    "pytorch_metric_learning_python",
    None,
    "Python interpreter with torch and pytorch-metric-learning, where the one that runs this has "
    "no such package.",
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", None, "Folder for the results, if not the usual one; no document is written."
)
_DOCUMENT_ONLY = flags.DEFINE_bool(
    "document_only", False, "Writes docs/benchmarks.md from the results there are."
)

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "benchmarks.md"
RESULTS_DIR = ROOT / "benchmarks" / "results"
TRIAL_DIR = ROOT / "build" / "benchmarks" / "accelerator"
PROGRAM = "accelerator_workers.py"
ACCELERATOR_ENVIRONMENT = {
    # By default JAX takes three quarters of the memory at once; torch has no such limit.
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "XLA_CLIENT_MEM_FRACTION": "0.95",
}
TRIAL_ENVIRONMENT = {
    **CPU_ENVIRONMENT,
    # Most of a trial is compiling: LLVM's optimizations would take longer than they save.
    "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
}
# torch.compile would start processes that outlive a job that is ended.
JOB_ENVIRONMENT = {"TORCHINDUCTOR_COMPILE_THREADS": "1"}
# Seconds in which a measurement may end after the time of its job.
GRACE_SECONDS = 40
# Seconds that a process needs to import Keras and to begin.
SHORTEST_JOB_SECONDS = 5
# The words before each number in a line of progress.
SHOWN = {
    "implementation": "",
    "encoder": "",
    "part": "",
    "recipe": "",
    "rows": "rows ",
    "input_size": "from ",
    "image_size": "to ",
    "batch_size": "batch ",
    "micro_batch_size": "micro-batch ",
    "dtype": "",
    "precision": "",
}

Record = dict[str, Any]
Save = Callable[[], None]


def describe_frameworks() -> dict[str, dict[str, Any]]:
    """Returns what JAX and torch, each in its own process, say of their device, or a note."""
    facts = {}
    for framework in ("jax", "torch"):
        arguments = {"section": "describe", "framework": framework}
        environment = {**JOB_ENVIRONMENT, **ACCELERATOR_ENVIRONMENT}
        *_, facts[framework] = worker_records(
            sys.executable, PROGRAM, framework, arguments, environment, timeout=120
        )
    return facts


def describe_device(frameworks: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Returns the measured device: the accelerator that a framework finds, else the CPU."""
    found = [facts for facts in frameworks.values() if facts.get("platform") not in (None, "cpu")]
    if not found:
        return {"name": "CPU", "platform": "cpu", "frameworks": frameworks}
    named = (
        frameworks["torch"] if frameworks["torch"] in found else found[0]
    )  # torch knows all of its memory
    device = {name: named[name] for name in ("name", "platform", "memory_gb") if name in named}
    return {**device, **driver(), "frameworks": frameworks}


def driver() -> dict[str, str]:
    """Returns the version of NVIDIA's driver, if one reports it."""
    if not shutil.which("nvidia-smi"):
        return {}
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False)
    return (
        {"driver": answer.stdout.splitlines()[0].strip()}
        if answer.returncode == 0 and answer.stdout.strip()
        else {}
    )


def is_trial(device: dict[str, Any], size: str) -> bool:
    """Returns whether a run only shows that the program works, not how fast anything is."""
    return device["platform"] == "cpu" or size == "tiny"


def output_file(device: dict[str, Any], size: str) -> pathlib.Path:
    """Returns the file of the results; trials have another folder than devices."""
    folder = _OUTPUT_DIR.value or (TRIAL_DIR if is_trial(device, size) else RESULTS_DIR)
    return pathlib.Path(folder) / f"{slug(device['name'])}.json"


def run_job(
    job: Job,
    size: Size,
    device: dict[str, Any],
    seconds: float,
    timeout: float,
    records: list[Record],
    save: Save,
) -> None:
    """Adds a record for every measurement of a job, and saves after each.

    A note stands for measurements that were not made.
    """
    facts = device["frameworks"][job.framework]
    # Another interpreter may have packages that this one lacks, and says itself if not.
    if facts.get("platform") != device["platform"] and job.environment == "neutral":
        why = facts.get("note") or f"{job.framework} finds no accelerator"
        add_notes(job, job.measurements, f"not run: {why}", records, save)
        return
    if min(seconds, timeout) < SHORTEST_JOB_SECONDS:
        add_notes(job, job.measurements, OUT_OF_TIME, records, save)
        return
    python = sys.executable
    if job.environment == "pytorch_metric_learning":
        python = _PYTORCH_METRIC_LEARNING_PYTHON.value or sys.executable
    arguments = {
        "section": job.section,
        "framework": job.framework,
        "platform": device["platform"],
        "measurements": json.dumps(job.measurements),
        "seconds": seconds,
        "repeats": size.repeats,
        "step_seconds": size.step_seconds,
    }
    environment = TRIAL_ENVIRONMENT if device["platform"] == "cpu" else ACCELERATOR_ENVIRONMENT
    number, why = 0, "not run: the process ended"
    for record in worker_records(
        python, PROGRAM, job.framework, arguments, {**JOB_ENVIRONMENT, **environment}, timeout
    ):
        if len(record) == 1:  # the reason why there are no more measurements
            why = record["note"]
            continue
        add(job, record, records, save)
        number += 1
    missing = job.measurements[number:]
    add_notes(job, missing[:1], why, records, save)
    add_notes(
        job,
        missing[1:],
        why if why == OUT_OF_TIME else "not run: the process ended before",
        records,
        save,
    )


def add_notes(
    job: Job, measurements: list[dict[str, Any]], note: str, records: list[Record], save: Save
) -> None:
    for measurement in measurements:
        add(job, {**measurement, "note": note}, records, save)


def add(job: Job, record: Record, records: list[Record], save: Save) -> None:
    """Keeps a record, and prints it to stderr."""
    records.append({"framework": job.framework, **record})
    save()
    shown = [
        f"{label}{record[name]}" for name, label in SHOWN.items() if record.get(name) is not None
    ]
    outcome = record.get("note") or format_seconds(record["median_seconds"])
    print(
        f"{job.section}, {job.framework}, {', '.join(shown)}: {outcome}",
        file=sys.stderr,
        flush=True,
    )


def measure(device: dict[str, Any], size: str, budget: Budget) -> dict[str, Any]:
    """Runs the jobs of the chosen sections, and prints their tables.

    Returns:
        The results, which are already in their file.
    """
    path = output_file(device, size)
    path.parent.mkdir(parents=True, exist_ok=True)
    earlier = json.loads(path.read_text()) if path.exists() else {"size": size, "sections": {}}
    kept = {
        name: section
        for name, section in earlier["sections"].items()
        if name not in _SECTIONS.value
    }
    results: dict[str, Any] = {
        "command": " ".join(["python", *sys.argv]),
        "size": size,
        "is_trial": is_trial(device, size),
        "device": device,
        "machine": describe_machine(),
        "settings": {
            "minutes": _MINUTES.value,
            "repeats": SIZES[size].repeats,
            "step_seconds": SIZES[size].step_seconds,
            "precisions": PRECISIONS,
            "precision of training_step, augmentation and gradient_caching": "tf32",
        },
        "sections": kept if earlier["size"] == size else {},
    }
    print(format_facts(results))
    for section in [name for name in SECTIONS if name in _SECTIONS.value]:
        records: list[Record] = []
        date = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
        results["sections"][section] = {"date": date, "measurements": records}
        start = time.monotonic()
        jobs = jobs_of(section, SIZES[size], device["platform"])
        for number, job in enumerate(jobs):
            seconds = budget.for_job(job, jobs[number + 1 :])
            timeout = min(seconds + GRACE_SECONDS, budget.left())
            run_job(
                job,
                SIZES[size],
                device,
                seconds,
                timeout,
                records,
                lambda: write_results(path, results),
            )
        results["sections"][section]["seconds"] = round(time.monotonic() - start, 1)
        write_results(path, results)
        print(f"\n{format_section(section, records)}", flush=True)
    print(f"\n{path}")
    return results


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Flags look like --name=value. Received: {' '.join(argv[1:])}")
    if _DOCUMENT_ONLY.value:
        write_document(DOCUMENT, RESULTS_DIR)
        return
    # Ends the process of a job too, which a signal alone would leave behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("accelerator.py: stopped"))
    os.environ.pop(
        "XLA_PYTHON_CLIENT_MEM_FRACTION", None
    )  # the old name of what is set here; JAX takes no two
    budget = Budget(60 * _MINUTES.value, [name for name in SECTIONS if name in _SECTIONS.value])
    device = describe_device(describe_frameworks())
    size = _SIZE.value or ("tiny" if device["platform"] == "cpu" else "full")
    if device["platform"] == "cpu":
        print(
            "Neither JAX nor torch finds an accelerator. This is a trial on the CPU: it shows "
            "that the program works."
        )
    try:
        results = measure(device, size, budget)
    finally:
        if output_file(device, size).parent == RESULTS_DIR:
            write_document(DOCUMENT, RESULTS_DIR)
    records = [
        record for section in results["sections"].values() for record in section["measurements"]
    ]
    wrong = disagreements(results["sections"].get("loss", {"measurements": []})["measurements"])
    wrong += sorted(
        {record["note"] for record in records if record.get("note", "").startswith("failed")}
    )
    if wrong:
        sys.exit(f"accelerator.py: {'; '.join(wrong)}")


if __name__ == "__main__":
    app.run(main)

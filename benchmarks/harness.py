"""What the benchmarks share: a process for each measurement, the machine, the table and the file of results.

Needs only the standard library, because the processes that measure a peer import it as well.
"""

import ctypes
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent


def run_worker(python: str, program: str, backend: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Runs a program of this folder with the flags `arguments` and returns the JSON of its last line.

    Without a GPU, by another Python interpreter if need be. `"note"` in the answer says why there is no measurement.
    """
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "PYTHONPATH": str(HERE.parent),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        # A benchmark of the CPU: a library that found a GPU would be compared with one that did not look.
        "CUDA_VISIBLE_DEVICES": "-1",
        "JAX_PLATFORMS": "cpu",
    }
    finished = subprocess.run(
        [python, str(HERE / program), *(f"--{flag}={value}" for flag, value in arguments.items())],
        env=environment,
        capture_output=True,
        text=True,
    )
    if finished.returncode:
        lines = finished.stderr.strip().splitlines() or ["no message"]
        return {"note": f"failed ({finished.returncode}): {lines[-1]}"}
    return json.loads(finished.stdout.splitlines()[-1])


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """The versions of those packages that this interpreter has."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def describe_machine() -> dict[str, Any]:
    processors = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in processors if line.startswith("model name")), platform.machine())
    instructions = next((line.split() for line in processors if line.startswith("flags")), [])
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "avx512": "avx512f" in instructions,
        "available_memory_gb": round(available_gigabytes(), 1),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def available_gigabytes() -> float:
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024 / 1e9
    raise RuntimeError("/proc/meminfo has no MemAvailable")


def memory_bytes(field: str) -> int:
    """`VmRSS`, the memory of this process now, or `VmHWM`, its highest since `forget_peak_memory`."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}")


def forget_peak_memory() -> None:
    """Starts `VmHWM` anew (Linux, proc(5), clear_refs).

    Not `ru_maxrss`: a process inherits that from the one that started it, and it holds the peak of loading the libraries;
    either would hide a step that needs less. With the present memory as the base every megabyte of a step counts.
    """
    ctypes.CDLL(None).malloc_trim(0)  # what was freed and kept: a later step would take it without being charged
    pathlib.Path("/proc/self/clear_refs").write_text("5")


def markdown_table(header: list[str], rows: list[list[str]], num_left: int = 1) -> str:
    """A Markdown table whose columns are padded to one width; all but the first `num_left` are aligned to the right."""
    rule = ["---"] * num_left + ["---:"] * (len(header) - num_left)
    lines = [header, rule, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def write_results(path: pathlib.Path, results: dict) -> None:
    """Whole or not at all; to be called after every table, for those who stop a long run."""
    unfinished = path.with_name(f"unfinished-{path.name}")
    unfinished.write_text(json.dumps(results, indent=2) + "\n")
    os.replace(unfinished, path)

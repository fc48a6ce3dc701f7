"""The common parts of the benchmarks: processes, steps, the machine, tables, the file of results.

Importing it needs only the standard library, because the processes that measure a peer import it
too.
"""

import ctypes
import importlib.metadata
import json
import os
import pathlib
import platform
import runpy
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
# For a benchmark of the CPU: no library may find a GPU that another does not look for.
CPU_ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
OUT_OF_TIME = "not run: out of time"


def run_worker(
    python: str, program: str, backend: str, arguments: dict[str, Any]
) -> dict[str, Any]:
    """Runs a program of this folder, and returns the JSON of its last line.

    It runs without a GPU, by another Python interpreter if need be, with the flags `arguments`.
    `"note"` in the answer says why there is no measurement.
    """
    *_, last = worker_records(python, program, backend, arguments, CPU_ENVIRONMENT)
    return last


def worker_records(
    python: str,
    program: str,
    backend: str,
    arguments: dict[str, Any],
    environment: dict[str, str],
    timeout: float | None = None,
) -> Iterator[dict[str, Any]]:
    """Runs a program of this folder, and yields the JSON of its lines as they come.

    Ends the program after `timeout` seconds, and when the caller stops. A program that fails or
    runs out of time has one more record at the end, a `"note"` that says so.
    """
    command = [
        python,
        str(HERE / program),
        *(f"--{flag}={value}" for flag, value in arguments.items()),
    ]
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "PYTHONPATH": str(HERE.parent),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        **environment,
    }
    # Errors go to a file, not a pipe: they are read at the end, and a full pipe would stop the
    # program.
    with (
        tempfile.TemporaryFile("w+", errors="replace") as errors,
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        is_late = threading.Event()
        timer = threading.Timer(timeout or 0, lambda: (is_late.set(), process.kill()))
        if timeout is not None:
            timer.start()
        try:
            for line in process.stdout:
                if line.startswith("{") and line.endswith(
                    "\n"
                ):  # the last one of a program that was ended may be cut
                    yield json.loads(line)
            process.wait()
        finally:
            timer.cancel()
            process.kill()
        if is_late.is_set():
            yield {"note": OUT_OF_TIME}
        elif process.returncode:
            errors.seek(0)
            lines = errors.read().strip().splitlines() or ["no message"]
            yield {"note": f"failed ({process.returncode}): {lines[-1]}"}


def time_steps(step: Callable[[], Any], repeats: int, seconds: float) -> tuple[list[float], Any]:
    """Times steps until there are `repeats` of them.

    After `seconds` two steps are enough.

    Returns:
        The seconds of each step, and the result of the last one.
    """
    times: list[float] = []
    result = None
    while len(times) < 2 or (len(times) < repeats and sum(times) < seconds):
        result = None  # what the step before made is not to lie beside what this one makes
        start = time.perf_counter()
        result = step()
        times.append(time.perf_counter() - start)
    return times, result


def torch_device() -> str:
    """Returns the device of torch.

    The benchmarks of the CPU hide GPUs from their workers.
    """
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def wait_for_torch() -> None:
    """Waits for the work of the GPU, if there is one."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Returns the versions of the given packages that this interpreter has."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def describe_machine() -> dict[str, Any]:
    processors = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.split(":", 1)[1].strip() for line in processors if line.startswith("model name")),
        platform.machine(),
    )
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
    """Returns `VmRSS`, the memory of this process now, or `VmHWM`, its peak.

    The peak is that since `forget_peak_memory`.
    """
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}")


def forget_peak_memory() -> None:
    """Resets `VmHWM` (Linux, proc(5), clear_refs).

    Not `ru_maxrss`: a process inherits that from its parent, and it holds the peak of loading the
    libraries; either would hide a step that needs less. With the present memory as the base every
    megabyte of a step counts.
    """
    ctypes.CDLL(None).malloc_trim(
        0
    )  # what was freed and kept: a later step would take it without being charged
    pathlib.Path("/proc/self/clear_refs").write_text("5")


class PeakMemory:
    """Samples the memory of this process and its children while it is entered.

    `megabytes` is the peak of their sum, in which what processes share counts once (`Pss`).
    """

    def __init__(self, seconds: float = 0.5) -> None:
        self.megabytes = 0.0
        self._seconds = seconds
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _sample(self) -> None:
        while True:
            self.megabytes = max(self.megabytes, memory_of_processes() / 1e6)
            if self._is_over.wait(self._seconds):
                return


def memory_of_processes() -> int:
    """Returns the bytes of memory of this process and its children."""
    processes = ["self"]
    for path in pathlib.Path("/proc/self").glob("task/*/children"):
        processes += path.read_text().split()
    total = 0
    for process in processes:
        try:
            lines = pathlib.Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has just ended
            continue
        total += next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return total * 1024


def markdown_table(header: list[str], rows: list[list[str]], num_left: int = 1) -> str:
    """Returns a Markdown table whose columns are padded to one width.

    All columns but the first `num_left` are aligned to the right.
    """
    rule = ["---"] * num_left + ["---:"] * (len(header) - num_left)
    lines = [header, rule, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    )


def format_seconds(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.{0 if seconds >= 0.1 else 1}f} ms"


def write_results(path: pathlib.Path, results: dict) -> None:
    """Writes the results whole or not at all.

    It is called after every table, for those who stop a long run.
    """
    # By its path: importing the package would import Keras and a backend here.
    files = runpy.run_path(str(HERE.parent / "keras_supcon" / "files.py"))
    with files["whole_file"](path) as unfinished:
        unfinished.write_text(json.dumps(results, indent=2) + "\n")

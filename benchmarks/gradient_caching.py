"""Measures a training step with gradient caching, beside the plain step, for a growing batch.

    make benchmark-gradient-caching
    python benchmarks/gradient_caching.py --backend=jax

Prints a Markdown table and writes results.json to --output_dir. Every step is measured in its own
process. At each batch size the plain step and those with gradient caching follow one another, so a
ratio compares times of the same minutes. The step is the whole one of `ContrastiveModel.fit`: two
augmented views, encoder, projection head, SupCon, backward pass, SGD. Extra memory is the peak over
the process before the first step, which traces and compiles. Linux with glibc only.
"""

import datetime
import gc
import json
import pathlib
import statistics
import sys
import time
from typing import Any

from absl import app, flags
from harness import (
    available_gigabytes,
    describe_machine,
    forget_peak_memory,
    markdown_table,
    memory_bytes,
    run_worker,
    versions,
    write_results,
)

_BATCH_SIZES = flags.DEFINE_list(
    "batch_sizes", "512,1024,2048,4096,8192", "Images in a batch, of which there are two views."
)
_MICRO_BATCH_SIZES = flags.DEFINE_list(
    "micro_batch_sizes", "256", "Rows that the encoder sees at once."
)
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 32, "Height and width of the images.")
_DEPTH = flags.DEFINE_integer("depth", 18, "Depth of the ResNet with the stem for small images.")
_WIDTH = flags.DEFINE_float("width", 0.25, "Its width.")
_STEPS = flags.DEFINE_integer(
    "steps", 3, "Timed steps, after one that traces and compiles.", lower_bound=1
)
_MEMORY_GB = flags.DEFINE_float(
    "memory_gb", 16.0, "Plain steps that would need more, by their growth, are not run."
)
_BACKEND = flags.DEFINE_enum(
    "backend", "tensorflow", ["tensorflow", "jax", "torch"], "Backend of Keras."
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "build/benchmarks/gradient_caching", "Folder for results.json."
)
_WORKER = flags.DEFINE_bool(
    "worker", False, "Measures one step in this process; for the use of this program."
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", None, "Of the worker.")
_MICRO_BATCH_SIZE = flags.DEFINE_integer(
    "micro_batch_size", 0, "Of the worker; 0 is the plain step."
)


def measure_step() -> dict[str, Any]:
    """Returns the seconds of the steps, the first loss and the extra memory of this process."""
    import keras
    import numpy as np

    import keras_supcon

    keras.utils.set_random_seed(0)
    size = (_IMAGE_SIZE.value, _IMAGE_SIZE.value)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (_BATCH_SIZE.value, *size, 3), dtype="uint8")
    labels = rng.integers(0, 100, _BATCH_SIZE.value)
    model = keras_supcon.ContrastiveModel(
        keras_supcon.encoders.ResNet(depth=_DEPTH.value, width=_WIDTH.value, stem="cifar"),
        keras_supcon.ProjectionHead(output_dim=128, hidden_units=(256,)),
        augmenter=keras_supcon.augmentation.SimAugment(
            image_size=size, blur_probability=0.0, seed=0
        ),
        micro_batch_size=_MICRO_BATCH_SIZE.value or None,
    )
    model.compile(optimizer=keras.optimizers.SGD(0.1, momentum=0.9), loss=keras_supcon.SupConLoss())
    model.build((None, *size, 3))
    model.optimizer.build(model.trainable_variables)
    gc.collect()
    forget_peak_memory()
    base = memory_bytes("VmRSS")
    losses, seconds = [], []
    for _ in range(1 + _STEPS.value):
        start = time.perf_counter()
        losses.append(float(model.train_on_batch(images, labels)))
        seconds.append(time.perf_counter() - start)
    return {
        "losses": losses,
        "first_step_seconds": seconds[0],
        "step_seconds": seconds[1:],
        "extra_memory_mb": (memory_bytes("VmHWM") - base) / 1e6,
        "versions": versions(("keras", "tensorflow", "tensorflow-cpu", "jax", "torch")),
    }


def measure(
    batch_size: int, micro_batch_size: int, earlier: list[dict[str, Any]]
) -> dict[str, Any]:
    """Returns one row of the table, and prints the progress to stderr."""
    record = {"batch_size": batch_size, "micro_batch_size": micro_batch_size}
    gigabytes = 0.0 if micro_batch_size else expected_gigabytes(batch_size, earlier)
    if gigabytes > min(_MEMORY_GB.value, available_gigabytes()):
        record["note"] = f"not run: about {gigabytes:.0f} GB"
    else:
        shared = {
            name: flags.FLAGS[name].value for name in ("image_size", "depth", "width", "steps")
        }
        arguments = {
            "worker": True,
            "batch_size": batch_size,
            "micro_batch_size": micro_batch_size,
            **shared,
        }
        record |= run_worker(sys.executable, "gradient_caching.py", _BACKEND.value, arguments)
    if "step_seconds" in record:
        record["min_seconds"] = min(record["step_seconds"])
        record["median_seconds"] = statistics.median(record["step_seconds"])
        outcome = f"{record['min_seconds']:.2f} s, {record['extra_memory_mb']:.0f} MB"
    else:
        outcome = record["note"]
    print(
        f"batch {batch_size}, micro-batch {micro_batch_size or 'none'}: {outcome}",
        file=sys.stderr,
        flush=True,
    )
    return record


def expected_gigabytes(batch_size: int, earlier: list[dict[str, Any]]) -> float:
    """Returns the expected memory of a plain step, which grows with the batch.

    It is 0 if none has been measured.
    """
    measured = [
        record
        for record in earlier
        if not record["micro_batch_size"] and "extra_memory_mb" in record
    ]
    if not measured:
        return 0.0
    largest = max(measured, key=lambda record: record["batch_size"])
    return largest["extra_memory_mb"] / 1e3 * batch_size / largest["batch_size"]


def format_table(records: list[dict[str, Any]]) -> str:
    rows, plain = [], {}
    for record in records:
        name = (
            f"micro-batches of {record['micro_batch_size']}"
            if record["micro_batch_size"]
            else "plain"
        )
        batch_size = record["batch_size"]
        if "step_seconds" not in record:
            rows.append([str(batch_size), name, record["note"], "", "", ""])
            continue
        if not record["micro_batch_size"]:
            plain[batch_size] = record["min_seconds"]
        ratio = f"{record['min_seconds'] / plain[batch_size]:.2f}" if batch_size in plain else "-"
        rows.append(
            [
                str(batch_size),
                name,
                f"{record['min_seconds']:.2f} s",
                f"{record['median_seconds']:.2f} s",
                ratio,
                f"{record['extra_memory_mb']:.0f} MB",
            ]
        )
    return markdown_table(
        ["batch", "step", "min time", "median", "times plain", "extra memory"], rows, num_left=2
    )


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Flags look like --name=value. Received: {' '.join(argv[1:])}")
    if _WORKER.value:
        print(json.dumps(measure_step()))
        return
    output_dir = pathlib.Path(_OUTPUT_DIR.value)
    output_dir.mkdir(parents=True, exist_ok=True)
    results = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python", *sys.argv]),
        "machine": describe_machine(),
        "backend": _BACKEND.value,
        "measurements": [],
    }
    for batch_size in map(int, _BATCH_SIZES.value):
        for micro_batch_size in (0, *map(int, _MICRO_BATCH_SIZES.value)):
            results["measurements"].append(
                measure(batch_size, micro_batch_size, results["measurements"])
            )
            write_results(output_dir / "results.json", results)
    print(f"\n{format_table(results['measurements'])}\n\n{output_dir / 'results.json'}")


if __name__ == "__main__":
    app.run(main)

"""Measures how fast images are corrupted on the CPU, beside imagecorruptions-imaug.

    python benchmarks/corruptions.py  # only this package
    python benchmarks/corruptions.py --peer_python=PYTHON

--peer_python has imagecorruptions-imaug; without it its columns are left out. Prints Markdown
tables and writes results.json to --output_dir. Images are cut from the two photographs of
scikit-learn. Each measurement runs in a process of its own. Linux only.

Rates are images per second of processor time, of all threads together, over the five severities.
Both take the constants of ImageNet-C, since the peer has no others. Times of whole sets are those
of a clock, with the constants that this package chooses by the size.
"""

import datetime
import pathlib
import sys
from typing import Any

import keras
import numpy as np
from absl import app, flags
from corruptions_tables import SIZES, format_rates, format_sets, pieces_of_photographs
from harness import describe_machine, run_worker, write_results

from keras_supcon.evaluation.corruptions import CORRUPTIONS, EXTRA_CORRUPTIONS

# Height, channels and constants of the sets that are timed.
WHOLE_SETS = {"28x28x1": (28, 1, "cifar"), "32x32x3": (32, 3, "cifar")}

_SECONDS = flags.DEFINE_float(
    "seconds", 1.0, "Least time for a corruption and an implementation.", lower_bound=0.0
)
_THREADS = flags.DEFINE_integer(
    "threads", 2, "Threads of the last column of the last table.", lower_bound=1
)
_PEER_PYTHON = flags.DEFINE_string(
    "peer_python", None, "Python interpreter with imagecorruptions-imaug."
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "build/benchmarks/corruptions", "Folder for the images and results.json."
)


def measure(worker: str, python: str, images: pathlib.Path, **options: Any) -> dict[str, Any]:
    arguments = {"worker": worker, "images": images, "seconds": _SECONDS.value, **options}
    backend = keras.backend.backend()  # corruptions do not use it, but importing Keras does
    answer = run_worker(python, "corruptions_implementations.py", backend, arguments)
    outcome = answer.get("note", "done")
    print(f"{images.stem}, {worker}: {outcome}", file=sys.stderr, flush=True)
    return answer


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Flags look like --name=value. Received: {' '.join(argv[1:])}")
    output_dir = pathlib.Path(_OUTPUT_DIR.value)
    output_dir.mkdir(parents=True, exist_ok=True)
    names = ",".join((*CORRUPTIONS, *EXTRA_CORRUPTIONS))
    results: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "rates": {},
        "sets": {},
    }
    print(", ".join(f"{name}: {value}" for name, value in results["machine"].items()))
    if _PEER_PYTHON.value is None:
        print("Left out, for want of an interpreter (--help): imagecorruptions-imaug")
    for size, number in SIZES.items():
        images = output_dir / f"photographs-{size}.npy"
        np.save(images, pieces_of_photographs(number, size, channels=3))
        of_size = results["rates"][str(size)] = {}
        of_size["ours"] = measure("keras_supcon", sys.executable, images, names=names)
        if _PEER_PYTHON.value:
            few = output_dir / f"photographs-{size}-few.npy"
            np.save(few, np.load(images)[:4])
            of_size["peer"] = measure("imagecorruptions", _PEER_PYTHON.value, few, names=names)
        write_results(output_dir / "results.json", results)
    print(f"\nImages per second of processor time\n\n{format_rates(results['rates'])}", flush=True)
    for label, (size, channels, constants) in WHOLE_SETS.items():
        images = output_dir / f"photographs-{label}.npy"
        np.save(images, pieces_of_photographs(1024, size, channels))
        results["sets"][label] = {
            threads: measure(
                "keras_supcon",
                sys.executable,
                images,
                names=",".join(CORRUPTIONS),
                constants=constants,
                threads=threads,
            )
            for threads in sorted({1, _THREADS.value})
        }
        write_results(output_dir / "results.json", results)
    print(f"\nWall time\n\n{format_sets(results['sets'])}\n\n{output_dir / 'results.json'}")
    answers = [
        *(answer for of_size in results["rates"].values() for answer in of_size.values()),
        *(answer for of_threads in results["sets"].values() for answer in of_threads.values()),
    ]
    if any("note" in answer for answer in answers):
        sys.exit("corruptions.py: some measurements failed, see the tables")


if __name__ == "__main__":
    app.run(main)

"""The corruptions of this package and of a peer, and the process that measures one of them.

`benchmarks/corruptions.py` starts this file once per measurement. Its last line is JSON. It needs
only NumPy and the measured library.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from harness import versions

SEVERITIES = (1, 2, 3, 4, 5)
# Images, a name and a severity.
Corrupt = Callable[[np.ndarray, str, int], Any]


def with_keras_supcon(constants: str, threads: int = 1) -> Corrupt:
    from keras_supcon.evaluation.corruptions import corrupt

    return lambda images, name, severity: corrupt(
        images, name, severity, constants=constants, threads=threads
    )


def with_imagecorruptions() -> Corrupt:
    import imagecorruptions

    return lambda images, name, severity: [
        imagecorruptions.corrupt(image, corruption_name=name, severity=severity) for image in images
    ]


def measure(corrupt: Corrupt, images: np.ndarray, name: str, seconds: float) -> dict[str, float]:
    """Times whole rounds of all severities until they have taken `seconds`, at least one.

    What a library keeps for later calls is made before.
    """
    for severity in SEVERITIES:
        corrupt(images[:1], name, severity)
    count, start, cpu_start = 0, time.perf_counter(), time.process_time()
    while count == 0 or time.perf_counter() - start < seconds:
        for severity in SEVERITIES:
            corrupt(images, name, severity)
            count += len(images)
    return {
        "images": count,
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu_start,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker", required=True, choices=("keras_supcon", "imagecorruptions"))
    parser.add_argument("--images", required=True)
    parser.add_argument("--names", required=True, type=lambda text: text.split(","))
    parser.add_argument("--constants", default="imagenet")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0)
    arguments = parser.parse_args()
    images = np.load(arguments.images)
    if arguments.worker == "keras_supcon":
        corrupt = with_keras_supcon(arguments.constants, arguments.threads)
    else:
        corrupt = with_imagecorruptions()
    measured = {name: measure(corrupt, images, name, arguments.seconds) for name in arguments.names}
    found = versions(("keras", "numpy", "scipy", "pillow", "imagecorruptions-imaug"))
    print(json.dumps({"measured": measured, "versions": found}), flush=True)


if __name__ == "__main__":
    main()

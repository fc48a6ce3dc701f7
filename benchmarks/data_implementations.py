"""Folders of images as this package and its peers read them, and the process that measures one.

`benchmarks/data.py` starts this file once per measurement. Its last line is JSON. It needs only the
measured library and, for the quality of the pixels, NumPy and Pillow.
"""

import argparse
import dataclasses
import json
import pathlib
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from harness import memory_bytes, versions

SIZE = 224
BATCH_SIZE = 32
NUM_WORKERS = 2
# Batches whose classes are counted.
MIXED_BATCHES = 10


@dataclasses.dataclass(frozen=True)
class Implementation:
    label: str
    # The Python interpreter: "tensorflow" or "torchvision".
    environment: str
    # (folder, whether to shuffle) -> batches (images, labels) in the order of the sorted paths, if
    # not shuffled
    read: Callable[[str, bool], Iterable[Any]]


def read_with_keras_supcon(folder: str, shuffle: bool, **options: Any) -> Iterable[Any]:
    import keras_supcon

    return keras_supcon.data.load_folder(
        folder, "all", BATCH_SIZE, (SIZE, SIZE), shuffle=shuffle, **options
    )


def read_with_keras(folder: str, shuffle: bool, interpolation: str = "bilinear") -> Iterable[Any]:
    import keras

    return keras.utils.image_dataset_from_directory(
        folder,
        batch_size=BATCH_SIZE,
        image_size=(SIZE, SIZE),
        shuffle=shuffle,
        seed=1,
        interpolation=interpolation,
        crop_to_aspect_ratio=True,
        verbose=False,
    )


def read_with_keras_as_bytes(folder: str, shuffle: bool) -> Iterable[Any]:
    """Reads with Keras, and casts to uint8 as `load_folder` returns it.

    Keras' own images are float32, of four times as many bytes.
    """
    import tensorflow as tf

    def convert(images: Any, labels: Any) -> tuple[Any, Any]:
        return tf.cast(images + 0.5, "uint8"), labels

    return (
        read_with_keras(folder, shuffle)
        .map(convert, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


class ReadWithTorchvision:
    """Reads with `ImageFolder` in a `DataLoader`, whose processes live from epoch to epoch."""

    def __init__(self, folder: str, shuffle: bool) -> None:
        import torch
        from torchvision import datasets, transforms

        torch.set_num_threads(1)
        shape = [transforms.Resize(SIZE), transforms.CenterCrop(SIZE), transforms.PILToTensor()]
        self.loader = torch.utils.data.DataLoader(
            datasets.ImageFolder(folder, transforms.Compose(shape)),
            batch_size=BATCH_SIZE,
            shuffle=shuffle,
            num_workers=NUM_WORKERS,
            persistent_workers=True,
        )

    def __iter__(self) -> Iterator[Any]:
        for images, labels in self.loader:
            yield images.permute(0, 2, 3, 1), labels


IMPLEMENTATIONS = {
    "keras_supcon": Implementation("`load_folder`", "tensorflow", read_with_keras_supcon),
    "keras_supcon_antialias": Implementation(
        "`load_folder(antialias=True)`",
        "tensorflow",
        lambda folder, shuffle: read_with_keras_supcon(folder, shuffle, antialias=True),
    ),
    "keras": Implementation("Keras, bilinear (its default)", "tensorflow", read_with_keras),
    "keras_bytes": Implementation(
        "Keras, bilinear, as uint8", "tensorflow", read_with_keras_as_bytes
    ),
    "keras_area": Implementation(
        'Keras, `interpolation="area"`',
        "tensorflow",
        lambda folder, shuffle: read_with_keras(folder, shuffle, "area"),
    ),
    "torchvision": Implementation("torchvision `ImageFolder`", "torchvision", ReadWithTorchvision),
}


def cpu_seconds() -> float:
    """Returns the processor time of this process, its threads and its running children."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    ticks = 0
    for children in pathlib.Path("/proc/self/task").glob("*/children"):
        for child in children.read_text().split():
            fields = pathlib.Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return own.ru_utime + own.ru_stime + ticks / 100


def measure_rate(read: Callable, folder: str, epochs: int) -> dict[str, Any]:
    """Measures whole epochs, after one that is not counted."""
    batches, windows = read(folder, False), []
    for _ in batches:
        pass
    for _ in range(epochs):
        start, cpu_start, images = time.perf_counter(), cpu_seconds(), 0
        for batch, _ in batches:
            images += len(batch)
        windows.append(
            {
                "images": images,
                "seconds": time.perf_counter() - start,
                "cpu_seconds": cpu_seconds() - cpu_start,
            }
        )
    return {"windows": windows, "error": pixel_error(batches, folder)}


def pixel_error(batches: Iterable[Any], folder: str) -> float:
    """Returns the mean difference from the pixels of Pillow, in levels of 255.

    Pillow resizes the decoded files with a sharp antialiasing filter.
    """
    from PIL import Image, ImageOps

    images, _ = next(iter(batches))
    paths = sorted(pathlib.Path(folder).glob("*/*"))[: len(images)]
    errors = []
    for path, image in zip(paths, np.asarray(images, "float32"), strict=True):
        expected = ImageOps.fit(
            Image.open(path).convert("RGB"), (SIZE, SIZE), Image.Resampling.BICUBIC
        )
        errors.append(np.abs(image - np.asarray(expected, "float32")).mean())
    return float(np.mean(errors))


def measure_start(read: Callable, folder: str, small_folder: str) -> dict[str, Any]:
    """Measures from the call to the first batch, and counts classes in the first batches.

    The libraries were loaded before.
    """
    next(iter(read(small_folder, True)))
    start = time.perf_counter()
    batches = read(folder, True)
    made = time.perf_counter() - start
    iterator = iter(batches)
    classes = [np.asarray(next(iterator)[1])]
    first = time.perf_counter() - start
    classes += [np.asarray(next(iterator)[1]) for _ in range(MIXED_BATCHES - 1)]
    return {
        "made_seconds": made,
        "first_batch_seconds": first,
        "num_classes": len(np.unique(np.concatenate(classes))),
    }


def measure_memory(read: Callable, folder: str) -> dict[str, Any]:
    """Returns the memory of the process after each tenth of an epoch."""
    batches = read(folder, True)
    num_batches = len(getattr(batches, "loader", batches))
    readings, start = [], time.perf_counter()
    for number, _ in enumerate(batches, start=1):
        if number % max(num_batches // 10, 1) == 0:
            readings.append(memory_bytes("VmRSS") / 1e6)
    return {"megabytes": readings, "epoch_seconds": time.perf_counter() - start}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker", required=True, choices=IMPLEMENTATIONS)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--small_folder", required=True)
    parser.add_argument("--quantity", required=True, choices=("rate", "start", "memory"))
    parser.add_argument("--epochs", type=int, default=2)
    arguments = parser.parse_args()
    read = IMPLEMENTATIONS[arguments.worker].read
    if arguments.quantity == "rate":
        answer = measure_rate(read, arguments.folder, arguments.epochs)
    elif arguments.quantity == "start":
        answer = measure_start(read, arguments.folder, arguments.small_folder)
    else:
        answer = measure_memory(read, arguments.folder)
    found = versions(("keras", "tensorflow", "tensorflow-cpu", "pillow", "torch", "torchvision"))
    print(json.dumps({**answer, "versions": found}), flush=True)


if __name__ == "__main__":
    main()

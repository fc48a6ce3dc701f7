"""What one run of `benchmarks/methods.py` is, and the arguments of the process that does it.

It needs only the standard library, because the process that runs a peer imports it too.
"""

import argparse
import dataclasses
import pathlib
from typing import Any, ClassVar


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """Holds one training run.

    Args:
        dataset: `"fashion_mnist"` or `"digits"`.
        method: Name of the method.
        seed: Seed of the random numbers.
        num_images: Training images, a multiple of the batch.
        batch_size: Images in a batch.
        micro_batch_size: Rows that the encoder sees at once; 0 for all.
        epochs: Epochs, of which the first is the warm-up.
        queue_size: Rows of a queue.
        learning_rate: That of Adam after the warm-up.
        depth: Depth of the ResNet with the stem for small images.
        width: Its width.
        ready_batches: Batches of views that are there already, to time the steps alone; 0 for none.
    """

    SPLITS: ClassVar[tuple[str, ...]] = ("train", "validation", "test")

    dataset: str
    method: str
    seed: int
    num_images: int
    batch_size: int
    micro_batch_size: int = 0
    epochs: int
    queue_size: int
    learning_rate: float
    depth: int
    width: float
    ready_batches: int = 0

    @property
    def steps_per_epoch(self) -> int:
        return self.num_images // self.batch_size


@dataclasses.dataclass(frozen=True)
class Paths:
    """Holds where images and labels of all splits are read, and where features are written."""

    data: pathlib.Path
    features: pathlib.Path


def training_steps(run: Run) -> int:
    return run.steps_per_epoch * run.epochs


def run_arguments(run: Run, paths: Paths) -> dict[str, Any]:
    """Returns the flags of the process that does a run."""
    return {**dataclasses.asdict(run), **dataclasses.asdict(paths)}


def parse_run(description: str) -> tuple[Run, Paths]:
    """Reads the flags of this process."""
    parser = argparse.ArgumentParser(description=description)
    for kind in (Run, Paths):
        for field in dataclasses.fields(kind):
            parser.add_argument(f"--{field.name}", type=field.type, required=True)
    flags = vars(parser.parse_args())
    run, paths = (
        kind(**{field.name: flags[field.name] for field in dataclasses.fields(kind)})
        for kind in (Run, Paths)
    )
    return run, paths

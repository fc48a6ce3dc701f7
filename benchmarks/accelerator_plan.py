"""The measurements of `benchmarks/accelerator.py`, their order, and the time of each part.

A job is one process: one framework and its measurements, from small to large. So the peak of an
allocator that counts from the start of the process belongs to the present measurement. The most
important jobs of a section come first.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable
from typing import Any

from accelerator_devices import PRECISIONS
from loss_implementations import IMPLEMENTATIONS, Implementation, supcontrast_formula

# The sections, and the share of the whole time of each; unused time is for later sections.
SECTIONS = {"loss": 0.25, "training_step": 0.45, "augmentation": 0.13, "gradient_caching": 0.17}
# The implementations of the loss in the order of measurements and tables; the others are compared
# with the first one.
LOSSES = {
    "ours_jax": IMPLEMENTATIONS["ours_jax"],
    "supcontrast_formula": IMPLEMENTATIONS["supcontrast_formula"],
    "ours_torch": IMPLEMENTATIONS["ours_torch"],
    "supcontrast_compiled": Implementation(
        "SupContrast's formula, torch.compile",
        "neutral",
        functools.partial(supcontrast_formula, is_compiled=True),
        "torch",
    ),
    "plain_jax": IMPLEMENTATIONS["plain_jax"],
    "pytorch_metric_learning": IMPLEMENTATIONS["pytorch_metric_learning"],
}
RECIPES = ("simaugment", "simaugment_blur", "auto_augment", "rand_augment", "stacked_rand_augment")


@dataclasses.dataclass(frozen=True)
class Encoder:
    """Describes a ResNet with its images, its batch and the recipe of its views.

    The recipe is a key of `augmentation_implementations.RECIPES`.
    """

    encoder: str
    depth: int
    width: float
    stem: str
    input_size: int
    image_size: int
    batch_size: int
    recipe: str


@dataclasses.dataclass(frozen=True)
class Size:
    """Holds the sizes of the measurements.

    Attributes:
        rows: Rows of the loss, views x batch.
        tf32_rows: The rows that are also measured with TF32 products; with few rows the products do
            not dominate the time.
        encoders: Encoders of the training step.
        views: `(input size, image size, batch size)` of the augmentations.
        cached: Encoder of gradient caching, whose `batch_size` the next two replace.
        cached_batch_sizes: Images in its batches.
        micro_batch_size: Rows that it sees at once.
        repeats: Timed steps of a measurement.
        step_seconds: Seconds after which two timed steps are enough.
    """

    rows: tuple[int, ...]
    tf32_rows: tuple[int, ...]
    encoders: tuple[Encoder, ...]
    views: tuple[tuple[int, int, int], ...]
    cached: Encoder
    cached_batch_sizes: tuple[int, ...]
    micro_batch_size: int
    repeats: int
    step_seconds: float


_RESNET_18 = Encoder("ResNet-18, 32 px", 18, 1.0, "cifar", 32, 32, 1024, "simaugment")
SIZES = {
    "full": Size(
        rows=(1024, 4096, 16384, 65536, 131072),
        tf32_rows=(16384, 65536, 131072),
        encoders=(
            Encoder("ResNet-50, 224 px", 50, 1.0, "imagenet", 256, 224, 128, "simaugment_blur"),
            _RESNET_18,
        ),
        views=((32, 32, 1024), (256, 224, 128)),
        cached=_RESNET_18,
        cached_batch_sizes=(1024, 4096, 16384),
        micro_batch_size=512,
        repeats=20,
        step_seconds=2.0,
    ),
    "tiny": Size(
        rows=(256, 1024),
        tf32_rows=(1024,),
        encoders=(
            Encoder(
                "ResNet-50 x 0.125, 64 px", 50, 0.125, "imagenet", 72, 64, 4, "simaugment_blur"
            ),
            Encoder("ResNet-18 x 0.125, 32 px", 18, 0.125, "cifar", 32, 32, 16, "simaugment"),
        ),
        views=((32, 32, 8), (72, 64, 8)),
        # XLA's convolutions in a loop are slow on a CPU.
        cached=Encoder("ResNet-10 x 0.125, 8 px", 10, 0.125, "cifar", 8, 8, 64, "simaugment"),
        cached_batch_sizes=(64,),
        micro_batch_size=32,
        repeats=3,
        step_seconds=0.2,
    ),
}


@dataclasses.dataclass(frozen=True)
class Job:
    """Holds the measurements of one section that one process makes in turn.

    Attributes:
        section: A key of `SECTIONS`.
        framework: `"jax"` or `"torch"`.
        measurements: Subject of each; the records of the results begin with it.
        weight: Share of the time of its section, relative to the other jobs.
        environment: `"neutral"` or `"pytorch_metric_learning"`: the Python interpreter.
    """

    section: str
    framework: str
    measurements: list[dict[str, Any]]
    weight: float
    environment: str = "neutral"


def jobs_of(section: str, size: Size, platform: str) -> list[Job]:
    """Returns the jobs of a section in their order."""
    jobs = {
        "loss": _loss_jobs,
        "training_step": _training_step_jobs,
        "augmentation": _augmentation_jobs,
        "gradient_caching": _gradient_caching_jobs,
    }
    return list(jobs[section](size, platform))


def _loss_jobs(size: Size, platform: str) -> Iterable[Job]:
    # A CPU has one way to multiply float32.
    rows_of = {"float32": size.rows, "tf32": () if platform == "cpu" else size.tf32_rows}
    # A step of ours on torch is thousands of small kernels; torch.compile and JAX compile again for
    # every size.
    weights = {
        "ours_jax": 3,
        "supcontrast_formula": 2,
        "ours_torch": 3,
        "supcontrast_compiled": 3,
        "plain_jax": 2,
    }
    for name, implementation in LOSSES.items():
        measurements = [
            {"implementation": name, "rows": rows, "precision": precision}
            for precision in PRECISIONS
            for rows in rows_of[precision]
        ]
        yield Job(
            "loss",
            implementation.backend,
            measurements,
            weights.get(name, 1),
            implementation.environment,
        )


def _training_step_jobs(size: Size, platform: str) -> Iterable[Job]:
    for encoder in size.encoders:
        shape = dataclasses.asdict(encoder)
        dtypes = ("bfloat16", "float32")
        ours = [
            {**shape, "dtype": dtype, "part": part}
            for dtype in dtypes
            for part in ("step", "step on given views")
        ]
        loss = {**shape, "dtype": "float32", "part": "loss"}
        yield Job("training_step", "jax", [loss, *ours], weight=5 if encoder.depth >= 50 else 3)
        peer = [{**shape, "dtype": dtype, "part": "step on given views"} for dtype in dtypes]
        yield Job("training_step", "torch", peer, weight=1)


def _augmentation_jobs(size: Size, platform: str) -> Iterable[Job]:
    measurements = [
        {
            "recipe": recipe,
            "input_size": input_size,
            "image_size": image_size,
            "batch_size": batch_size,
        }
        for recipe in RECIPES
        for input_size, image_size, batch_size in size.views
    ]
    yield Job("augmentation", "jax", measurements, weight=3)
    yield Job("augmentation", "torch", measurements, weight=1)


def _gradient_caching_jobs(size: Size, platform: str) -> Iterable[Job]:
    for micro_batch_size in (size.micro_batch_size, None):
        shape = {
            **dataclasses.asdict(size.cached),
            "dtype": "float32",
            "micro_batch_size": micro_batch_size,
        }
        measurements = [
            {**shape, "batch_size": batch_size} for batch_size in size.cached_batch_sizes
        ]
        yield Job("gradient_caching", "jax", measurements, weight=1)


class Budget:
    """Divides the time of a run into sections, and those into jobs.

    Args:
        seconds: Time of all sections.
        sections: Sections that run, in order.
        clock: Function that returns seconds that never decrease.
    """

    def __init__(
        self, seconds: float, sections: Iterable[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        start = clock()
        self._end = start + seconds
        shares = {section: SECTIONS[section] for section in sections}
        self._ends, passed = {}, 0.0
        for section, share in shares.items():
            passed += share / sum(shares.values())
            self._ends[section] = start + passed * seconds

    def left(self) -> float:
        """Returns the seconds that are left of the run."""
        return max(self._end - self._clock(), 0.0)

    def for_job(self, job: Job, jobs_after: Iterable[Job]) -> float:
        """Returns the seconds that a job may take, given the later jobs of its section."""
        weight = job.weight / (job.weight + sum(other.weight for other in jobs_after))
        return max(self._ends[job.section] - self._clock(), 0.0) * weight

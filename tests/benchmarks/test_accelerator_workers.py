"""What a worker of `benchmarks/accelerator.py` measures, on the CPU and with the smallest sizes."""

import pathlib

import keras
import numpy as np
import pytest

BACKEND = keras.backend.backend()
BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"
pytestmark = [
    pytest.mark.neutral,
    pytest.mark.slow,
    pytest.mark.skipif(BACKEND == "tensorflow", reason="measures JAX and torch"),
]
ENCODER = {
    "depth": 10,
    "width": 1 / 64,
    "stem": "cifar",
    "input_size": 8,
    "image_size": 8,
    "batch_size": 4,
    "recipe": "simaugment",
    "dtype": "bfloat16",
}
LOSS = {"rows": 64, "precision": "float32"}
STEP_ON_GIVEN_VIEWS = ("training_step", {**ENCODER, "part": "step on given views"})
ITEMS = {
    "jax": {
        "loss": ("loss", {**LOSS, "implementation": "ours_jax"}),
        "plain loss": ("loss", {**LOSS, "implementation": "plain_jax"}),
        "step": ("training_step", {**ENCODER, "part": "step"}),
        "step on given views": STEP_ON_GIVEN_VIEWS,
        "gradient caching": (
            "gradient_caching",
            {**ENCODER, "dtype": "float32", "micro_batch_size": 2},
        ),
    },
    "torch": {
        "loss": ("loss", {**LOSS, "implementation": "ours_torch"}),
        "plain loss": ("loss", {**LOSS, "implementation": "supcontrast_formula"}),
        "step on given views": STEP_ON_GIVEN_VIEWS,
    },
    "tensorflow": {},
}[BACKEND]
VIEWS = {"recipe": "simaugment", "input_size": 8, "image_size": 8, "batch_size": 4}


@pytest.mark.parametrize("name", [*ITEMS, "augmentation"])
def test_a_measurement_steps_again_and_again_and_says_what_it_computed(monkeypatch, name):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from accelerator_workers import PREPARE

    section, item = ITEMS.get(name, ("augmentation", VIEWS))
    prepared = PREPARE[section](item, BACKEND)
    for _ in range(3):  # the state of a training step is given away to the step at each call
        summary = prepared.summarize(prepared.step())
    assert summary
    assert all(np.isfinite(value) for value in summary.values())


def test_both_losses_compute_the_same(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from accelerator_workers import PREPARE

    ours, plain = (
        PREPARE[section](item, BACKEND) for section, item in (ITEMS["loss"], ITEMS["plain loss"])
    )
    ours, plain = (prepared.summarize(prepared.step()) for prepared in (ours, plain))
    assert ours["loss"] == pytest.approx(plain["loss"], rel=1e-5)
    assert ours["gradient_norm"] == pytest.approx(plain["gradient_norm"], rel=1e-4)

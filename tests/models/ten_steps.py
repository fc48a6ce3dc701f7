"""The losses of ten steps of every method, from weights and data that NumPy draws.

    KERAS_BACKEND=tensorflow python -m tests.models.ten_steps  # writes ten_steps.json

What one backend has written the others have to meet, `test_methods.py`. The formulas are tested
beside the methods; here are batch normalization, optimizers and what a method remembers.
"""

import json
import pathlib

import keras
import numpy as np

from tests.models.methods import FEATURES, METHODS, make, rows, steps

LOSSES = pathlib.Path(__file__).with_suffix(".json")
_STEPS = 10


def losses_of(name: str) -> list[float]:
    """Trains ten steps on four batches by turns, and returns their losses."""
    rng = np.random.default_rng(5)
    model = make(name, optimizer=keras.optimizers.SGD(0.05, momentum=0.9))
    model.build((None, FEATURES))
    for one in model.trainable_variables:
        scale = 0.5 if len(one.shape) > 1 else 0.1
        drawn = scale * rng.normal(size=one.shape).astype("float32")
        one.assign(drawn + (1 if "gamma" in one.path else 0))
    if name == "Co2L":
        model.begin_task([1, 3])  # with a teacher of these weights
    batches = [rows(rng) for _ in range(4)]
    return [steps(model, *batches[step % 4], 1)[0] for step in range(_STEPS)]


if __name__ == "__main__":
    written = {name: losses_of(name) for name in METHODS}
    LOSSES.write_text(json.dumps(written, indent=1) + "\n")

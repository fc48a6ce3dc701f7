"""Jensen's inequality between both sums, computed."""

import numpy as np
from keras import ops

from keras_supcon.experiments.claims import Claim, Exact
from keras_supcon.losses import supcon_loss

_TEMPERATURES, _BATCHES = (0.03, 0.1, 0.3, 1.0), 25


def gaps(temperature: float) -> np.ndarray:
    """Returns loss out minus loss in of samples of random batches `(samples,)`."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(_BATCHES):
        views, labels = rng.normal(size=(32, 2, 8)).astype("float32"), rng.integers(0, 4, 32)
        out, inside = (
            ops.convert_to_numpy(supcon_loss(labels, views, temperature, summation=summation))
            for summation in ("out", "in")
        )
        found.append(out - inside)
    return np.concatenate(found)


def compute() -> Exact:
    found = {temperature: gaps(temperature) for temperature in _TEMPERATURES}
    lowest = min(float(one.min()) for one in found.values())
    return Exact(
        statement=(
            f"Over {_BATCHES * 32 * len(_TEMPERATURES):,} samples of random batches the loss out "
            f"exceeds the loss in by {lowest:.2g} at least."
        ),
        holds=lowest > -1e-5,
        values={
            "mean": (list(found), [float(one.mean()) for one in found.values()]),
            "lowest": (list(found), [float(one.min()) for one in found.values()]),
        },
        x_label="temperature",
        y_label="loss out - loss in",
    )


CLAIM = Claim(
    title="The loss with the sum inside is never above that with the sum outside",
    group="loss",
    source="Khosla et al., 2020, section 3.2.2",
    published="by Jensen's inequality",
    expectation="Holds, up to rounding.",
    compute=compute,
)

"""The gradient of an anchor by the similarity of its pairs, computed."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_supcon.experiments.claims import Claim, Exact
from keras_supcon.losses import supcon_loss


class _Anchor(keras.Model):
    """One anchor as a weight, with the positive and the negative that it is called with."""

    def __init__(self) -> None:
        super().__init__()
        self.row = self.add_weight((1, 3), keras.initializers.Constant([[1.0, 0.0, 0.0]]))
        self.compile(optimizer=keras.optimizers.SGD(1.0), run_eagerly=True)

    def call(self, pair: Any) -> Any:
        return self.row + 0.0 * ops.sum(pair)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, *_: Any, **__: Any
    ) -> Any:
        positive, negative = x[:1], x[1:]
        keys = {"keys": positive, "queue": negative, "queue_labels": [1]}
        return ops.sum(supcon_loss([0], y_pred, **keys))


def gradient_length(positive: float, negative: float) -> float:
    """Returns the length of the gradient of an anchor of length 1.

    Args:
        positive: Similarity of its positive.
        negative: Similarity of its negative.
    """
    model = _Anchor()
    pair = [
        [positive, np.sqrt(1 - positive**2), 0.0],
        [negative, 0.0, np.sqrt(1 - negative**2)],
    ]
    model.train_on_batch(np.array(pair, "float32"))
    return float(np.linalg.norm(ops.convert_to_numpy(model.row) - [[1.0, 0.0, 0.0]]))


def compute() -> Exact:
    hardness = np.linspace(0, 1, 11)
    of_positive = [gradient_length(positive=1 - hard, negative=0.0) for hard in hardness]
    of_negative = [gradient_length(positive=0.0, negative=hard - 1) for hard in hardness]
    grow = all(np.diff(lengths).min() > -1e-4 for lengths in (of_positive, of_negative))
    return Exact(
        statement=(
            f"The gradient grows from {of_positive[0]:.2g} to {of_positive[-1]:.2g} as the "
            f"positive turns from equal to orthogonal, and from {of_negative[0]:.2g} to "
            f"{of_negative[-1]:.2g} as the negative does from opposite."
        ),
        holds=grow and all(of[0] < 1e-2 * of[-1] for of in (of_positive, of_negative)),
        values={
            "positive": (hardness.tolist(), of_positive),
            "negative": (hardness.tolist(), of_negative),
        },
        x_label="hardness: 0 equal (opposite), 1 orthogonal",
        y_label="length of the gradient",
    )


CLAIM = Claim(
    title="Hard pairs move an anchor, easy ones do not",
    group="loss",
    source="Khosla et al., 2020, section 3.2.3 and supplement",
    published="shown by algebra",
    expectation="Holds: `z = w / |w|` takes from the gradient what is along the anchor.",
    compute=compute,
)

"""Triplet losses and gradients of this package and its peers, and the process that measures one.

`benchmarks/triplets.py` starts this file once per measurement.
"""

import argparse
import dataclasses
import json
from collections.abc import Callable

import numpy as np
from loss_implementations import (
    DIM,
    NUM_CLASSES,
    NUM_VIEWS,
    TEMPERATURE,
    Step,
    jax_step,
    measure,
    tensorflow_step,
    torch_step,
)

MARGIN = 0.2
MININGS = ("supcon", "hard", "semi_hard", "all")


@dataclasses.dataclass(frozen=True)
class Implementation:
    label: str
    environment: str
    # (projections (batch, views, dim), labels (batch,), {"mining": name}) -> Step
    prepare: Callable[[np.ndarray, np.ndarray, dict[str, str]], Step]
    backend: str
    # The implementation of SupCon that its times are compared with.
    reference: str
    minings: tuple[str, ...] = MININGS
    is_dense: bool = False

    def bytes_needed(self, num_rows: int, mining: str) -> float:
        """Returns about how much memory a peer takes: arrays of pairs, or of all triplets."""
        if not self.is_dense:
            return 0.0
        if self.environment == "tensorflow_addons" and mining == "semi_hard":
            return 4.0 * 4 * num_rows**3  # repeats the matrix of distances for every row
        if mining == "all":
            return 4.0 * 20 * num_rows**3 / NUM_CLASSES
        return 4.0 * 12 * num_rows**2


def ours(step: Callable) -> Callable:
    def prepare(projections, labels, options) -> Step:
        from keras_supcon.losses import supcon_loss, triplet_loss

        def loss(views, labels):
            if options["mining"] == "supcon":
                return supcon_loss(labels, views, TEMPERATURE)
            return triplet_loss(labels, views, MARGIN, mining=options["mining"])

        return step(loss, projections, labels)

    return prepare


def in_tensorflow(loss, projections, labels) -> Step:
    return tensorflow_step(loss, projections, labels, jit_compile=False)


def tensorflow_addons(projections, labels, options) -> Step:
    import tensorflow as tf
    import tensorflow_addons as tfa

    function = {
        "hard": tfa.losses.triplet_hard_loss,
        "semi_hard": tfa.losses.triplet_semihard_loss,
    }[options["mining"]]

    def loss(views, labels):
        rows = tf.math.l2_normalize(tf.reshape(views, (-1, DIM)), axis=1)
        return function(tf.repeat(labels, NUM_VIEWS), rows, MARGIN, distance_metric="squared-L2")

    return tensorflow_step(loss, projections, labels, jit_compile=False)


def pytorch_metric_learning(projections, labels, options) -> Step:
    from pytorch_metric_learning import distances, losses, miners, reducers

    distance = distances.LpDistance(normalize_embeddings=True, power=2)
    function = losses.TripletMarginLoss(MARGIN, distance=distance, reducer=reducers.MeanReducer())
    miner = miners.BatchHardMiner(distance=distance) if options["mining"] == "hard" else None

    def loss(views, labels):
        rows, labels = views.flatten(0, 1), labels.repeat_interleave(NUM_VIEWS)
        return function(rows, labels, None if miner is None else miner(rows, labels))

    return torch_step(loss, projections, labels)


IMPLEMENTATIONS = {
    "ours_tensorflow": Implementation(
        "keras_supcon on TensorFlow",
        "tensorflow",
        ours(in_tensorflow),
        "tensorflow",
        "ours_tensorflow",
    ),
    "ours_jax": Implementation("keras_supcon on JAX", "neutral", ours(jax_step), "jax", "ours_jax"),
    "ours_torch": Implementation(
        "keras_supcon on torch", "neutral", ours(torch_step), "torch", "ours_torch"
    ),
    "tensorflow_addons": Implementation(
        "TensorFlow Addons",
        "tensorflow_addons",
        tensorflow_addons,
        "tensorflow",
        "ours_tensorflow",
        ("hard", "semi_hard"),
        is_dense=True,
    ),
    "pytorch_metric_learning": Implementation(
        "pytorch-metric-learning",
        "pytorch_metric_learning",
        pytorch_metric_learning,
        "torch",
        "ours_torch",
        ("hard", "all"),
        is_dense=True,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worker", choices=IMPLEMENTATIONS, required=True)
    parser.add_argument("--mining", choices=MININGS, required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    prepare = IMPLEMENTATIONS[arguments.worker].prepare
    options = {"mining": arguments.mining}
    record = measure(prepare, arguments.rows, options, arguments.repeats, arguments.seconds)
    print(json.dumps(record))


if __name__ == "__main__":
    main()

"""Losses of this package beside its SupConLoss, triplet losses of peers, and the process that
measures one.

`benchmarks/relatives.py` starts this file once per measurement.
"""

import argparse
import dataclasses
import functools
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
REFERENCE = "supcon"
TRIPLETS = ("hard", "semi_hard", "all")
KINDS = ("multi_label", "any", "soft", "hierarchy")
LOSSES = (
    REFERENCE,
    *(f"positives={kind}" for kind in KINDS),
    "pair_weights",
    "SINCERE",
    "balanced, centers",
    "L_spread",
    "NT-Logistic",
    "sigmoid",
    *(f"triplets, {mining}" for mining in TRIPLETS),
)


def _labels(name: str, class_ids: np.ndarray) -> np.ndarray:
    """Returns the labels that a loss gets: class ids, rows that are the same ones for all samples
    of a class, or weights of pairs.
    """
    kind = name.removeprefix("positives=")
    if kind == "pair_weights":
        return (class_ids[:, None] == class_ids[None]).astype("float32")
    if kind not in KINDS:
        return class_ids
    rng = np.random.default_rng(0)
    tags = (rng.random((NUM_CLASSES, NUM_CLASSES)) < 3 / NUM_CLASSES).astype("float32")
    tags[np.arange(NUM_CLASSES), np.arange(NUM_CLASSES)] = 1
    of_class = {
        "multi_label": tags,
        "any": tags,
        "soft": tags / tags.sum(axis=1, keepdims=True),
        "hierarchy": np.stack([np.arange(NUM_CLASSES) // 10, np.arange(NUM_CLASSES)], axis=1),
    }[kind]
    return of_class[class_ids]


def _loss_function(name: str) -> Callable:
    """Returns `loss(views, labels)` of this package."""
    from keras_supcon import losses

    kind, _, argument = name.partition(", " if "triplets" in name else "=")
    if kind == "positives":
        return lambda views, rows: losses.supcon_loss(rows, views, TEMPERATURE, positives=argument)
    if name == "pair_weights":
        return lambda views, weights: losses.supcon_loss(
            None, views, TEMPERATURE, pair_weights=weights
        )
    if kind == "triplets":
        return lambda views, labels: losses.triplet_loss(labels, views, MARGIN, mining=argument)
    options = {}
    if name == "balanced, centers":
        centers = np.random.default_rng(1).normal(size=(NUM_CLASSES, DIM)).astype("float32")
        options = {"centers": centers}
    if name == "sigmoid":
        options = {"bias": -10.0, "pair_reduction": "sum"}
    function = {
        REFERENCE: losses.supcon_loss,
        "SINCERE": losses.sincere_loss,
        "balanced, centers": losses.balanced_supcon_loss,
        "L_spread": losses.spread_loss,
        "NT-Logistic": losses.ntlogistic_loss,
        "sigmoid": losses.ntlogistic_loss,
    }[name]
    return lambda views, labels: function(labels, views, TEMPERATURE, **options)


@dataclasses.dataclass(frozen=True)
class Implementation:
    label: str
    environment: str
    # (projections (batch, views, dim), labels (batch,), {"loss": name}) -> Step
    prepare: Callable[[np.ndarray, np.ndarray, dict[str, str]], Step]
    backend: str
    # The implementation of SupCon that its times are compared with.
    reference: str
    losses: tuple[str, ...] = LOSSES
    is_dense: bool = False

    def bytes_needed(self, num_rows: int, loss: str) -> float:
        """Returns about how much memory a peer takes: arrays of pairs, or of all triplets."""
        if not self.is_dense:
            return 0.0
        if self.environment == "tensorflow_addons" and loss == "triplets, semi_hard":
            return 4.0 * 4 * num_rows**3  # repeats the matrix of distances for every row
        if loss == "triplets, all":
            return 4.0 * 20 * num_rows**3 / NUM_CLASSES
        return 4.0 * 12 * num_rows**2


def ours(step: Callable) -> Callable:
    def prepare(projections, labels, options) -> Step:
        name = options["loss"]
        return step(_loss_function(name), projections, _labels(name, labels))

    return prepare


def tensorflow_addons(projections, labels, options) -> Step:
    import tensorflow as tf
    import tensorflow_addons as tfa

    function = {
        "triplets, hard": tfa.losses.triplet_hard_loss,
        "triplets, semi_hard": tfa.losses.triplet_semihard_loss,
    }[options["loss"]]

    def loss(views, labels):
        rows = tf.math.l2_normalize(tf.reshape(views, (-1, DIM)), axis=1)
        return function(tf.repeat(labels, NUM_VIEWS), rows, MARGIN, distance_metric="squared-L2")

    return tensorflow_step(loss, projections, labels, jit_compile=False)


def pytorch_metric_learning(projections, labels, options) -> Step:
    from pytorch_metric_learning import distances, losses, miners, reducers

    distance = distances.LpDistance(normalize_embeddings=True, power=2)
    function = losses.TripletMarginLoss(MARGIN, distance=distance, reducer=reducers.MeanReducer())
    is_hard = options["loss"] == "triplets, hard"
    miner = miners.BatchHardMiner(distance=distance) if is_hard else None

    def loss(views, labels):
        rows, labels = views.flatten(0, 1), labels.repeat_interleave(NUM_VIEWS)
        return function(rows, labels, None if miner is None else miner(rows, labels))

    return torch_step(loss, projections, labels)


IMPLEMENTATIONS = {
    "ours_tensorflow": Implementation(
        "keras_supcon on TensorFlow",
        "tensorflow",
        ours(functools.partial(tensorflow_step, jit_compile=False)),
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
        ("triplets, hard", "triplets, semi_hard"),
        is_dense=True,
    ),
    "pytorch_metric_learning": Implementation(
        "pytorch-metric-learning",
        "pytorch_metric_learning",
        pytorch_metric_learning,
        "torch",
        "ours_torch",
        ("triplets, hard", "triplets, all"),
        is_dense=True,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worker", choices=IMPLEMENTATIONS, required=True)
    parser.add_argument("--loss", choices=LOSSES, required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=25)
    arguments = parser.parse_args()
    prepare = IMPLEMENTATIONS[arguments.worker].prepare
    options = {"loss": arguments.loss}
    record = measure(prepare, arguments.rows, options, arguments.repeats, arguments.seconds)
    print(json.dumps(record))


if __name__ == "__main__":
    main()

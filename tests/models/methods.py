"""Small models of every pre-training method, of rows of numbers and of images."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

import keras_supcon
from keras_supcon.layers import PredictionHead
from keras_supcon.models import CosineMomentum

FEATURES, DIM = 6, 4
SIZE = 8


def dense_encoder(*layers: keras.layers.Layer, batch_norm: bool = True) -> keras.Model:
    layers = [*layers, keras.layers.Dense(8)]
    if batch_norm:
        layers += [keras.layers.BatchNormalization(momentum=0.8)]
    return keras.Sequential([keras.Input((FEATURES,)), *layers, keras.layers.Dense(5)])


def image_encoder() -> keras.Model:
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(4, 3, strides=2)]
    layers += [keras.layers.BatchNormalization(), keras.layers.ReLU(), keras.layers.Flatten()]
    layers += [keras.layers.Dropout(0.3, seed=1), keras.layers.Dense(5)]
    return keras.Sequential([keras.Input((SIZE, SIZE, 1)), *layers])


def heads(batch_norm: bool) -> tuple[keras.layers.Layer, keras.layers.Layer]:
    head = keras_supcon.ProjectionHead(DIM, hidden_units=(7,), normalize=False)
    return head, PredictionHead(DIM, (6,), batch_norm=batch_norm)


def moco(encoder: keras.Model, batch_norm: bool, **options: Any) -> keras_supcon.MoCo:
    head = keras_supcon.ProjectionHead(DIM, hidden_units=(7,))
    return keras_supcon.MoCo(encoder, head, **{"queue_size": 28, "momentum": 0.9, **options})


def byol(encoder: keras.Model, batch_norm: bool, **options: Any) -> keras_supcon.BYOL:
    options = {"momentum": 0.9, "total_steps": 20, **options}
    return keras_supcon.BYOL(encoder, *heads(batch_norm), **options)


def nnclr(encoder: keras.Model, batch_norm: bool, **options: Any) -> keras_supcon.NNCLR:
    return keras_supcon.NNCLR(encoder, *heads(batch_norm), **{"queue_size": 28, **options})


def contrastive(encoder: keras.Model, batch_norm: bool, **options: Any) -> Any:
    head = keras_supcon.ProjectionHead(DIM, hidden_units=(7,))
    return keras_supcon.ContrastiveModel(encoder, head, **options)


def co2l(encoder: keras.Model, batch_norm: bool, **options: Any) -> keras_supcon.Co2L:
    """Returns a model in its second task, whose classes are 0 and 2."""
    head = keras_supcon.ProjectionHead(DIM, hidden_units=(7,))
    model = keras_supcon.Co2L(encoder, head, **options)
    model.build(encoder.input_shape)
    model.begin_task()
    model.begin_task([0, 2])
    return model


supcon = keras_supcon.SupConLoss

# name: (what makes the model, its options, its loss)
METHODS: dict[str, tuple[Callable[..., Any], dict[str, Any], Callable[[], Any]]] = {
    "MoCo": (moco, {}, lambda: None),
    "momentum SupCon": (moco, {"momentum": CosineMomentum(0.8, 9)}, lambda: supcon(0.2)),
    "MoCo, symmetric": (moco, {"symmetric": True}, lambda: keras_supcon.NTXentLoss(0.5)),
    "MoCo, a ring a class": (moco, {"per_class": 4}, lambda: supcon(0.2, summation="in")),
    "BYOL": (byol, {}, lambda: None),
    "SimSiam": (byol, {"momentum": 0, "total_steps": None}, lambda: None),
    "NNCLR": (nnclr, {}, lambda: None),
    "NNCLR, supervised": (nnclr, {"supervised": True}, lambda: supcon(0.3)),
    "Co2L": (co2l, {}, lambda: None),
    "joint": (contrastive, {"classifier": 4, "classifier_weight": 0.5}, lambda: supcon(0.2)),
    "balanced": (contrastive, {"class_centers": 4}, lambda: keras_supcon.BalancedSupConLoss(0.2)),
}


def make(
    name: str,
    encoder: keras.Model | None = None,
    *,
    seed: int = 0,
    batch_norm: bool = True,
    optimizer: Any = None,
    run_eagerly: bool = False,
    **options: Any,
) -> Any:
    """Returns a compiled model of a method.

    Args:
        name: One of `METHODS`.
        encoder: Its encoder; None for a dense one.
        seed: Seed of the first weights.
        batch_norm: Whether the networks normalize batches.
        optimizer: None for stochastic gradient descent with momentum.
        run_eagerly: Whether it takes its steps without a graph.
        **options: Further arguments of the model.
    """
    keras.utils.set_random_seed(seed)
    method, own, loss = METHODS[name]
    encoder = dense_encoder(batch_norm=batch_norm) if encoder is None else encoder
    model = method(encoder, batch_norm, **{**own, **options})
    optimizer = optimizer or keras.optimizers.SGD(0.2, momentum=0.9)
    model.compile(optimizer=optimizer, loss=loss(), run_eagerly=run_eagerly)
    return model


ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
# On TensorFlow a trace takes as long as twenty steps without one. What a graph changes is in the
# tests that use `make`.
make_for_few_steps = functools.partial(make, run_eagerly=ON_TENSORFLOW)


def rows(rng: np.random.Generator, number: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Returns two views of each sample and their class ids, of which one is unlabeled."""
    labels = np.arange(number) % 4
    labels[1] = -1
    return rng.normal(size=(number, 2, FEATURES)).astype("float32"), labels


def weights_of(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns copies of all weights, by number and path."""
    weights = enumerate(model.weights)
    return {f"{place} {one.path}": ops.convert_to_numpy(one).copy() for place, one in weights}


def steps(model: keras.Model, x: Any, y: Any, number: int) -> list[float]:
    """Takes training steps on one batch and returns their losses."""
    losses = []
    for _ in range(number):
        model.reset_metrics()
        losses.append(float(model.train_on_batch(x, y, return_dict=True)["loss"]))
    return losses

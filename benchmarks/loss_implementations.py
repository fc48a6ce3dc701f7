"""SupCon's loss and gradient as this package and its peers compute them, and the process for one.

`benchmarks/loss.py` starts this file once per measurement, because the peak memory of a process
counts all that it has run. It needs only NumPy and the measured library (no absl, and no TensorFlow
where a peer has none), and Linux with glibc.
"""

import argparse
import dataclasses
import functools
import json
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from harness import (
    forget_peak_memory,
    memory_bytes,
    time_steps,
    torch_device,
    versions,
    wait_for_torch,
)

TEMPERATURE = 0.1
DIM = 128
NUM_CLASSES = 100
NUM_VIEWS = 2
WARM_UP_ROWS = 256
# Far below every logit, so its exponential is 0, but finite: times a mask of 0 it stays 0, which
# -inf would not.
MINUS_INFINITY = -1e9
# Bytes for a dense one that has not been measured: about twelve float32 arrays of rows x rows.
BYTES_PER_PAIR = 50
# With fewer rows the pairs do not dominate its memory.
SMALLEST_ROWS_TO_EXTRAPOLATE = 2048

# One call computes the loss and its gradient with respect to the projections, and waits for both.
Step = Callable[[], tuple[Any, Any]]


@dataclasses.dataclass(frozen=True)
class Implementation:
    label: str
    # The Python interpreter: "tensorflow", "neutral" (Keras, JAX and torch) or
    # "pytorch_metric_learning".
    environment: str
    # (projections (batch, views, dim), labels (batch,), options of supcon_loss) -> Step
    prepare: Callable[[np.ndarray, np.ndarray, dict[str, Any]], Step]
    backend: str = "tensorflow"
    # Whether it keeps arrays of rows x rows.
    is_dense: bool = True


def ours_in_tensorflow(projections, labels, options, jit_compile: bool = False) -> Step:
    from keras_supcon.losses import supcon_loss

    return tensorflow_step(
        lambda views, labels: supcon_loss(labels, views, TEMPERATURE, **options),
        projections,
        labels,
        jit_compile,
    )


def ours_in_jax(projections, labels, options) -> Step:
    from keras_supcon.losses import supcon_loss

    return jax_step(
        lambda views, labels: supcon_loss(labels, views, TEMPERATURE, **options),
        projections,
        labels,
    )


def ours_in_torch(projections, labels, options) -> Step:
    from keras_supcon.losses import supcon_loss

    return torch_step(
        lambda views, labels: supcon_loss(labels, views, TEMPERATURE, **options),
        projections,
        labels,
    )


def pytorch_metric_learning(projections, labels, options) -> Step:
    from pytorch_metric_learning.losses import SupConLoss

    loss = SupConLoss(temperature=TEMPERATURE)  # normalizes the rows itself
    return torch_step(
        lambda views, labels: loss(views.flatten(0, 1), labels.repeat_interleave(NUM_VIEWS)),
        projections,
        labels,
    )


def supcontrast_formula(projections, labels, options, is_compiled: bool = False) -> Step:
    import torch

    loss_of_anchors = supcontrast_loss_of_anchors
    if is_compiled:
        # of the second size in a process it would make a program for any size, and a slower one
        torch.compiler.reset()
        loss_of_anchors = torch.compile(supcontrast_loss_of_anchors, dynamic=False)
    return torch_step(loss_of_anchors, projections, labels)


def supcontrast_loss_of_anchors(views, labels):
    """Computes the steps of the authors' code (github.com/HobbitLong/SupContrast).

    One array of rows x rows follows another.
    """
    import torch

    num_rows = labels.shape[0] * NUM_VIEWS
    rows = torch.cat(torch.nn.functional.normalize(views, dim=2).unbind(dim=1))
    logits = rows @ rows.T / TEMPERATURE
    logits = logits - logits.max(dim=1, keepdim=True).values.detach()
    same_class = (labels[:, None] == labels[None, :]).float().repeat(NUM_VIEWS, NUM_VIEWS)
    others = torch.ones_like(same_class).scatter(
        1, torch.arange(num_rows, device=views.device)[:, None], 0.0
    )
    positives = same_class * others
    exponentials = logits.exp() * others
    log_probabilities = logits - exponentials.sum(dim=1, keepdim=True).log()
    return -(positives * log_probabilities).sum(dim=1) / positives.sum(dim=1)


def plain_tensorflow(projections, labels, options) -> Step:
    import tensorflow as tf

    def loss_of_anchors(views, labels):
        rows = tf.math.l2_normalize(tf.reshape(views, (-1, DIM)), axis=1)
        labels = tf.repeat(labels, NUM_VIEWS)
        num_rows = rows.shape[0]
        logits = tf.matmul(rows, rows, transpose_b=True) / TEMPERATURE
        logits = tf.linalg.set_diag(logits, tf.fill([num_rows], MINUS_INFINITY))
        positives = tf.cast(labels[:, None] == labels[None, :], tf.float32)
        positives = tf.linalg.set_diag(positives, tf.zeros([num_rows]))
        positive_mean = tf.reduce_sum(positives * logits, axis=1) / tf.reduce_sum(positives, axis=1)
        return tf.reduce_logsumexp(logits, axis=1) - positive_mean

    return tensorflow_step(loss_of_anchors, projections, labels, jit_compile=False)


def plain_torch(projections, labels, options) -> Step:
    import torch

    def loss_of_anchors(views, labels):
        rows = torch.nn.functional.normalize(views.flatten(0, 1), dim=1)
        labels = labels.repeat_interleave(NUM_VIEWS)
        itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
        logits = (rows @ rows.T / TEMPERATURE).masked_fill(itself, MINUS_INFINITY)
        positives = ((labels[:, None] == labels[None, :]) & ~itself).float()
        positive_mean = (positives * logits).sum(dim=1) / positives.sum(dim=1)
        return logits.logsumexp(dim=1) - positive_mean

    return torch_step(loss_of_anchors, projections, labels)


def plain_jax(projections, labels, options) -> Step:
    import jax
    import jax.numpy as jnp

    def loss_of_anchors(views, labels):
        rows = views.reshape(-1, DIM)
        rows = rows / jnp.linalg.norm(rows, axis=1, keepdims=True)
        labels = jnp.repeat(labels, NUM_VIEWS)
        itself = jnp.eye(len(rows), dtype=bool)
        logits = jnp.where(itself, MINUS_INFINITY, rows @ rows.T / TEMPERATURE)
        positives = (labels[:, None] == labels[None, :]) & ~itself
        positive_mean = jnp.mean(logits, axis=1, where=positives)
        return jax.nn.logsumexp(logits, axis=1) - positive_mean

    return jax_step(loss_of_anchors, projections, labels)


def tensorflow_step(loss_of_anchors: Callable, projections, labels, jit_compile: bool) -> Step:
    import tensorflow as tf

    projections, labels = tf.constant(projections), tf.constant(labels)

    @tf.function(autograph=False, jit_compile=jit_compile)
    def value_and_gradient(projections, labels):
        with tf.GradientTape() as tape:
            tape.watch(projections)
            loss = tf.reduce_mean(loss_of_anchors(projections, labels))
        return loss, tape.gradient(loss, projections)

    return lambda: value_and_gradient(projections, labels)


def jax_step(loss_of_anchors: Callable, projections, labels) -> Step:
    import jax

    projections, labels = jax.numpy.asarray(projections), jax.numpy.asarray(labels)
    value_and_gradient = jax.jit(
        jax.value_and_grad(lambda projections, labels: loss_of_anchors(projections, labels).mean())
    )
    return lambda: jax.block_until_ready(value_and_gradient(projections, labels))


def torch_step(loss_of_anchors: Callable, projections, labels) -> Step:
    import torch

    torch.set_num_threads(os.cpu_count())
    device = torch_device()
    projections, labels = (
        torch.tensor(projections, device=device, requires_grad=True),
        torch.tensor(labels, device=device),
    )

    def step():
        projections.grad = None
        loss = loss_of_anchors(projections, labels).mean()
        loss.backward()
        wait_for_torch()
        return loss.detach(), projections.grad

    return step


# The others are compared with the first one.
IMPLEMENTATIONS = {
    "ours_tensorflow": Implementation(
        "keras_supcon on TensorFlow", "tensorflow", ours_in_tensorflow, is_dense=False
    ),
    "ours_tensorflow_xla": Implementation(
        "keras_supcon on TensorFlow, jit_compile",
        "tensorflow",
        functools.partial(ours_in_tensorflow, jit_compile=True),
        is_dense=False,
    ),
    "ours_jax": Implementation(
        "keras_supcon on JAX", "neutral", ours_in_jax, "jax", is_dense=False
    ),
    "ours_torch": Implementation(
        "keras_supcon on torch", "neutral", ours_in_torch, "torch", is_dense=False
    ),
    "plain_tensorflow": Implementation("plain TensorFlow", "tensorflow", plain_tensorflow),
    "plain_jax": Implementation("plain JAX", "neutral", plain_jax, "jax"),
    "plain_torch": Implementation("plain torch", "neutral", plain_torch, "torch"),
    "supcontrast_formula": Implementation(
        "SupContrast's formula in torch", "neutral", supcontrast_formula, "torch"
    ),
    "pytorch_metric_learning": Implementation(
        "pytorch-metric-learning", "pytorch_metric_learning", pytorch_metric_learning, "torch"
    ),
}
PACKAGES = (
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "jax",
    "torch",
    "pytorch-metric-learning",
    "numpy",
)


def random_batch(num_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns projections `(batch, views, dim)` and class ids `(batch,)`.

    The lengths of the projections are near 1, but not normalized.
    """
    generator = np.random.default_rng(0)
    projections = generator.normal(size=(num_rows // NUM_VIEWS, NUM_VIEWS, DIM)) / DIM**0.5
    return projections.astype("float32"), generator.integers(0, NUM_CLASSES, num_rows // NUM_VIEWS)


def expected_gigabytes(num_rows: int, measured: dict[int, float]) -> float:
    """Returns the expected memory of a dense implementation.

    It grows as N^2 from the largest of `measured`, `{rows: gigabytes}`.
    """
    measured = {
        rows: gigabytes
        for rows, gigabytes in measured.items()
        if rows >= SMALLEST_ROWS_TO_EXTRAPOLATE
    }
    if not measured:
        return BYTES_PER_PAIR * num_rows**2 / 1e9
    largest = max(measured)
    return measured[largest] * (num_rows / largest) ** 2


def measure(
    prepare: Callable, num_rows: int, options: dict[str, Any], repeats: int, seconds: float
) -> dict[str, Any]:
    """Times steps until there are `repeats` of them.

    After `seconds` two steps are enough.
    """
    prepare(*random_batch(WARM_UP_ROWS), options)()  # libraries, thread pools
    step = prepare(*random_batch(num_rows), options)
    forget_peak_memory()
    base = memory_bytes("VmRSS")
    start = time.perf_counter()
    step()  # traces and compiles
    first_step = time.perf_counter() - start
    first_step_memory = memory_bytes("VmHWM") - base
    forget_peak_memory()
    times, (loss, gradient) = time_steps(step, repeats, seconds)
    later_memory = memory_bytes("VmHWM") - base  # before the gradient is copied
    return {
        "step_seconds": times,
        "first_step_seconds": first_step,
        "extra_memory_mb": max(first_step_memory, later_memory, 0) / 1e6,
        "extra_memory_of_later_steps_mb": max(later_memory, 0) / 1e6,
        "loss": float(loss),
        "gradient_norm": float(np.linalg.norm(np.asarray(gradient, "float64"))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worker", choices=IMPLEMENTATIONS, required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument(
        "--options", type=json.loads, default={}, help="options of supcon_loss, as JSON"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    prepare = IMPLEMENTATIONS[arguments.worker].prepare
    measurement = measure(
        prepare, arguments.rows, arguments.options, arguments.repeats, arguments.seconds
    )
    print(json.dumps({**measurement, "versions": versions(PACKAGES)}))


if __name__ == "__main__":
    main()

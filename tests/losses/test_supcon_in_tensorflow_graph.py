"""Laws of a compiled TensorFlow step: errors, traces and the sizes of tensors."""

import functools
from typing import Any

import keras
import numpy as np
import pytest

from keras_supcon import SupConLoss, losses
from keras_supcon.losses import supcon_loss
from keras_supcon.ops import pair_argmax
from tests.covering import representatives


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (np.array([[1.0, 1.0], [1.0, 0.0]] * 4, "float32"), "should hold one-hot rows"),
        (np.array([0.5, 1.0] * 4, "float32"), "should hold whole class ids"),
    ],
)
def test_fit_stops_at_wrong_labels_with_our_sentence(labels, sentence):
    import tensorflow as tf

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(optimizer="sgd", loss=SupConLoss())
    with pytest.raises(tf.errors.InvalidArgumentError, match=sentence):
        model.fit(np.ones((8, 3), "float32"), labels, verbose=0)


def of_labels(class_ids, projections, kind="multi_label", **options):
    """The loss of other labels, which follow from class ids."""
    import tensorflow as tf

    ids = tf.cast(class_ids, "float32")[:, None]
    labels = ids if kind == "hierarchy" else tf.cast(ids >= [[0.0, 1.0, 2.0]], "float32")
    return supcon_loss(labels, projections, positives=kind, **options)


def of_matrix(class_ids, projections, **options):
    import tensorflow as tf

    weights = tf.cast(class_ids[:, None] <= class_ids[None], "float32")
    return supcon_loss(None, projections, pair_weights=weights, **options)


LOSSES = {
    "several labels": functools.partial(of_labels, block_size=4),
    "hierarchy": functools.partial(of_labels, kind="hierarchy", denominator="one_positive"),
    "matrix": functools.partial(of_matrix, block_size=4),
    "supcon": supcon_loss,
    "supcon in blocks": functools.partial(supcon_loss, block_size=4),
    "supcon in, one positive": functools.partial(
        supcon_loss, summation="in", denominator="one_positive", block_size=4
    ),
    "supcon with a limit": functools.partial(supcon_loss, positives_cap=2, contrast_mode="one"),
    "balanced": functools.partial(losses.balanced_supcon_loss, block_size=4),
    "ntxent": losses.ntxent_loss,
    "ntlogistic": losses.ntlogistic_loss,
    "max_margin": losses.max_margin_loss,
    "triplet": losses.triplet_loss,
    "triplet semi-hard": functools.partial(losses.triplet_loss, mining="semi_hard"),
    "triplet hard": functools.partial(losses.triplet_loss, mining="hard", block_size=4),
}


# One for each way of visiting pairs: by class sums, by pair sums with margins, row by row.
PATHS = ["several labels", "supcon in blocks", "supcon in, one positive", "triplet hard"]


@pytest.mark.slow
@representatives("name", PATHS, [name for name in LOSSES if name not in PATHS])
def test_batches_of_unknown_and_changing_size_share_one_trace(rng, name):
    import tensorflow as tf

    traces = []

    @tf.function(
        input_signature=[tf.TensorSpec((None,), tf.int32), tf.TensorSpec((None, 2, 5), tf.float32)]
    )
    def step(class_ids, projections):
        traces.append(1)
        with tf.GradientTape() as tape:
            tape.watch(projections)
            loss = LOSSES[name](class_ids, projections)
        return loss, tape.gradient(loss, projections)

    for batch in (1, 3, 8, 0):
        class_ids = rng.integers(0, 2, batch).astype("int32")
        projections = rng.normal(size=(batch, 2, 5)).astype("float32")
        loss, gradient = step(class_ids, projections)
        np.testing.assert_allclose(loss, LOSSES[name](class_ids, projections), rtol=1e-5, atol=1e-6)
        assert gradient.shape == (batch, 2, 5)
        assert np.all(np.isfinite(gradient))
    assert len(traces) == 1


def sizes_of_tensors(function: Any) -> list[int]:
    """Counts the elements of every tensor of known shape in a traced function and its loops."""
    graphs = [function.graph, *(graph for graph in function.graph._functions.values())]
    sizes = []
    for graph in graphs:
        graph = getattr(graph, "graph", graph)
        for operation in graph.get_operations():
            sizes += [
                output.shape.num_elements()
                for output in operation.outputs
                if output.shape.is_fully_defined()
            ]
    return sizes


@pytest.mark.slow
@representatives(
    "name",
    PATHS[:3],
    [name for name in LOSSES if name not in PATHS and "triplet" not in name and name != "matrix"],
)
def test_no_tensor_has_the_size_of_all_pairs(name):
    import tensorflow as tf

    rows, block_size, dim = 4096, 64, 4

    @tf.function(autograph=False)
    def step(projections):
        with tf.GradientTape() as tape:
            tape.watch(projections)
            loss = tf.reduce_mean(
                LOSSES[name](np.arange(rows // 2) % 10, projections, block_size=block_size)
            )
        return loss, tape.gradient(loss, projections)

    sizes = sizes_of_tensors(step.get_concrete_function(tf.TensorSpec((rows // 2, 2, dim))))
    assert block_size**2 in sizes  # the tiles are among the tensors that were seen
    assert max(sizes) <= 8 * rows * dim < rows**2 / 100


@pytest.mark.slow
def test_no_tensor_has_the_size_of_all_pairs_of_anchors_and_a_queue():
    """With keys and a queue, and in the search for the nearest rows of the queue."""
    import tensorflow as tf

    rows, queue, block_size, dim = 512, 8192, 64, 4
    options = {"block_size": block_size, "queue_labels": np.arange(queue) % 10}

    @tf.function(autograph=False)
    def step(projections, keys, queue):
        with tf.GradientTape() as tape:
            tape.watch(projections)
            loss = supcon_loss(np.arange(rows) % 10, projections, keys=keys, queue=queue, **options)
        nearest = pair_argmax(projections, None, queue, block_size=block_size)
        return loss, tape.gradient(loss, projections), nearest

    sizes = sizes_of_tensors(
        step.get_concrete_function(
            *(tf.TensorSpec((number, dim)) for number in (rows, rows, queue))
        )
    )
    assert block_size**2 in sizes
    assert max(sizes) <= 2 * queue * dim < rows * queue / 50

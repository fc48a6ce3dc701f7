"""Triplets of classes of any size, and of rows at equal distances."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon.losses import triplet_loss
from tests.autodiff import value_and_gradient

pytestmark = pytest.mark.neutral

MININGS = ("all", "semi_hard", "hard")


def row_and_slopes(d, is_positive, is_negative, margin, mining):
    """Returns the loss of one anchor and its derivatives by the distances, in float64, which
    rows at equal distances share."""
    positives, negatives = np.flatnonzero(is_positive), np.flatnonzero(is_negative)
    slopes = np.zeros_like(d)

    def of_distance(distance):
        return negatives[d[negatives] == distance]

    if not len(positives) or not len(negatives):
        return 0.0, slopes
    if mining == "all":
        excess = d[positives][:, None] - d[negatives] + margin
        slopes[positives] = np.mean(excess > 0, axis=1) / len(positives)
        slopes[negatives] = -np.mean(excess > 0, axis=0) / len(negatives)
        return np.mean(np.maximum(excess, 0)), slopes
    if mining == "hard":
        groups = [(positives[d[positives] == d[positives].max()], of_distance(d[negatives].min()))]
    else:
        groups = []
        for p in positives:
            farther = d[negatives][d[negatives] > d[p]]
            chosen = farther.min() if len(farther) else d[negatives].max()
            groups.append(([p], of_distance(chosen)))
    loss = 0.0
    for pulled, pushed in groups:
        excess = d[pulled[0]] - d[pushed[0]] + margin
        if excess > 0:
            loss += excess / len(groups)
            slopes[pulled] += 1 / len(pulled) / len(groups)
            slopes[pushed] -= 1 / len(pushed) / len(groups)
    return loss, slopes


def mean_and_gradient(class_ids, z, margin, mining, queue, queue_labels, ignored):
    """Returns the mean of rows that are not scaled, one view each, and its gradient."""
    z, queue = z.astype("float64"), queue.astype("float64")
    contrasts, labels = np.concatenate([z, queue]), np.concatenate([class_ids, queue_labels])
    loss, gradient = 0.0, np.zeros_like(contrasts)
    for i, own in enumerate(class_ids):
        if own == ignored:
            continue
        present = labels != ignored
        same = labels == own
        others = np.arange(len(labels)) != i
        difference = z[i] - contrasts
        of_row, slopes = row_and_slopes(
            (difference**2).sum(axis=1), same & others & present, ~same & present, margin, mining
        )
        loss += of_row
        pulls = 2 * slopes[:, None] * difference
        gradient[i] += pulls.sum(axis=0)
        gradient -= pulls
    return loss / len(z), gradient[: len(z)] / len(z)


@pytest.mark.slow
@pytest.mark.parametrize("mining", MININGS)
@pytest.mark.parametrize("num_classes", [1, 2, 40])
def test_classes_of_any_size_have_the_loss_and_gradient_of_their_triplets(rng, mining, num_classes):
    """More than 127 positives, which are visited in parts, or few; a queue; an ignored class.

    Whole numbers have exact distances, many of which are equal.
    """
    z = rng.integers(-4, 5, (200, 3)).astype("float32")
    queue = rng.integers(-4, 5, (150, 3)).astype("float32")
    class_ids = rng.integers(0, num_classes, 200)
    queue_labels = rng.integers(0, num_classes, 150)
    class_ids[:7] = queue_labels[:5] = 77
    expected, expected_gradient = mean_and_gradient(
        class_ids, z, 0.5, mining, queue, queue_labels, 77
    )
    value, gradient = value_and_gradient(
        lambda z: ops.mean(
            triplet_loss(
                class_ids,
                z,
                0.5,
                mining=mining,
                normalize=False,
                ignore_class=77,
                queue=queue,
                queue_labels=queue_labels,
                block_size=70,
            )
        ),
        z,
    )
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-5, atol=1e-5)
    assert (expected == 0) == (num_classes == 1)


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="others compile a block as a whole")
@pytest.mark.parametrize("mining", ["all", "semi_hard"])
def test_rows_in_parts_equal_a_block(rng, mining, monkeypatch):
    z, class_ids = rng.normal(size=(50, 2, 3)).astype("float32"), rng.integers(0, 4, 50)

    def loss(z):
        return ops.mean(triplet_loss(class_ids, z, 0.5, mining=mining, ignore_class=3))

    expected, expected_gradient = value_and_gradient(loss, z)
    monkeypatch.setattr("keras_supcon.ops.whole_rows._NUM_CACHED_PAIRS", 700)  # seven rows
    value, gradient = value_and_gradient(loss, z)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("mining", MININGS)
def test_equal_rows_share_the_slope(mining):
    """Of three equal negatives none is the nearest alone, nor the farthest."""
    for at in (0.7, 0.2):  # farther than the positive, and nearer
        z = np.array([[0, 0], [0.5, 0], [at, 0], [at, 0], [at, 0]], "float32")
        _, gradient = value_and_gradient(
            lambda z: triplet_loss(np.array([0, 0, 1, 2, 3]), z, mining=mining, normalize=False)[0],
            z,
        )
        np.testing.assert_array_equal(gradient[3], gradient[2])
        np.testing.assert_array_equal(gradient[4], gradient[2])
        np.testing.assert_allclose(gradient[2:, 0].sum(), -2 * at, rtol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="graphs of TensorFlow")
@pytest.mark.parametrize("mining", MININGS)
def test_a_graph_of_unknown_batch_size_computes_the_same(rng, mining):
    import tensorflow as tf

    @tf.function(
        autograph=False,
        input_signature=[tf.TensorSpec((None,), "int32"), tf.TensorSpec((None, 2, 3), "float32")],
    )
    def step(class_ids, z):
        with tf.GradientTape() as tape:
            tape.watch(z)
            loss = tf.reduce_mean(triplet_loss(class_ids, z, 0.5, mining=mining))
        return loss, tape.gradient(loss, z)

    for size in (5, 150):
        class_ids = rng.integers(0, 2, size).astype("int32")
        z = rng.normal(size=(size, 2, 3)).astype("float32")
        expected = value_and_gradient(
            lambda z, ids=class_ids: ops.mean(triplet_loss(ids, z, 0.5, mining=mining)), z
        )
        for result, of_eager in zip(step(class_ids, z), expected, strict=True):
            np.testing.assert_allclose(result, of_eager, rtol=1e-5, atol=1e-6)

"""Losses of TensorFlow Addons on batches of views; runs in its environment."""

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa

from tests.parity.exchange import answer

# exp(-40) of the smallest similarities is lost beside the others in float32.
NEVER = -40.0


def rows(embeddings, labels, normalize=False):
    views, dim = embeddings.shape[1:]
    embeddings = tf.reshape(embeddings, (-1, dim))
    return tf.math.l2_normalize(embeddings, axis=1) if normalize else embeddings, np.repeat(
        labels, views
    )


def npairs_of_two_views(embeddings):
    """Averages over both choices of the anchor view, which is contrasted with the other one."""
    similarities = tf.matmul(embeddings[:, 0], embeddings[:, 1], transpose_b=True)
    pairs = np.arange(len(embeddings))
    return (
        tfa.losses.npairs_loss(pairs, similarities)
        + tfa.losses.npairs_loss(pairs, tf.transpose(similarities))
    ) / 2


def npairs_of_all_rows(embeddings, labels, temperature, normalize):
    """Anchors and positives are all rows.

    A row is then a candidate and a positive of itself. A similarity of NEVER takes it out of the
    softmax, and what stays cancels: with L the log of the denominator, S the sum of the other m - 1
    positives,

        T = L - (S + NEVER) / m    for classes of m rows
        D = L - NEVER              for a class a row

    and the loss without the row itself, L - S / (m - 1), is (m T - D) / (m - 1).
    """
    embeddings, labels = rows(embeddings, labels, normalize)
    similarities = tf.matmul(embeddings, embeddings, transpose_b=True) / np.float32(temperature)
    similarities = tf.linalg.set_diag(similarities, tf.fill((len(labels),), NEVER))
    sizes = np.unique(labels, return_counts=True)[1]
    assert np.all(sizes == sizes[0])
    together = tfa.losses.npairs_loss(labels, similarities)
    each_its_own = tfa.losses.npairs_loss(np.arange(len(labels)), similarities)
    return (sizes[0] * together - each_its_own) / (sizes[0] - 1)


def triplet_semihard(embeddings, labels, margin, normalize):
    embeddings, labels = rows(embeddings, labels, normalize)
    return tfa.losses.triplet_semihard_loss(
        labels, embeddings, float(margin), distance_metric="squared-L2"
    )


def triplet_hard(embeddings, labels, margin, normalize):
    embeddings, labels = rows(embeddings, labels, normalize)
    return tfa.losses.triplet_hard_loss(
        labels, embeddings, float(margin), distance_metric="squared-L2"
    )


def contrastive(embeddings, labels, margin, normalize):
    """Mean over the ordered pairs whose first row, the anchor, has a positive."""
    embeddings, labels = rows(embeddings, labels, normalize)
    same = labels[:, None] == labels
    anchor, other = np.nonzero(
        ~np.eye(len(labels), dtype=bool) & (same.sum(axis=1, keepdims=True) > 1)
    )
    distances = tf.norm(tf.gather(embeddings, anchor) - tf.gather(embeddings, other), axis=1)
    return tf.reduce_mean(
        tfa.losses.contrastive_loss(same[anchor, other], distances, float(margin))
    )


def value_and_gradient(loss, embeddings):
    embeddings = tf.constant(embeddings)
    with tf.GradientTape() as tape:
        tape.watch(embeddings)
        value = loss(embeddings)
    return value.numpy(), tape.gradient(value, embeddings).numpy()


if __name__ == "__main__":
    losses = (npairs_of_two_views, npairs_of_all_rows, triplet_semihard, triplet_hard, contrastive)
    answer({loss.__name__: loss for loss in losses}, value_and_gradient)

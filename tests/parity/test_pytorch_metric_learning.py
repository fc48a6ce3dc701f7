"""Values and gradients of pytorch-metric-learning 2.9.0.

Its semi-hard miner takes every negative between a positive and the margin beyond it, ours the
nearest one that is farther than the positive: no weights turn one into the other, and only
TensorFlow Addons is compared there.
"""

import os

import numpy as np
import pytest
from keras import ops

from keras_supcon.losses import max_margin_loss, npairs_loss, ntxent_loss, supcon_loss, triplet_loss
from tests.parity.batches import (
    CLASSES,
    WITH_LONELY,
    assert_agree,
    embeddings,
    num_negatives,
    num_positives,
    put_views_apart,
    weighted_mean,
)
from tests.parity.exchange import Case, ask

pytestmark = pytest.mark.skipif(
    "PML_PYTHON" not in os.environ,
    reason="needs an environment with pytorch-metric-learning: run `make test-parity`",
)


def supcon(class_ids: np.ndarray, views: int, temperature: float) -> Case:
    """Its mean leaves out the anchors whose loss is 0: those without a positive. It knows no
    unlabeled samples.
    """
    own_classes = np.where(class_ids < 0, 1000 + np.arange(len(class_ids)), class_ids)
    anchors = num_positives(own_classes, views) > 0
    return Case(
        "supcon",
        lambda z: weighted_mean(supcon_loss(class_ids, z, temperature), anchors),
        {
            "embeddings": embeddings(class_ids, views),
            "labels": own_classes,
            "temperature": temperature,
        },
    )


def supcon_with_queue(class_ids: np.ndarray, views: int, temperature: float) -> Case:
    queue_labels = np.array([4, 0, 9, 2, 0, 9])
    queue = embeddings(queue_labels, views=1)[:, 0]
    anchors = num_positives(class_ids, views) + (class_ids[:, None] == queue_labels).sum(axis=1) > 0
    return Case(
        "supcon_with_queue",
        lambda z: weighted_mean(
            supcon_loss(class_ids, z, temperature, queue=queue, queue_labels=queue_labels), anchors
        ),
        {
            "embeddings": embeddings(class_ids, views),
            "labels": class_ids,
            "queue": queue,
            "queue_labels": queue_labels,
            "temperature": temperature,
        },
    )


def ntxent(batch: int, temperature: float) -> Case:
    samples = np.arange(batch)
    return Case(
        "ntxent",
        lambda z: ops.mean(ntxent_loss(None, z, temperature)),
        {"embeddings": embeddings(samples, views=2), "labels": samples, "temperature": temperature},
    )


def ntxent_of_classes(class_ids: np.ndarray, views: int, temperature: float) -> Case:
    """With several positives each has a denominator without the others, and the mean is over the
    positive pairs.
    """
    weights = num_positives(class_ids, views)
    return Case(
        "ntxent",
        lambda z: weighted_mean(
            supcon_loss(class_ids, z, temperature, denominator="one_positive"), weights
        ),
        {
            "embeddings": embeddings(class_ids, views),
            "labels": class_ids,
            "temperature": temperature,
        },
    )


def npairs(batch: int) -> Case:
    """Like TensorFlow Addons it contrasts an anchor with the other view alone."""
    samples = np.arange(batch)
    return Case(
        "npairs",
        lambda z: ops.mean(npairs_loss(samples, put_views_apart(z), normalize=False)),
        {"embeddings": embeddings(samples, views=2)},
    )


def triplet_all(class_ids: np.ndarray, views: int, margin: float, normalize: bool) -> Case:
    """The mean over all triplets of the batch."""
    weights = num_positives(class_ids, views) * num_negatives(class_ids, views)
    return Case(
        "triplet_all",
        lambda z: weighted_mean(
            triplet_loss(class_ids, z, margin, mining="all", normalize=normalize), weights
        ),
        {
            "embeddings": embeddings(class_ids, views),
            "labels": class_ids,
            "margin": margin,
            "normalize": normalize,
        },
    )


def triplet_hard(class_ids: np.ndarray, views: int, margin: float, normalize: bool) -> Case:
    """The mean over the anchors with a positive."""
    anchors = num_positives(class_ids, views) > 0
    return Case(
        "triplet_hard",
        lambda z: weighted_mean(
            triplet_loss(class_ids, z, margin, mining="hard", normalize=normalize), anchors
        ),
        {
            "embeddings": embeddings(class_ids, views),
            "labels": class_ids,
            "margin": margin,
            "normalize": normalize,
        },
    )


def contrastive(class_ids: np.ndarray, views: int, margin: float, normalize: bool) -> Case:
    """Twice ours, for the factor 1/2, times the number of ordered pairs is the sum of squares over
    the pairs.
    """
    num_rows = views * len(class_ids)
    num_pairs = num_rows * (num_rows - 1)
    return Case(
        "contrastive",
        lambda z: (
            2 * num_pairs * ops.mean(max_margin_loss(class_ids, z, margin, normalize=normalize))
        ),
        {
            "embeddings": embeddings(class_ids, views),
            "labels": class_ids,
            "margin": margin,
            "normalize": normalize,
        },
    )


CASES = {
    "SupCon, one view": supcon(WITH_LONELY, views=1, temperature=0.1),
    "SupCon, two views": supcon(WITH_LONELY, views=2, temperature=0.1),
    "SupCon, three views": supcon(CLASSES, views=3, temperature=1.0),
    "SupCon, unlabeled samples": supcon(
        np.array([0, -1, 0, 1, -1, 1, -1]), views=2, temperature=0.2
    ),
    "SupCon, one positive": supcon(np.arange(6), views=2, temperature=0.07),
    "SupCon, queue": supcon_with_queue(WITH_LONELY, views=1, temperature=0.2),
    "SupCon, queue and two views": supcon_with_queue(CLASSES, views=2, temperature=0.1),
    "NT-Xent, one positive": ntxent(8, temperature=0.1),
    "NT-Xent, warm": ntxent(6, temperature=1.0),
    "NT-Xent, classes, one view": ntxent_of_classes(WITH_LONELY, views=1, temperature=0.1),
    "NT-Xent, classes, two views": ntxent_of_classes(CLASSES, views=2, temperature=0.5),
    "N-pairs, the other view": npairs(6),
    "all triplets, one view": triplet_all(WITH_LONELY, views=1, margin=0.05, normalize=True),
    "all triplets, two views": triplet_all(WITH_LONELY, views=2, margin=1.0, normalize=True),
    "all triplets, any length": triplet_all(CLASSES, views=2, margin=2.0, normalize=False),
    "hard triplets, one view": triplet_hard(WITH_LONELY, views=1, margin=0.05, normalize=True),
    "hard triplets, two views": triplet_hard(CLASSES, views=2, margin=1.0, normalize=True),
    "hard triplets, any length": triplet_hard(CLASSES, views=2, margin=1.0, normalize=False),
    "contrastive, one view": contrastive(CLASSES, views=1, margin=1.0, normalize=True),
    "contrastive, two views": contrastive(WITH_LONELY, views=2, margin=0.7, normalize=True),
    "contrastive, any length": contrastive(CLASSES, views=2, margin=3.0, normalize=False),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pytorch_metric_learning")
    return ask(os.environ["PML_PYTHON"], "peer_pytorch_metric_learning", CASES, folder)


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_agree(answers, name):
    assert_agree(CASES[name], answers[name])

"""Values and gradients of TensorFlow Addons 0.23.0.

What it does otherwise and no factor undoes: `triplet_hard_loss` counts an anchor without a positive
as one whose positive lies on it, where ours is 0, so here every anchor has a positive.
"""

import os

import numpy as np
import pytest
from keras import ops

from keras_supcon.losses import max_margin_loss, npairs_loss, supcon_loss, triplet_loss
from tests.parity.batches import (
    CLASSES,
    EQUAL_CLASSES,
    WITH_LONELY,
    assert_agree,
    embeddings,
    num_positives,
    put_views_apart,
    weighted_mean,
)
from tests.parity.exchange import Case, ask

pytestmark = pytest.mark.skipif(
    "TFA_PYTHON" not in os.environ,
    reason="needs an environment with TensorFlow Addons: run `make test-parity`",
)


def npairs_of_two_views(batch: int) -> Case:
    """Ours contrasts an anchor with the rows of both views of the other samples; Sohn and Addons
    with the other view alone.
    """
    samples = np.arange(batch)
    return Case(
        "npairs_of_two_views",
        lambda z: ops.mean(npairs_loss(samples, put_views_apart(z), normalize=False)),
        {"embeddings": embeddings(samples, views=2)},
    )


def npairs_of_all_rows(class_ids: np.ndarray, views: int) -> Case:
    return Case(
        "npairs_of_all_rows",
        lambda z: ops.mean(npairs_loss(class_ids, z, normalize=False)),
        {
            "embeddings": embeddings(class_ids, views),
            "labels": class_ids,
            "temperature": 1.0,
            "normalize": False,
        },
    )


def supcon_as_npairs(class_ids: np.ndarray, views: int) -> Case:
    """L_out is the N-pairs loss of all rows with similarities over the temperature."""
    return Case(
        "npairs_of_all_rows",
        lambda z: ops.mean(supcon_loss(class_ids, z, temperature=0.1)),
        {
            "embeddings": embeddings(class_ids, views),
            "labels": class_ids,
            "temperature": 0.1,
            "normalize": True,
        },
    )


def triplet_semihard(class_ids: np.ndarray, views: int, margin: float, normalize: bool) -> Case:
    """Addons averages over the pairs of an anchor and a positive, ours over positives and then over
    anchors.
    """
    weights = num_positives(class_ids, views)
    return Case(
        "triplet_semihard",
        lambda z: weighted_mean(
            triplet_loss(class_ids, z, margin, mining="semi_hard", normalize=normalize), weights
        ),
        {
            "embeddings": embeddings(class_ids, views),
            "labels": class_ids,
            "margin": margin,
            "normalize": normalize,
        },
    )


def triplet_hard(class_ids: np.ndarray, views: int, margin: float, normalize: bool) -> Case:
    return Case(
        "triplet_hard",
        lambda z: ops.mean(triplet_loss(class_ids, z, margin, mining="hard", normalize=normalize)),
        {
            "embeddings": embeddings(class_ids, views),
            "labels": class_ids,
            "margin": margin,
            "normalize": normalize,
        },
    )


def contrastive(class_ids: np.ndarray, views: int, margin: float, normalize: bool) -> Case:
    """Addons leaves out the factor 1/2, and its mean is here over the anchors with a positive."""
    anchors = num_positives(class_ids, views) > 0
    return Case(
        "contrastive",
        lambda z: (
            2 * weighted_mean(max_margin_loss(class_ids, z, margin, normalize=normalize), anchors)
        ),
        {
            "embeddings": embeddings(class_ids, views),
            "labels": class_ids,
            "margin": margin,
            "normalize": normalize,
        },
    )


CASES = {
    "N-pairs, the other view": npairs_of_two_views(6),
    "N-pairs, one positive": npairs_of_all_rows(np.arange(6), views=2),
    "N-pairs, one view": npairs_of_all_rows(EQUAL_CLASSES, views=1),
    "N-pairs, classes of two samples": npairs_of_all_rows(EQUAL_CLASSES, views=2),
    "SupCon, one positive": supcon_as_npairs(np.arange(6), views=2),
    "SupCon, classes of two samples": supcon_as_npairs(EQUAL_CLASSES, views=3),
    "semi-hard triplets, one view": triplet_semihard(
        WITH_LONELY, views=1, margin=1.0, normalize=True
    ),
    "semi-hard triplets, two views": triplet_semihard(
        WITH_LONELY, views=2, margin=0.3, normalize=True
    ),
    "semi-hard triplets, any length": triplet_semihard(
        CLASSES, views=2, margin=2.0, normalize=False
    ),
    "hard triplets, one view": triplet_hard(CLASSES, views=1, margin=0.0, normalize=True),
    "hard triplets, two views": triplet_hard(WITH_LONELY, views=2, margin=1.0, normalize=True),
    "hard triplets, any length": triplet_hard(CLASSES, views=2, margin=1.0, normalize=False),
    "contrastive, one view": contrastive(WITH_LONELY, views=1, margin=1.0, normalize=True),
    "contrastive, two views": contrastive(WITH_LONELY, views=2, margin=0.7, normalize=True),
    "contrastive, any length": contrastive(CLASSES, views=2, margin=3.0, normalize=False),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    return ask(
        os.environ["TFA_PYTHON"],
        "peer_tensorflow_addons",
        CASES,
        tmp_path_factory.mktemp("tensorflow_addons"),
    )


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_agree(answers, name):
    assert_agree(CASES[name], answers[name])

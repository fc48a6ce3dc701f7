"""Batches for all comparisons with peers, and means over some of the anchors."""

from typing import Any

import numpy as np
from keras import ops

from tests.autodiff import value_and_gradient
from tests.parity.exchange import Answer, Case

CLASSES = np.array([0, 1, 0, 2, 0, 1, 2, 2, 0, 1])
"""Classes of several sizes, each with at least two samples."""
WITH_LONELY = np.array([0, 1, 0, 2, 0, 1, 3, 0, 4, 1])
"""Two samples that with one view have no positive."""
EQUAL_CLASSES = np.array([0, 1, 0, 2, 3, 1, 2, 3])


def embeddings(class_ids: np.ndarray, views: int, dim: int = 5) -> np.ndarray:
    seed = np.random.default_rng([len(class_ids), views, dim])
    return seed.normal(size=(len(class_ids), views, dim)).astype("float32")


def num_positives(class_ids: np.ndarray, views: int) -> np.ndarray:
    """Number of positives of an anchor of each sample."""
    return views * (class_ids[:, None] == class_ids).sum(axis=1) - 1


def num_negatives(class_ids: np.ndarray, views: int) -> np.ndarray:
    return views * (class_ids[:, None] != class_ids).sum(axis=1)


def weighted_mean(losses: Any, weights: np.ndarray) -> Any:
    """Turns our mean over anchors into one over their pairs or triplets, or over some of the
    anchors.
    """
    return ops.sum(losses * ops.convert_to_tensor((weights / weights.sum()).astype("float32")))


def put_views_apart(embeddings: Any) -> Any:
    """Two views in more dimensions, where rows of one view are far from each other and those of two
    views are as before.

    Of the vectors `u_i = sqrt(60 n) (e_i - 1/n)` any two have the dot product -60, and exp(-60) is
    nothing beside the similarities of the views.
    """
    batch = embeddings.shape[0]
    far = np.sqrt(60.0 * batch) * (np.eye(batch) - 1 / batch)
    more = np.stack(
        [np.concatenate([far, 0 * far], axis=1), np.concatenate([0 * far, far], axis=1)], axis=1
    )
    return ops.concatenate([embeddings, ops.convert_to_tensor(more.astype("float32"))], axis=-1)


def assert_agree(case: Case, answer: Answer) -> None:
    value, gradient = value_and_gradient(case.ours, case.arguments["embeddings"])
    largest = np.abs(answer.gradient).max()
    assert largest > 1e-3
    np.testing.assert_allclose(value, answer.value, rtol=1e-5)
    np.testing.assert_allclose(gradient, answer.gradient, rtol=1e-4, atol=1e-5 * largest)

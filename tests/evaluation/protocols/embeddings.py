"""Embeddings of classes that overlap."""

import numpy as np


def overlapping(rng, train=300, test=200, classes=5, width=8, noise=0.6):
    """Returns `(train, train_labels, test, test_labels)`."""
    centers = rng.normal(size=(classes, width))
    labels = np.arange(train + test) % classes
    rows = centers[labels] + noise * rng.normal(size=(train + test, width))
    return rows[:train], labels[:train], rows[train:], labels[train:]

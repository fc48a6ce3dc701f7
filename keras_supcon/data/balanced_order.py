"""An order of samples in which every batch holds a few samples of each of a few classes."""

import numpy as np

from keras_supcon.seeds import derive_seed, random_generator


def balanced_order(
    labels: np.ndarray, classes_per_batch: int, samples_per_class: int, seed: int, epoch: int
) -> np.ndarray:
    """Returns the samples of each batch of an epoch.

    Args:
        labels: Class ids `(n,)`.
        classes_per_batch: Different classes in a batch, at most those that there are.
        samples_per_class: Samples of each of them.
        seed: Seed of all epochs.
        epoch: Number of the epoch.

    Returns:
        int64 `(batches, classes_per_batch * samples_per_class)`, numbers of samples. There are as
        many batches as samples fill, at least one.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.data.balanced_order import balanced_order
    >>> labels = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    >>> order = balanced_order(labels, 2, 2, seed=0, epoch=0)
    >>> np.sort(labels[order]).tolist()
    [[0, 0, 1, 1], [0, 0, 1, 1]]
    """
    rng = random_generator(derive_seed(seed, "balanced", epoch))
    batch_size = classes_per_batch * samples_per_class
    batches = max(len(labels) // batch_size, 1)
    names, class_of = np.unique(labels, return_inverse=True)
    by_class = np.argsort(class_of, kind="stable")
    members = np.split(by_class, np.cumsum(np.bincount(class_of))[:-1])
    classes = _drawn_evenly(np.arange(len(names)), classes_per_batch, batches, rng)
    order = np.empty((batches, classes_per_batch, samples_per_class), "int64")
    slots = np.argsort(classes, axis=None, kind="stable")
    ends = np.cumsum(np.bincount(classes.ravel(), minlength=len(names)))[:-1]
    for samples, of_class in zip(members, np.split(slots, ends), strict=True):
        batch, place = np.divmod(of_class, classes_per_batch)
        # All samples as often as they fit, and some once more.
        copies, more = divmod(samples_per_class, len(samples))
        order[batch, place] = np.concatenate(
            [
                np.tile(samples, (len(batch), copies)),
                _drawn_evenly(samples, more, len(batch), rng),
            ],
            axis=1,
        )
    return rng.permuted(order.reshape(batches, batch_size), axis=1)


def _drawn_evenly(
    items: np.ndarray, size: int, groups: int, rng: np.random.Generator
) -> np.ndarray:
    """Draws groups of different items, each item as often as any other, or once more.

    Returns:
        `(groups, size)`.
    """
    drawn = np.empty(0, items.dtype)
    parts, number = [drawn], 0
    while number < groups * size:
        following = rng.permutation(items)
        begun = number % size
        if begun:  # the group that has begun has none of its items again
            in_group = np.isin(following, np.concatenate(parts)[-begun:])
            first = following[~in_group][: size - begun]
            following = np.concatenate([first, following[~np.isin(following, first)]])
        parts.append(following)
        number += len(following)
    return np.concatenate(parts)[: groups * size].reshape(groups, size)

"""Batches of a few samples of each of a few classes."""

import keras
import numpy as np
import pytest

from keras_supcon.data import balanced_batches
from keras_supcon.data.balanced_order import balanced_order

pytestmark = pytest.mark.neutral

LABELS = np.repeat([0, 3, 4, 7, 9], [40, 1, 2, 25, 9])
IMAGES = np.arange(len(LABELS) * 2, dtype="float32").reshape(-1, 2)


@pytest.mark.parametrize("classes_per_batch", [1, 2, 3, 5])
@pytest.mark.parametrize("samples_per_class", [1, 2, 4, 11])
def test_every_class_and_sample_is_drawn_as_evenly_as_possible(
    rng, classes_per_batch, samples_per_class
):
    labels = rng.permutation(LABELS)
    order = balanced_order(labels, classes_per_batch, samples_per_class, seed=3, epoch=2)
    size = classes_per_batch * samples_per_class
    assert order.shape == (max(len(labels) // size, 1), size)
    for batch in order:
        names, numbers = np.unique(labels[batch], return_counts=True)
        assert len(names) == classes_per_batch
        assert (numbers == samples_per_class).all()
        for name in names:  # no sample again while another one of the class is left
            times = np.bincount(batch, minlength=len(labels))[labels == name]
            assert times.max() - times.min() <= 1
    draws = np.bincount(labels[order].ravel(), minlength=10)[np.unique(labels)]
    assert draws.max() - draws.min() <= samples_per_class
    for name in np.unique(labels):
        times = np.bincount(order.ravel(), minlength=len(labels))[labels == name]
        assert times.max() - times.min() <= 2


def test_an_epoch_follows_from_the_seed_and_its_number_alone():
    def batches(**options):
        return balanced_batches((IMAGES, LABELS), 3, 2, **options)

    first = batches(seed=5)
    epochs = []
    for _ in range(3):
        epochs.append(np.stack([y for _, y in (first[i] for i in range(len(first)))]))
        first.on_epoch_end()
    for number, labels in enumerate(epochs):
        again = batches(seed=5, epoch=number)
        np.testing.assert_array_equal(np.stack([again[i][1] for i in range(len(again))]), labels)
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(batches(seed=6)[0][0], batches(seed=5)[0][0])


def test_workers_share_each_batch():
    whole = balanced_batches((IMAGES, LABELS), 3, 4)
    shares = [balanced_batches((IMAGES, LABELS), 3, 4, shard=(i, 3)) for i in range(3)]
    for number in range(len(whole)):
        rows = np.concatenate([share[number][0] for share in shares])
        assert len(shares[0][number][0]) == 4
        np.testing.assert_array_equal(np.sort(rows[:, 0]), np.sort(whole[number][0][:, 0]))


def test_samples_come_as_arrays_dictionaries_or_one_by_one():
    class Files:
        def __len__(self):
            return len(IMAGES)

        def __getitem__(self, number):
            return IMAGES[number]

    of_array = balanced_batches((IMAGES, LABELS), 3, 2)
    of_both = balanced_batches(({"a": IMAGES, "b": LABELS}, LABELS), 3, 2)
    of_files = balanced_batches((Files(), LABELS), 3, 2)
    x, y = of_array[1]
    np.testing.assert_array_equal(of_both[1][0]["a"], x)
    np.testing.assert_array_equal(of_both[1][0]["b"], y)
    np.testing.assert_array_equal(of_files[1][0], x)
    np.testing.assert_array_equal(IMAGES[:, 0].searchsorted(x[:, 0]).shape, (6,))
    np.testing.assert_array_equal(LABELS[(x[:, 0] / 2).astype(int)], y)


def test_keras_fits_them():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(10)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    batches = balanced_batches((IMAGES / 100, LABELS), 3, 4)
    history = model.fit(batches, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert batches.epoch >= 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ((IMAGES, LABELS), 6, 2),
            "at most the number of classes, 5",
        ),
        (((IMAGES, LABELS), 0, 2), "`classes_per_batch` should be a whole number"),
        (((IMAGES, LABELS), 2, 0), "`samples_per_class` should be a whole number"),
        (((IMAGES[:-1], LABELS), 2, 2), "a label for each sample"),
        (((IMAGES, -LABELS), 2, 2), "`labels` should be class ids of at least 0"),
        ((IMAGES, 2, 2), r"`data` should be \(x, labels\)"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        balanced_batches(*arguments)


@pytest.mark.parametrize("shard", [(2, 2), (0, 5), 3])
def test_wrong_shards_are_refused(shard):
    with pytest.raises(ValueError, match="`shard` should"):
        balanced_batches((IMAGES, LABELS), 3, 4, shard=shard)
    with pytest.raises(ValueError, match="`epoch` should"):
        balanced_batches((IMAGES, LABELS), 3, 4, epoch=-1)

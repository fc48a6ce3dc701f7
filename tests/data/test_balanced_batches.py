"""Batches of a few samples of each of a few classes."""

import pathlib

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


@pytest.mark.parametrize("of_labels", [np.asarray, np.ndarray.tolist], ids=["array", "list"])
@pytest.mark.parametrize(
    "as_samples",
    [
        list,
        tuple,
        np.ndarray.tolist,
        lambda array: [keras.ops.convert_to_tensor(row) for row in array],
        lambda array: [pathlib.Path(f"{row[0]}.png") for row in array],
        lambda array: [f"{row[0]}.png" for row in array],
    ],
    ids=["arrays", "tuple", "lists", "tensors", "paths", "names"],
)
def test_a_list_with_an_entry_for_each_label_is_one_of_samples(as_samples, of_labels):
    expected, samples = balanced_batches((IMAGES, LABELS), 3, 2), as_samples(IMAGES)
    is_named = isinstance(samples[0], (str, pathlib.Path))
    for x in (samples, {"a": samples, "b": IMAGES}, [samples, IMAGES]):
        batches = balanced_batches((x, of_labels(LABELS)), 3, 2)
        assert len(batches) == len(expected)
        for number, (images, labels) in enumerate(expected):
            received, ids = batches[number]
            np.testing.assert_array_equal(ids, labels)
            if x is not samples:
                received, others = received.values() if isinstance(x, dict) else received
                np.testing.assert_array_equal(others, images)
            names = [f"{row[0]}.png" for row in images]
            np.testing.assert_array_equal(received, names if is_named else images)


def test_a_list_of_several_inputs_has_all_samples_of_each():
    inputs = [IMAGES, (LABELS + 1).astype("uint8")]
    for x in (inputs, tuple(inputs)):
        (images, others), ids = balanced_batches((x, LABELS), 3, 2)[1]
        np.testing.assert_array_equal(others, ids + 1)
        np.testing.assert_array_equal(images, balanced_batches((IMAGES, LABELS), 3, 2)[1][0])
    # As many inputs as samples would be: a list of samples.
    x, y = balanced_batches(([np.array([3, 4]), np.array([5, 6])], [0, 1]), 2, 1)[0]
    np.testing.assert_array_equal(x[np.argsort(y)], [[3, 4], [5, 6]])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            ["a.png"] * 30,
            r"Received: 77 labels, and for x list of 30 entries, arrays of shape \(\)",
        ),
        (list(IMAGES[:-1]), r"for x list of 76 entries, arrays of shape \(2,\)"),
        ([IMAGES, IMAGES[1:]], r"list of 2 entries, arrays of shape \(76, 2\), \(77, 2\)"),
        ({"a": 3.0}, r"for x dict of 1 entries, arrays of shape \(\)"),
        ({}, "for x dict of 0 entries"),
        (5, "for x int of length None"),
        (iter(IMAGES), "of length None"),
        (IMAGES[1:], "for x ndarray of length 76"),
        ([*IMAGES[1:], IMAGES[0, :1]], "`data` should have samples of one shape"),
        ([[1, 2]] * 76 + [[1, [2, 3]]], "`data` should have samples of one shape"),
        ([{"a": row} for row in IMAGES], "should have numbers or names in a list.* dict first"),
    ],
)
def test_samples_that_are_not_one_for_each_label_are_refused(x, message):
    with pytest.raises(ValueError, match=message):
        balanced_batches((x, LABELS), 3, 2)


@pytest.mark.parametrize("x", [[], (), np.empty((0, 2)), {"a": [], "b": np.empty((0, 2))}])
@pytest.mark.parametrize("labels", [[], np.empty(0, "int64"), np.empty((0, 1))])
def test_no_samples_are_no_batches(x, labels):
    with pytest.raises(ValueError, match="`data` should hold samples. Received: no samples"):
        balanced_batches((x, labels), 1, 1)


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

"""Streams divide a data set into tasks, alike for training and test samples."""

import numpy as np
import pytest
import scipy.ndimage

from keras_supcon.data import class_incremental, domain_incremental, load_arrays, task_incremental
from keras_supcon.data.rotation import Rotation


def samples(classes: int = 7, number: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Returns samples that hold their number, with class ids that do not count from 0."""
    return np.arange(number).reshape(-1, 1), 3 * (np.arange(number) % classes) + 2


@pytest.mark.parametrize("make", [class_incremental, task_incremental])
@pytest.mark.parametrize(
    ("division", "lengths"),
    [
        ({"num_tasks": 3}, [3, 2, 2]),
        ({"num_tasks": 7}, [1] * 7),
        ({"num_tasks": 1}, [7]),
        ({"classes_per_task": 3}, [3, 3, 1]),
        ({"classes_per_task": 7}, [7]),
    ],
)
@pytest.mark.parametrize("order", [None, 4])
def test_each_sample_is_in_one_task_with_its_class(make, division, lengths, order):
    images, labels = samples()
    stream = make(images, labels, order=order, **division)
    assert [len(one) for one in stream.classes] == lengths
    assert len(stream) == len(lengths)
    numbers = []
    for index, task in enumerate(stream):
        assert (task.index, task.classes) == (index, stream.classes[index])
        assert {*task.labels.tolist()} == {*task.classes}
        np.testing.assert_array_equal(labels[task.images[:, 0]], task.labels)
        np.testing.assert_array_equal(task.loss_labels, task.labels)
        assert task.loss_classes == task.classes
        np.testing.assert_array_equal(stream.class_of(task.loss_labels), task.labels)
        numbers += task.images[:, 0].tolist()
        assert len(task) == len(task.images)
    assert sorted(numbers) == list(range(len(labels)))
    flat = [one for part in stream.classes for one in part]
    assert sorted(flat) == np.unique(labels).tolist()
    assert (flat == sorted(flat)) == (order is None)


def test_the_seed_of_the_order_decides_it():
    images, labels = samples()
    orders = {class_incremental(images, labels, num_tasks=7, order=seed).classes for seed in (1, 2)}
    assert len(orders) == 2
    again = class_incremental(images, labels, num_tasks=7, order=1)
    assert again.classes in orders


def test_given_classes_leave_the_others_out():
    images, labels = samples()
    stream = class_incremental(images, labels, classes=[[8, 2], np.array([11])])
    assert stream.classes == ((8, 2), (11,))
    assert {*np.concatenate([task.labels for task in stream]).tolist()} == {2, 8, 11}
    assert [task.index for task in stream[-1:]] == [1]
    assert stream[-1].classes == (11,)
    with pytest.raises(IndexError):
        stream[2]


def test_test_samples_have_the_same_tasks():
    images, labels = samples()
    stream = class_incremental(images, labels, num_tasks=3, order=5)
    test = stream.with_data(images[:14] + 100, labels[:14])
    assert test.classes == stream.classes
    assert [len(task) for task in test] == [6, 4, 4]
    # Other classes are left out, and not every class of a task needs a sample.
    more = stream.with_data(np.zeros((8, 1)), [*labels[:7], 23])
    assert {*more.labels.tolist()} <= {*labels.tolist()}
    assert sum(map(len, more)) == len(more.images) == len(more.labels) == 7
    last = np.isin(labels, stream.classes[-1])
    with pytest.raises(
        ValueError, match="should have a class of each task. Received: none of .* 2"
    ):
        stream.with_data(images[~last], labels[~last])


def test_domains_have_all_samples_in_another_form():
    images, labels = samples()
    transforms = [lambda x: x, lambda x: x + 1000, lambda x: -x]
    stream = domain_incremental(images, labels, transforms)
    assert stream.scenario == "domain"
    all_ids = []
    for task, transform in zip(stream, transforms, strict=True):
        np.testing.assert_array_equal(task.images, transform(images))
        np.testing.assert_array_equal(task.labels, labels)
        np.testing.assert_array_equal(stream.class_of(task.loss_labels), labels)
        assert {*task.loss_labels.tolist()} == {*task.loss_classes}
        assert task.classes == tuple(np.unique(labels).tolist())
        # The same partition as by the classes.
        same = labels[:, None] == labels
        np.testing.assert_array_equal(task.loss_labels[:, None] == task.loss_labels, same)
        all_ids += task.loss_classes
    assert sorted(all_ids) == list(range(21))  # no class is in two domains
    test = stream.with_data(images[:14], labels[:14])
    np.testing.assert_array_equal(test[1].images, images[:14] + 1000)


def test_a_task_of_a_domain_is_made_when_it_is_asked_for():
    made = []

    def transform(number):
        return lambda images: made.append(number) or images

    stream = domain_incremental(*samples(), [transform(number) for number in range(5)])
    assert made == []
    _ = stream[3]
    assert made == [3]


def test_rotations_are_those_of_scipy():
    images, _ = load_arrays("digits", "test")
    images = np.concatenate([images[:40], 255 - images[:40]], axis=-1)[:, :, 1:]  # not square
    for degrees in (0, 37.5, 90, 143, 180, -20):
        rotated = Rotation(degrees)(images)
        expected = scipy.ndimage.rotate(
            images.astype("float64"),
            degrees,
            axes=(1, 2),
            reshape=False,
            order=1,
            mode="grid-constant",
        )
        assert rotated.dtype == images.dtype
        np.testing.assert_allclose(rotated, expected, atol=0.51)
        as_floats = Rotation(degrees)(images.astype("float32"))
        np.testing.assert_allclose(as_floats, expected, atol=1e-3)
    square = images[:, :, :6, :][:, :6]
    np.testing.assert_array_equal(Rotation(90)(square), np.rot90(square, axes=(1, 2)))


def test_angles_are_drawn_up_to_180_degrees():
    images, labels = load_arrays("digits", "test")
    angles = [
        [
            one.degrees
            for one in domain_incremental(images, labels, num_tasks=200, seed=seed).transforms
        ]
        for seed in (0, 0, 1)
    ]
    assert angles[0] == angles[1] != angles[2]
    assert 0 <= min(angles[0]) < 10
    assert 170 < max(angles[0]) < 180
    assert abs(np.mean(angles[0]) - 90) < 4.5 * 180 / np.sqrt(12 * 200)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_tasks": 8}, "`num_tasks` should be at most the number of classes, 7"),
        ({"num_tasks": 0}, "`num_tasks` should be a whole number of at least 1"),
        ({"num_tasks": None}, "One of `num_tasks`, `classes_per_task` and `classes`"),
        ({"classes_per_task": 2}, "One of .* Received: num_tasks=2, classes_per_task=2"),
        ({"num_tasks": None, "classes_per_task": 8}, "`classes_per_task` should be at most"),
        (
            {"num_tasks": None, "classes": [[2, 5], [8, 2]]},
            "tasks should not overlap. Received: class 2 more than once",
        ),
        ({"num_tasks": None, "classes": [[2, 3], [4]]}, "Received: no sample of classes 3, 4"),
        ({"num_tasks": None, "classes": [[2], []]}, "`classes` should be a sequence of one or"),
        ({"num_tasks": None, "classes": [2, 5]}, "`classes` should be a sequence of one or more"),
        ({"num_tasks": None, "classes": [[2]], "order": 1}, "`order` should be None"),
        ({"order": 0.5}, "`seed` should be a whole number"),
        ({"labels": np.full(40, -1)}, "images without a label should be left out"),
        ({"labels": np.zeros(39)}, "should have the same length"),
        ({"images": np.zeros((0, 1)), "labels": np.zeros(0)}, "at least one sample"),
    ],
)
def test_refuses_tasks_that_are_none(change, message):
    images, labels = samples()
    arguments = {"images": images, "labels": labels, "num_tasks": 2, **change}
    with pytest.raises(ValueError, match=message):
        class_incremental(**arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"transforms": "noise"}, "`transforms` should be functions or 'rotation'"),
        ({"transforms": [1]}, "`transforms` should be a sequence of one or more functions"),
        (
            {"transforms": [abs], "num_tasks": 2},
            "`num_tasks` should be the number of transforms, 1",
        ),
        ({"transforms": "rotation"}, "`num_tasks` should be a whole number"),
        ({"transforms": "rotation", "num_tasks": 2}, "should have shape .n, height, width"),
        ({"labels": [-1] * 40}, "images without a label should be left out"),
    ],
)
def test_refuses_domains_that_are_none(change, message):
    images, labels = samples()
    with pytest.raises(ValueError, match=message):
        domain_incremental(**{"images": images, "labels": labels, "transforms": [abs], **change})


def test_a_transform_that_loses_images_is_named():
    stream = domain_incremental(*samples(), [lambda images: images, lambda images: images[1:]])
    with pytest.raises(ValueError, match=r"`transforms` should keep .* from transforms\[1\]"):
        stream[1]

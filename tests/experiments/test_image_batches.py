"""Hosts that read a data set together read each image once."""

import dataclasses

import numpy as np
import pytest

from keras_supcon.experiments.image_batches import ImageBatches, keep_encoded, to_color


@dataclasses.dataclass
class Host:
    index: int
    count: int
    strategy: object = None


@pytest.mark.parametrize("count", [1, 2])
def test_an_evaluation_has_each_image_once_with_weight_1(count):
    batch_size, num_images = 100, 355
    steps = -(-num_images // batch_size)
    weights, labels, seen = [], [], []
    for index in range(count):
        batches = ImageBatches("digits", None, 0, Host(index, count)).evaluation(
            "test", batch_size, steps, lambda image: image
        )
        own = list(batches.as_numpy_iterator())
        assert len(own) == steps
        assert all(len(weight) == batch_size // count for _, _, weight in own)
        for images, one_hot, weight in own:
            weights.append(weight)
            labels.append(one_hot[weight == 1].argmax(axis=1))
            seen.append(images[weight == 1])
    assert np.concatenate(weights).sum() == num_images
    from keras_supcon.data.digits import read_digits

    expected, expected_labels = read_digits("test")
    assert sorted(np.concatenate(labels)) == sorted(expected_labels)
    ours = np.concatenate(seen).reshape(num_images, -1)
    theirs = expected.reshape(num_images, -1)
    np.testing.assert_array_equal(np.unique(ours, axis=0), np.unique(theirs, axis=0))


def test_training_resumes_at_a_position_with_the_batches_that_would_have_come():
    batches = ImageBatches("digits", None, 0, Host(0, 1))
    whole, rest = (
        list(batches.training("train", 256, 2, start, to_color, one_hot=True).as_numpy_iterator())
        for start in ((0, 0), (1, 3))
    )
    assert (len(whole), len(rest)) == (10, 2)
    for (images, labels), (others, other_labels) in zip(whole[-2:], rest, strict=True):
        assert images.shape == (256, 8, 8, 3)
        assert labels.shape == (256, 10)
        np.testing.assert_array_equal(images, others)
        np.testing.assert_array_equal(labels, other_labels)


def test_nothing_is_decoded_to_count_the_steps():
    assert (
        ImageBatches("digits", None, 0, Host(0, 1)).read("train", 256, keep_encoded).steps_per_epoch
        == 5
    )

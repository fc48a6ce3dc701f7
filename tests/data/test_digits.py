import numpy as np
import pytest

from keras_supcon.data import load_arrays
from keras_supcon.data.digits import CLASS_NAMES, read_digits

pytestmark = pytest.mark.neutral


def test_the_two_splits_are_the_digits_of_scikit_learn():
    from sklearn.datasets import load_digits

    original = load_digits()
    train, test = read_digits("train"), read_digits("test")
    assert len(train[0]) + len(test[0]) == 1797
    ours = np.concatenate([train[0], test[0]])[..., 0]
    rows = {
        (label, image.tobytes())
        for image, label in zip(ours, np.concatenate([train[1], test[1]]), strict=True)
    }
    scaled = np.round(original.images * 255 / 16).astype("uint8")
    assert rows == {
        (label, image.tobytes()) for image, label in zip(scaled, original.target, strict=True)
    }


def test_every_class_has_a_fifth_of_its_images_in_the_test_split():
    counts = [
        np.bincount(read_digits(split)[1], minlength=len(CLASS_NAMES))
        for split in ("train", "test")
    ]
    np.testing.assert_array_less(np.abs(counts[1] / (counts[0] + counts[1]) - 0.2), 0.005)


def test_refuses_another_split():
    with pytest.raises(
        ValueError,
        match=r"`split` of the digits should be one of \('train', 'test'\). Received: split='val'",
    ):
        read_digits("val")


def test_arrays_of_the_digits_need_no_tensorflow():
    for split in ("train", "test"):
        for loaded, read in zip(load_arrays("digits", split), read_digits(split), strict=True):
            np.testing.assert_array_equal(loaded, read)
    with pytest.raises(
        ValueError, match="`name` and `split` should be strings. Received: name='digits', split=1"
    ):
        load_arrays("digits", 1)

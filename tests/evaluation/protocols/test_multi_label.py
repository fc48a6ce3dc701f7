"""Linear evaluation of several labels at once."""

import numpy as np
import pytest

from keras_supcon.evaluation import eleven_point_average_precision, multi_label_evaluation


def several(rng, number, classes=3, noise=0.6):
    labels = rng.integers(0, 2, (number, classes))
    return labels + noise * rng.normal(size=(number, classes)), labels


def test_features_that_are_the_classes_reach_about_their_own_precision(rng):
    train, test, validation = several(rng, 300), several(rng, 300), several(rng, 100)
    result = multi_label_evaluation(*train, *test, validation)
    own = np.mean([eleven_point_average_precision(test[0][:, i], test[1][:, i]) for i in range(3)])
    assert result.mean_average_precision == pytest.approx(own, abs=0.02)
    assert result.mean_average_precision == pytest.approx(np.mean(result.average_precisions))
    assert 0.7 < result.mean_average_precision < 0.99


def test_images_that_are_left_out_of_a_class_do_not_count_there(rng):
    train, test, validation = several(rng, 300), several(rng, 300), several(rng, 100)
    for rows, labels in (train, test):
        hidden = rng.uniform(size=labels.shape) < 0.2
        rows[hidden] = -50 * labels[hidden]  # such rows would mislead
        labels[hidden] = -1
    result = multi_label_evaluation(*train, *test, validation)
    assert result.mean_average_precision > 0.6
    for i, precision in enumerate(result.average_precisions):
        assert 0.5 < precision <= 1, i


def test_a_class_that_no_image_tells_of_has_no_precision(rng):
    train, test, validation = several(rng, 300), several(rng, 300), several(rng, 100)
    one = multi_label_evaluation(*train, *test, validation)
    for _, labels in (test, validation):
        labels[:, 1] = -1
    result = multi_label_evaluation(*train, *test, validation)
    assert np.isnan(result.average_precisions[1])
    assert result.average_precisions[::2] == pytest.approx(one.average_precisions[::2], abs=0.02)
    assert result.mean_average_precision == pytest.approx(np.nanmean(result.average_precisions))


def test_refuses_classes_without_images(rng):
    rows, labels = several(rng, 50)
    labels[:, 1] = 0
    with pytest.raises(ValueError, match="images with and without each class.*class 1 in 0 of 50"):
        multi_label_evaluation(rows, labels, rows, labels, (rows, labels))
    with pytest.raises(ValueError, match="of 1, 0 and -1"):
        multi_label_evaluation(rows, 2 * labels, rows, labels, (rows, labels))
    labels[:, 1] = labels[:, 0]
    for nothing in (np.zeros_like(labels), np.full_like(labels, -1)):
        with pytest.raises(ValueError, match="labels of `validation` should have an image"):
            multi_label_evaluation(rows, labels, rows, labels, (rows, nothing))
        with pytest.raises(ValueError, match="labels of `test` should have an image"):
            multi_label_evaluation(rows, labels, rows, nothing, (rows, labels))
    with pytest.raises(ValueError, match="should be a pair"):
        multi_label_evaluation(rows, labels, rows, labels, rows)

"""Calibration errors equal a loop over bins, and likelihood and Brier score scikit-learn's."""

import numpy as np
import pytest
import sklearn.metrics

from keras_supcon import evaluation as E  # noqa: N812
from keras_supcon.evaluation.scores.calibration import bin_confidences


def some(rng, number=500, classes=6, sharpness=2.0, dtype="float64"):
    logits = sharpness * rng.normal(size=(number, classes))
    labels = rng.integers(0, classes, number)
    logits[np.arange(number), labels] += 1.5
    exponentials = np.exp(logits)
    return (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(dtype), labels


def error_by_loop(confidence, is_right, num_bins):
    error = 0.0
    for number in range(num_bins):
        low, high = number / num_bins, (number + 1) / num_bins
        last = number == num_bins - 1
        members = [
            i
            for i, one in enumerate(confidence)
            if low <= one and (one < high or (last and one <= 1))
        ]
        if members:
            gap = abs(is_right[members].mean() - confidence[members].mean())
            error += len(members) / len(confidence) * gap
    return error


@pytest.mark.parametrize("num_bins", [1, 4, 15])
def test_expected_error_is_the_sum_over_bins(rng, num_bins):
    probabilities, labels = some(rng)
    confidence, is_right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    assert E.expected_calibration_error(probabilities, labels, num_bins) == pytest.approx(
        error_by_loop(confidence, is_right, num_bins)
    )


def test_a_border_belongs_to_the_bin_above_and_one_to_the_last():
    confidence = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    bins = bin_confidences(confidence, np.ones(5, bool), num_bins=4)
    np.testing.assert_array_equal(bins.counts, [1, 1, 1, 2])
    np.testing.assert_array_equal(bins.confidence, [0, 0.25, 0.5, 0.875])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tensorflow_sorts_floats_of_that_dtype_into_the_same_bins(dtype):
    # `tf.histogram_fixed_width_bins` computes floor(bins * value) and clamps, as documented.
    confidence = np.concatenate([np.arange(16) / 15, np.linspace(0, 1, 101)]).astype(dtype)
    counts = bin_confidences(confidence, np.ones(len(confidence), bool), 15).counts
    place = np.minimum((confidence * np.array(15, dtype)).astype("int64"), 14)
    np.testing.assert_array_equal(counts, np.bincount(place, minlength=15))


def test_hand_made_errors():
    # Two images of confidence 1, one of them wrong, and one of 0.97 that is right: torchmetrics,
    # which has a bin of its own for confidences of 1, gives .265.
    probabilities = np.array([[1.0, 0.0], [1.0, 0.0], [0.97, 0.03], [0.97, 0.03]])
    labels = np.array([0, 1, 0, 0])
    assert E.expected_calibration_error(probabilities, labels) == pytest.approx(0.235)
    assert E.maximum_calibration_error(probabilities, labels) == pytest.approx(0.235)


def test_equal_counts_split_the_images_by_confidence(rng):
    probabilities, labels = some(rng, number=600)
    confidence, is_right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    order = np.argsort(confidence)
    expected = np.mean(
        [abs(is_right[part].mean() - confidence[part].mean()) for part in np.split(order, 15)]
    )
    measured = E.expected_calibration_error(probabilities, labels, binning="mass")
    assert measured == pytest.approx(expected)


@pytest.mark.parametrize("binning", ["width", "mass"])
def test_the_order_of_images_does_not_matter(rng, binning):
    probabilities = np.repeat([[0.7, 0.3], [0.6, 0.4]], 20, axis=0)
    labels, order = rng.integers(0, 2, 40), rng.permutation(40)
    for function in (
        E.expected_calibration_error,
        E.maximum_calibration_error,
        E.classwise_calibration_error,
    ):
        one = function(probabilities, labels, 3, binning)
        assert function(probabilities[order], labels[order], 3, binning) == pytest.approx(one)


@pytest.mark.parametrize("binning", ["width", "mass"])
def test_more_bins_than_images_leave_bins_empty(binning):
    probabilities = np.array([[0.8, 0.2], [0.3, 0.7]])
    error = E.expected_calibration_error(probabilities, [0, 1], 50, binning)
    assert error == pytest.approx(0.25)


def test_classwise_error_is_the_mean_over_columns(rng):
    probabilities, labels = some(rng, classes=4)
    expected = np.mean(
        [error_by_loop(probabilities[:, one], labels == one, 15) for one in range(4)]
    )
    assert E.classwise_calibration_error(probabilities, labels) == pytest.approx(expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_likelihood_and_brier_score_are_those_of_scikit_learn(rng, dtype):
    probabilities, labels = some(rng, dtype=dtype)
    probabilities[0] = np.eye(6)[(labels[0] + 1) % 6]  # sure, and wrong
    assert E.negative_log_likelihood(probabilities, labels) == pytest.approx(
        sklearn.metrics.log_loss(labels, probabilities), rel=1e-5
    )
    one_hot = np.eye(6)[labels]
    assert E.brier_score(probabilities, labels) == pytest.approx(
        ((probabilities - one_hot) ** 2).sum(axis=1).mean(), rel=1e-5
    )


def test_logits_give_what_their_probabilities_give(rng):
    probabilities, labels = some(rng)
    logits = np.log(probabilities) + rng.normal(size=(500, 1))
    for function in (
        E.expected_calibration_error,
        E.maximum_calibration_error,
        E.classwise_calibration_error,
        E.negative_log_likelihood,
        E.brier_score,
    ):
        assert function(logits, labels, from_logits=True) == pytest.approx(
            function(probabilities, labels)
        )


def test_logits_are_not_guessed(rng):
    logits = rng.normal(size=(5, 3))
    with pytest.raises(ValueError, match="rows that sum to 1.*from_logits=True"):
        E.expected_calibration_error(logits, np.zeros(5, int))


def test_the_temperature_is_that_by_which_logits_were_multiplied(rng):
    labels = rng.integers(0, 5, 20_000)
    logits = rng.normal(size=(20_000, 5))
    # Draws labels from the probabilities: these logits are calibrated.
    gumbel = -np.log(-np.log(rng.uniform(size=logits.shape)))
    labels = (logits + gumbel).argmax(axis=1)
    assert E.fit_temperature(logits, labels) == pytest.approx(1, abs=0.05)
    assert E.fit_temperature(2.5 * logits, labels) == pytest.approx(2.5, rel=0.05)


def test_a_perfect_classifier_gets_the_lowest_temperature():
    logits = 10 * np.eye(4)
    assert E.fit_temperature(logits, np.arange(4)) == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [0, 1]}, "`labels` should hold 3 class ids"),
        ({"labels": [0, 1, 2]}, "class ids from 0 to 1"),
        ({"num_bins": 0}, "`num_bins` should be a whole number of at least 1"),
        ({"binning": "area"}, "`binning` should be one of"),
        ({"probabilities": np.full((3, 2), np.nan)}, "finite"),
        ({"probabilities": np.zeros((0, 2)), "labels": []}, "at least one row"),
        ({"probabilities": [[0.5, 0.2]] * 3}, "sum to 1"),
    ],
)
def test_refuses_wrong_input(change, message):
    arguments = {"probabilities": np.full((3, 2), 0.5), "labels": [0, 1, 0], **change}
    with pytest.raises(ValueError, match=message):
        E.expected_calibration_error(**arguments)

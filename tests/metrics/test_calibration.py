"""The calibration error of batches is that of all their samples."""

import keras
import numpy as np
import pytest

from keras_supcon.evaluation.scores.calibration import expected_calibration_error
from keras_supcon.metrics import ExpectedCalibrationError

pytestmark = pytest.mark.neutral

BACKEND = keras.backend.backend()


def error_of(*batches, **options) -> float:
    metric = ExpectedCalibrationError(**options)
    for batch in batches:
        metric.update_state(*batch)
    return float(metric.result())


def by_loop(probabilities, labels, num_bins=15, weights=None) -> float:
    """Computes the error sample by sample and bin by bin."""
    weights = np.ones(len(labels)) if weights is None else weights
    bins = {}
    for row, label, weight in zip(probabilities, labels, weights, strict=True):
        place = min(int(np.floor(row.max() * num_bins)), num_bins - 1)
        bins.setdefault(place, []).append((weight, row.max(), row.argmax() == label))
    total = 0.0
    for samples in bins.values():
        weight, confidence, is_right = np.array(samples, "float64").T
        total += abs((weight * is_right).sum() - (weight * confidence).sum())
    return total / weights.sum()


def predictions(rng, number=200, classes=4):
    logits = 2 * rng.normal(size=(number, classes)).astype("float32")
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return rng.integers(0, classes, number), probabilities, logits


@pytest.mark.parametrize("num_bins", [1, 10, 15])
def test_it_is_that_of_a_loop_and_of_the_array_function(rng, num_bins):
    labels, probabilities, _ = predictions(rng)
    expected = by_loop(probabilities, labels, num_bins)
    assert expected > 0.1
    assert error_of((labels, probabilities), num_bins=num_bins) == pytest.approx(expected, rel=1e-5)
    assert expected_calibration_error(probabilities, labels, num_bins) == pytest.approx(
        expected, rel=1e-5
    )


def test_batches_in_any_order_and_of_any_size_give_that_of_all_samples(rng):
    labels, probabilities, _ = predictions(rng)
    batches = [
        (labels[start:stop], probabilities[start:stop])
        for start, stop in [(0, 1), (1, 90), (90, 200)]
    ]
    expected = error_of((labels, probabilities))
    assert error_of(*batches) == pytest.approx(expected, rel=1e-5)
    assert error_of(*batches[::-1]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("num_bins", [2, 7, 10, 15, 64])
def test_a_border_belongs_to_the_bin_above_it_in_float32(num_bins):
    """Beside each border is the next lower number of float32, in the bin below."""
    borders = np.arange(num_bins + 1, dtype="float32") / np.float32(num_bins)
    borders = borders[borders >= 0.5]
    confidence = np.concatenate([borders, np.nextafter(borders, np.float32(0))])
    confidence = confidence[confidence >= 0.5]
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    for row in range(len(confidence)):
        labels = (np.arange(len(confidence)) == row).astype(int)  # one is wrong
        assert error_of((labels, probabilities), num_bins=num_bins) == pytest.approx(
            expected_calibration_error(probabilities, labels, num_bins), rel=1e-5
        )
    metric = ExpectedCalibrationError(num_bins)
    metric.update_state(np.zeros(len(confidence), "int32"), probabilities)
    places = np.minimum(np.floor(confidence * np.float32(num_bins)), num_bins - 1).astype(int)
    np.testing.assert_array_equal(metric.weight, np.bincount(places, minlength=num_bins))


def test_confidence_one_is_in_the_last_bin_with_others(rng):
    """torchmetrics, with a bin of its own for it, would say 0.265."""
    probabilities = np.array([[1, 0], [1, 0], [0.97, 0.03]], "float32")
    assert error_of(([0, 1, 0], probabilities)) == pytest.approx(abs(2 - 2.97) / 3, rel=1e-5)


def test_limits_of_certain_predictions():
    certain = np.array([[1, 0], [0, 1]], "float32")
    assert error_of(([0, 1], certain)) == 0
    assert error_of(([1, 0], certain)) == 1
    assert error_of() == 0


def test_labels_are_ids_or_one_hot_rows(rng):
    labels, probabilities, _ = predictions(rng)
    expected = error_of((labels, probabilities))
    for same in (labels[:, None], np.eye(4)[labels], labels.astype("float32"), labels.tolist()):
        assert error_of((same, probabilities)) == expected


def test_logits_are_taken_by_their_softmax(rng):
    labels, probabilities, logits = predictions(rng)
    expected = error_of((labels, probabilities))
    assert error_of((labels, logits), from_logits=True) == pytest.approx(expected, rel=1e-5)
    masked = np.concatenate([logits, np.full((200, 1), -np.inf, "float32")], axis=1)
    assert error_of((labels, masked), from_logits=True) == pytest.approx(expected, rel=1e-5)


def test_weights_are_repetitions(rng):
    labels, probabilities, _ = predictions(rng, 40)
    times = rng.integers(0, 3, 40)
    expected = error_of((np.repeat(labels, times), np.repeat(probabilities, times, axis=0)))
    for weights in (times, times.astype("float32")[:, None]):
        assert error_of((labels, probabilities, weights)) == pytest.approx(expected, rel=1e-5)
    fractions = rng.uniform(size=40)
    assert error_of((labels, probabilities, fractions)) == pytest.approx(
        by_loop(probabilities, labels, weights=fractions), rel=1e-5
    )


def test_unlabeled_samples_do_not_count(rng):
    labels, probabilities, _ = predictions(rng, 40)
    labels[::3] = -1
    kept = labels >= 0
    assert error_of((labels, probabilities)) == pytest.approx(
        error_of((labels[kept], probabilities[kept])), rel=1e-6
    )


@pytest.mark.parametrize(
    "row",
    [[np.nan, 0.5], [np.inf, 0.5], [3.0, 1.0], [-0.5, 1.5]],
    ids=["nan", "inf", "logits", "negative"],
)
def test_rows_that_are_no_probabilities_give_no_number(row):
    probabilities = np.array([[0.8, 0.2], row, [0.3, 0.7]], "float32")
    assert np.isnan(error_of(([0, 1, 1], probabilities)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_binned_in_float32(rng, dtype):
    labels, probabilities, _ = predictions(rng)
    half = keras.ops.cast(probabilities, dtype)
    expected = by_loop(keras.ops.convert_to_numpy(keras.ops.cast(half, "float32")), labels)
    assert error_of((labels, half)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("labels", "shape", "message"),
    [
        ([0, 1], (2,), r"`y_pred` should have shape \(batch, classes\).*y_pred.shape=\(2,\)"),
        ([0, 1], (2, 1), "at least two classes"),
        ([0, 1], (2, 3, 4), r"y_pred.shape=\(2, 3, 4\)"),
        ([0, 1], (3, 4), "`y_true` should have as many rows as `y_pred`. Received: 2 labels"),
        ([0, 4], (2, 4), "below 4, the number of classes"),
        ([0.5, 1], (2, 4), "whole class ids"),
    ],
)
def test_wrong_batches_are_refused(labels, shape, message):
    with pytest.raises(ValueError, match=message):
        error_of((labels, np.full(shape, 1 / shape[-1], "float32")))


@pytest.mark.parametrize(
    "options", [{"num_bins": 0}, {"num_bins": 2.5}, {"from_logits": 1}, {"from_logits": None}]
)
def test_wrong_arguments_are_refused(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"`{name}` should be"):
        ExpectedCalibrationError(**options)

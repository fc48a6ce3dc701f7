"""The protocol of calibration: scores, interval, and a temperature from other images."""

import json

import numpy as np
import pytest

from keras_supcon import evaluation as E  # noqa: N812


def calibrated(rng, number, sharpness=1.0, classes=5):
    """Returns logits times a number, and labels drawn from the probabilities of the logits."""
    logits = rng.normal(size=(number, classes))
    noise = -np.log(-np.log(rng.uniform(size=logits.shape)))
    return sharpness * logits, (logits + noise).argmax(axis=1)


def test_scores_are_those_of_the_functions(rng):
    logits, labels = calibrated(rng, 400)
    result = E.calibration(logits, labels, from_logits=True, resamples=50)
    scores = result.scores
    for value, function in (
        (scores.expected_error, E.expected_calibration_error),
        (scores.maximum_error, E.maximum_calibration_error),
        (scores.classwise_error, E.classwise_calibration_error),
        (scores.negative_log_likelihood, E.negative_log_likelihood),
        (scores.brier_score, E.brier_score),
    ):
        assert value == pytest.approx(function(logits, labels, from_logits=True))
    assert scores.accuracy == (logits.argmax(axis=1) == labels).mean()
    assert result.temperature is result.scaled is None


def test_temperature_scaling_mends_a_classifier_that_is_too_sure(rng):
    logits, labels = calibrated(rng, 4000, sharpness=3)
    test, validation = ((logits[i::2], labels[i::2]) for i in (0, 1))
    result = E.calibration(*test, validation, from_logits=True, resamples=50)
    assert result.temperature == pytest.approx(3, rel=0.15)
    assert result.scaled.expected_error < 0.3 * result.expected_error
    assert result.scaled.accuracy == result.scores.accuracy
    assert result.scaled.negative_log_likelihood < result.scores.negative_log_likelihood
    assert len(str(result).splitlines()) == 3


def test_probabilities_and_their_logits_give_one_result(rng):
    logits, labels = calibrated(rng, 500, sharpness=2)
    exponentials = np.exp(logits)
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    one = E.calibration(logits, labels, (logits, labels), from_logits=True, resamples=20)
    other = E.calibration(probabilities, labels, (probabilities, labels), resamples=20)
    assert one.temperature == pytest.approx(other.temperature, rel=1e-3)
    assert one.expected_error == pytest.approx(other.expected_error)
    assert one.scores.expected_error_interval == pytest.approx(other.scores.expected_error_interval)


def test_logits_keep_what_probabilities_would_lose():
    logits = np.array([[0, -500], [0, -500], [0, 3]], "float32")
    labels = np.array([0, 1, 1])
    result = E.calibration(logits, labels, (logits, labels), from_logits=True, resamples=2)
    expected = (500 + np.log1p(np.exp(-3))) / 3
    assert result.scores.negative_log_likelihood == pytest.approx(expected)
    assert result.temperature == pytest.approx(E.fit_temperature(logits, labels))
    scaled = E.negative_log_likelihood(logits / result.temperature, labels, from_logits=True)
    assert result.scaled.negative_log_likelihood == pytest.approx(scaled, rel=1e-5)


def test_huge_logits_and_certainty_are_scored():
    logits = np.array([[1e307, -1e307], [0, 1e307], [-1.7e308, 1.7e308]])
    result = E.calibration(logits, [0, 0, 1], (logits, [0, 0, 1]), from_logits=True, resamples=2)
    assert result.temperature == pytest.approx(100, rel=1e-3)  # one of three is wrong
    assert np.isfinite(result.scaled.expected_error)
    sure = E.calibration(np.eye(2), [0, 1], resamples=2)
    assert sure.rows()[0]["NLL"] == "0.0000"


def test_seeds_may_be_of_any_sign_and_size(rng):
    logits, labels = calibrated(rng, 60)
    for seed in (-1, 2**80):
        result = E.calibration(logits, labels, from_logits=True, resamples=5, seed=seed)
        assert result.scores.expected_error_interval[0] >= 0
        assert E.compare([1, 0, 1], [0, 0, 1], resamples=5, seed=seed).permutation > 0


def test_the_interval_of_a_calibrated_classifier_reaches_down_to_almost_nothing(rng):
    logits, labels = calibrated(rng, 300)
    result = E.calibration(logits, labels, from_logits=True, resamples=300)
    low, high = result.scores.expected_error_interval
    assert result.expected_error > 0.02  # few images: noise
    assert low < 0.02
    assert low < high


def test_the_result_draws_and_tells_its_protocol(rng):
    result = E.calibration(*calibrated(rng, 60), from_logits=True, resamples=5)
    content = json.loads(result.to_json())
    assert content["protocol"]["num_bins"] == 15
    assert "bins" not in content
    assert result.plot().axes
    assert result.plot(narrow=True).axes


def test_refuses_wrong_validation_data(rng):
    logits, labels = calibrated(rng, 60)
    with pytest.raises(ValueError, match="should be a pair"):
        E.calibration(logits, labels, validation=logits, from_logits=True)
    with pytest.raises(ValueError, match="should have 5 classes"):
        E.calibration(logits, labels, (logits[:, :3], labels % 3), from_logits=True)
    with pytest.raises(ValueError, match="from_logits=True"):
        E.calibration(logits, labels)

"""The linear evaluation minimizes its loss, chooses on validation images and tests once."""

import json

import numpy as np
import pytest
import scipy.optimize

from keras_supcon.evaluation import linear_evaluation
from keras_supcon.evaluation.protocols import logistic_regression
from keras_supcon.evaluation.protocols.logistic_regression import (
    REGULARIZATIONS,
    Standardizer,
    fit_path,
    fit_probe,
)
from tests.evaluation.protocols.embeddings import overlapping


def loss_of(weights, bias, rows, labels, regularization):
    logits = rows @ weights + bias
    likelihood = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]
    return likelihood.mean() + regularization / 2 * (weights**2).sum()


@pytest.mark.parametrize("regularization", [1e-3, 0.1, 10.0])
def test_the_probe_minimizes_the_loss_that_is_documented(rng, regularization):
    rows, labels, *_ = overlapping(rng, train=100, classes=3, width=4)
    rows = 3 * rows + 5
    standardizer = Standardizer(rows)
    probe = fit_probe(rows, labels, regularization, standardizer)
    standardized = standardizer(rows).astype("float64")

    def loss(flat):
        return loss_of(flat[:12].reshape(4, 3), flat[12:], standardized, labels, regularization)

    best = scipy.optimize.minimize(loss, np.zeros(15)).fun
    weights = probe.weights * standardizer.scale[:, None]
    reached = loss_of(
        weights, probe.logits(rows) - standardized @ weights, standardized, labels, regularization
    )
    assert reached == pytest.approx(best, rel=1e-3)


def test_two_classes_have_the_probabilities_of_one_logit(rng):
    rows, labels, *_ = overlapping(rng, classes=2)
    probe = fit_probe(rows, labels, 0.1, Standardizer(rows))
    logits = probe.logits(rows)
    np.testing.assert_allclose(
        probe.probabilities(rows)[:, 1],
        1 / (1 + np.exp(logits[:, 0] - logits[:, 1])),
        rtol=1e-5,
    )
    assert (probe.predict(rows) == labels).mean() > 0.9


def test_each_probe_of_a_path_is_that_of_its_own_fit(rng):
    rows, labels, *_ = overlapping(rng)
    standardizer = Standardizer(rows)
    for probe in fit_path(rows, labels, [10.0, 0.1, 1e-3], standardizer):
        alone = fit_probe(rows, labels, probe.regularization, standardizer)
        np.testing.assert_allclose(probe.probabilities(rows), alone.probabilities(rows), atol=0.01)


def test_validation_images_choose_and_test_images_do_not(rng):
    train, train_labels, test, test_labels = overlapping(rng, noise=1.5, width=60, train=120)
    result = linear_evaluation(train, train_labels, test, test_labels)
    assert list(result.validation_scores) == sorted(REGULARIZATIONS)
    best = max(result.validation_scores.values())
    chosen = [one for one, score in result.validation_scores.items() if score == best]
    assert result.regularization == max(chosen)
    others = linear_evaluation(train, train_labels, -test[::-1], test_labels)
    assert others.regularization == result.regularization
    np.testing.assert_array_equal(others.probe.weights, result.probe.weights)
    assert result.interval[0] < result.accuracy < result.interval[1]
    assert result.accuracy == (result.predictions == test_labels).mean()


def test_given_validation_images_are_part_of_the_last_fit(rng):
    train, train_labels, test, test_labels = overlapping(rng)
    halves = (train[:150], train_labels[:150]), (train[150:], train_labels[150:])
    result = linear_evaluation(*halves[0], test, test_labels, halves[1], regularizations=[0.1])
    expected = fit_probe(train, train_labels, 0.1, Standardizer(train))
    np.testing.assert_allclose(result.probe.weights, expected.weights, atol=1e-6)
    assert result.protocol["validation_images"] == 150


def test_the_scale_and_shift_of_features_do_not_matter(rng):
    train, train_labels, test, test_labels = overlapping(rng)
    scale, shift = rng.uniform(0.1, 100, 8), rng.normal(size=8)
    constant = np.full((300, 1), 7.0), np.full((200, 1), 9.0)
    one = linear_evaluation(train, train_labels, test, test_labels)
    changed = linear_evaluation(
        np.hstack([train * scale + shift, constant[0]]),
        train_labels,
        np.hstack([test * scale + shift, constant[1]]),
        test_labels,
    )
    assert (one.predictions == changed.predictions).mean() > 0.99


@pytest.mark.parametrize(
    ("scale", "dtype"),
    [(1e-40, "float32"), (1e37, "float32"), (1e-280, "float64"), (1e300, "float64")],
)
def test_features_of_any_size_are_classified(rng, scale, dtype):
    train, train_labels, test, test_labels = overlapping(rng)
    expected = linear_evaluation(train, train_labels, test, test_labels)
    train, test = ((scale * rows).astype(dtype) for rows in (train, test))
    result = linear_evaluation(train, train_labels, test, test_labels)
    assert (result.predictions == expected.predictions).mean() > 0.99
    np.testing.assert_allclose(result.probabilities.sum(axis=1), 1)


def test_blocks_of_rows_standardize_as_all_of_them(rng, monkeypatch):
    rows = rng.normal(3, 2, (100, 5))
    monkeypatch.setattr(logistic_regression, "_ROWS_AT_ONCE", 7)
    standardizer = Standardizer(rows)
    np.testing.assert_allclose(standardizer.mean, rows.mean(axis=0))
    np.testing.assert_allclose(standardizer.scale, rows.std(axis=0))
    expected = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    np.testing.assert_allclose(standardizer(rows), expected, rtol=1e-6, atol=1e-6)


def test_class_ids_need_not_count_from_zero(rng):
    train, train_labels, test, test_labels = overlapping(rng)
    one = linear_evaluation(train, train_labels, test, test_labels)
    other = linear_evaluation(train, 3 * train_labels + 2, test, 3 * test_labels + 2)
    np.testing.assert_array_equal(other.predictions, 3 * one.predictions + 2)
    np.testing.assert_array_equal(other.places, one.labels)


def test_a_class_of_one_image_stays_in_training(rng):
    train, train_labels, test, test_labels = overlapping(rng)
    train_labels = train_labels.copy()
    train_labels[0] = 9
    result = linear_evaluation(train, train_labels, test, test_labels)
    assert 9 in result.probe.classes


def test_the_result_prints_as_a_table_and_as_json(rng):
    result = linear_evaluation(*overlapping(rng))
    assert str(result).splitlines()[0].split()[0] == "accuracy"
    content = json.loads(result.to_json())
    assert content["accuracy"] == result.accuracy
    assert content["protocol"]["protocol"] == "linear_evaluation"
    assert content["protocol"]["train_images"] == 300
    assert {"keras_supcon", "numpy", "scikit-learn"} <= content["protocol"]["versions"].keys()
    assert "probabilities" not in content
    assert result.plot().axes[0].get_ylabel() == "accuracy"
    by_class = linear_evaluation(*overlapping(rng), chosen_by="mean_per_class")
    assert by_class.plot().axes[0].get_ylabel() == "mean per class"
    assert result.plot_together({"a": result, "b": by_class}).axes[0].get_ylabel() == "score"


def test_tells_its_progress(rng):
    told = []
    linear_evaluation(
        *overlapping(rng),
        regularizations=[0.1, 1.0],
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"validation": 0}, "`validation` should be a share"),
        ({"validation": 1.0}, "`validation` should be a share"),
        ({"validation": (np.ones((2, 3)), [0, 1])}, "should have the width of `train`"),
        ({"train_labels": [0, 1, 2, 3]}, "should have a class with two images"),
        ({"regularizations": ()}, "`regularizations` should be a sequence of one or more positive"),
        ({"regularizations": (0.0,)}, "`regularizations` should be a sequence of one or more"),
        ({"regularizations": 1.0}, "`regularizations` should be .*regularizations=1.0"),
        ({"chosen_by": "test"}, "`chosen_by` should be one of"),
        ({"seed": 0.5}, "`seed` should be a whole number"),
    ],
)
def test_refuses_wrong_input(change, message):
    arguments = {
        "train": np.eye(4, 2),
        "train_labels": [0, 1, 0, 1],
        "test": np.ones((2, 2)),
        "test_labels": [0, 1],
        **change,
    }
    with pytest.raises(ValueError, match=message):
        linear_evaluation(**arguments)

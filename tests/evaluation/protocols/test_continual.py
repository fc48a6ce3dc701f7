"""The probe of continual learning counts classes alike, and forgetting is what was lost."""

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from keras_supcon.evaluation import (
    backward_transfer,
    continual_evaluation,
    forgetting,
    linear_evaluation,
)
from keras_supcon.evaluation.protocols.cross_validation import (
    REGULARIZATIONS,
    choose_regularization,
)
from keras_supcon.evaluation.protocols.logistic_regression import (
    Standardizer,
    fit_path,
    fit_probe,
)
from tests.evaluation.protocols.embeddings import overlapping

TASKS = ((0, 1), (4, 2), (3,))


def unbalanced(rng, noise=0.6):
    """Returns training samples of which the first classes have few, and a test for each task."""
    train, labels, test, test_labels = overlapping(rng, train=500, noise=noise)
    kept = (labels >= 3) | (np.arange(len(labels)) < 60)
    tests = [
        (test[np.isin(test_labels, classes)], test_labels[np.isin(test_labels, classes)])
        for classes in TASKS
    ]
    return train[kept], labels[kept], tests


@pytest.mark.parametrize("regularization", [1e-3, 0.1, 10.0])
def test_balanced_classes_are_those_of_scikit_learn(rng, regularization):
    rows, labels, _ = unbalanced(rng)
    standardizer = Standardizer(rows)
    reference = LogisticRegression(
        C=1 / (regularization * len(rows)), class_weight="balanced", tol=1e-10, max_iter=10_000
    ).fit(standardizer(rows).astype("float64"), labels)
    probe = fit_probe(rows, labels, regularization, standardizer, balanced=True)
    expected = reference.predict_proba(standardizer(rows).astype("float64"))
    np.testing.assert_allclose(probe.probabilities(rows), expected, atol=2e-3)
    path = list(fit_path(rows, labels, [1e2, regularization], standardizer, 1e-8, balanced=True))
    np.testing.assert_allclose(path[1].probabilities(rows), expected, atol=2e-3)
    unweighted = fit_probe(rows, labels, regularization, standardizer)
    assert np.abs(unweighted.probabilities(rows) - expected).max() > 0.05


def test_balanced_classes_count_as_if_each_had_as_many_samples(rng):
    """Rows that are repeated until classes are equal give the same classifier."""
    rows, labels = rng.normal(size=(40, 3)), np.repeat([0, 1, 2], [20, 15, 5])
    times = np.repeat([3, 4, 12], [20, 15, 5])
    standardizer = Standardizer(rows)
    one = fit_probe(rows, labels, 0.1, standardizer, balanced=True)
    many = fit_probe(np.repeat(rows, times, 0), np.repeat(labels, times), 0.1, standardizer)
    np.testing.assert_allclose(one.logits(rows), many.logits(rows), atol=2e-3)


def test_linear_evaluation_takes_balanced_classes(rng):
    rows, labels, tests = unbalanced(rng)
    split = rows, labels, *tests[0]
    one = linear_evaluation(*split, regularizations=[0.1], class_weight="balanced")
    expected = fit_probe(rows, labels, 0.1, Standardizer(rows), balanced=True)
    np.testing.assert_array_equal(one.probe.weights, expected.weights)
    assert one.protocol["class_weight"] == "balanced"
    assert one.accuracy > linear_evaluation(*split, regularizations=[0.1]).accuracy
    with pytest.raises(ValueError, match="`class_weight` should be one of"):
        linear_evaluation(*split, class_weight="equal")


def test_cross_validation_counts_classes_alike(rng):
    """With one regularization that is right on the many, and another on the few."""
    rows, labels, _ = unbalanced(rng, noise=2.0)
    standardizer = Standardizer(rows)

    def score(regularization, seed, balanced):
        from sklearn.model_selection import StratifiedKFold

        predictions = np.empty_like(labels)
        for fitted, held_out in StratifiedKFold(3, shuffle=True, random_state=seed).split(
            rows, labels
        ):
            probe = fit_probe(rows[fitted], labels[fitted], regularization, standardizer, balanced)
            predictions[held_out] = probe.predict(rows[held_out])
        are_right = predictions == labels
        per_class = [are_right[labels == one].mean() for one in np.unique(labels)]
        return np.mean(per_class) if balanced else are_right.mean()

    choices = [1e-3, 0.1, 100.0]
    for balanced in (False, True):
        scores = [score(one, 3, balanced) for one in choices]
        chosen = choose_regularization(rows, labels, choices, standardizer, 3, balanced)
        assert scores[choices.index(chosen)] == pytest.approx(max(scores), abs=0.01)


def test_accuracies_are_among_all_classes_and_among_those_of_the_task(rng):
    rows, labels, tests = unbalanced(rng, noise=1.2)
    result = continual_evaluation(rows, labels, tests, TASKS)
    probe = result.probe
    standardizer = Standardizer(rows)
    expected = fit_probe(rows, labels, result.regularization, standardizer, balanced=True)
    np.testing.assert_array_equal(probe.weights, expected.weights)
    assert result.regularization in REGULARIZATIONS
    for task, (embeddings, true) in enumerate(tests):
        logits = probe.logits(embeddings)
        assert result.class_accuracies[task] == np.mean(logits.argmax(axis=1) == true)
        own = np.sort(TASKS[task])
        among_own = own[logits[:, own].argmax(axis=1)]
        assert result.task_accuracies[task] == np.mean(among_own == true)
        assert result.task_classes[task] == tuple(own)
    assert result.class_accuracy == np.mean(result.class_accuracies)
    assert result.task_accuracy == np.mean(result.task_accuracies)
    assert all(a <= b for a, b in zip(result.class_accuracies, result.task_accuracies, strict=True))
    assert result.task_accuracies[2] == 1  # its only class
    np.testing.assert_array_equal(result.image_scores(), result.predictions == result.labels)
    as_given = continual_evaluation(rows, labels, tests)
    assert as_given.task_accuracies == result.task_accuracies


def test_test_samples_choose_nothing(rng):
    rows, labels, tests = unbalanced(rng, noise=1.2)
    one = continual_evaluation(rows, labels, tests)
    other = continual_evaluation(rows, labels, [(-rows, true) for rows, true in tests])
    np.testing.assert_array_equal(one.probe.weights, other.probe.weights)
    alone = continual_evaluation(rows, labels, tests[:1], regularizations=[one.regularization])
    assert alone.class_accuracies == one.class_accuracies[:1]


def test_tasks_of_the_same_classes_have_one_accuracy(rng):
    train, labels, test, test_labels = overlapping(rng, noise=1.5)
    tests = [(test[:100], test_labels[:100]), (test[100:] + 0.5, test_labels[100:])]
    result = continual_evaluation(train, labels, tests)
    assert result.class_accuracies == result.task_accuracies
    assert result.class_accuracies[0] != result.class_accuracies[1]


def test_the_result_prints_as_a_table_and_as_json(rng):
    result = continual_evaluation(*unbalanced(rng))
    assert [row["task"] for row in result.rows()] == ["1", "2", "3", "mean"]
    content = json.loads(result.to_json())
    assert content["task_accuracies"] == list(result.task_accuracies)
    assert content["protocol"]["tasks"] == 3
    assert "predictions" not in content
    assert result.plot().axes[0].get_ylabel() == "accuracy"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tests": []}, "`tests` should be a sequence of one or more pairs"),
        ({"tests": np.ones((4, 2))}, "`tests` should be a sequence of one or more pairs"),
        (
            {"tests": [(np.eye(2), [0, 1]), (np.eye(2), [0, 2])]},
            r"should have the classes of `tests\[1\]\[1\]`. Received: no image of class 2",
        ),
        (
            {"tests": [(np.eye(3), [0, 1, 1])]},
            r"`train` and `tests\[0\]\[0\]` should have the same",
        ),
        ({"tests": [(np.eye(2), [0, -1])]}, "images without a label should be left out"),
        ({"task_classes": [[0, 1], [1]]}, "classes of each of the 1 tasks of `tests`"),
        ({"task_classes": [[0]]}, r"Received: tests\[0\] with 1, not in \(0,\)"),
        ({"task_classes": [0, 1]}, "`task_classes` should be a sequence of one or more lists"),
        ({"regularizations": [0]}, "`regularizations` should be"),
        ({"train_labels": [1, 1, 1, 1]}, "should have at least two classes"),
        ({"seed": "a"}, "`seed` should be a whole number"),
    ],
)
def test_refuses_wrong_input(change, message):
    arguments = {
        "train": np.eye(4, 2),
        "train_labels": [0, 1, 0, 1],
        "tests": [(np.eye(2), [0, 1])],
        **change,
    }
    with pytest.raises(ValueError, match=message):
        continual_evaluation(**arguments)


def test_forgetting_is_the_best_before_minus_the_last():
    accuracies = np.array([[0.9, np.nan, 7], [0.95, 0.8, np.inf], [0.5, 0.85, 0.1]])
    assert forgetting(accuracies) == pytest.approx(((0.95 - 0.5) + (0.8 - 0.85)) / 2)
    assert backward_transfer(accuracies) == pytest.approx(((0.5 - 0.9) + (0.85 - 0.8)) / 2)
    assert np.isnan(accuracies[0, 1])  # not changed


def test_what_never_changes_is_not_forgotten(rng):
    row = rng.random(4)
    assert forgetting([row] * 4) == backward_transfer([row] * 4) == 0
    loss = rng.random(4) / 2
    falling = 1 - loss * np.arange(4)[:, None]
    assert forgetting(falling) == pytest.approx(np.mean(loss[:3] * [3, 2, 1]))
    assert backward_transfer(falling) == -forgetting(falling)


@pytest.mark.parametrize(
    ("accuracies", "message"),
    [
        ([[1.0]], "at least two tasks"),
        ([[1.0, 0.5]], r"should have shape \(tasks, tasks\)"),
        ([[1.0, 0.0], [np.nan, 1.0]], "`accuracies` should be finite numbers"),
    ],
)
def test_accuracies_that_are_none_are_refused(accuracies, message):
    for score in (forgetting, backward_transfer):
        with pytest.raises(ValueError, match=message):
            score(accuracies)

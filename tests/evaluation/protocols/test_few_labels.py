"""Few labels: drawn class by class, chosen among themselves, better with more of them."""

import warnings

import numpy as np
import pytest
import scipy.stats

from keras_supcon.evaluation import few_label_evaluation
from tests.evaluation.protocols.embeddings import overlapping


def test_more_labels_are_better_and_all_of_them_are_all(rng):
    split = overlapping(rng, train=1000, noise=1.2)
    result = few_label_evaluation(*split, fractions=(0.01, 0.1, 1.0), per_class=(1, 5), draws=4)
    assert [part.name for part in result.parts] == [
        "1 per class",
        "5 per class",
        "1%",
        "10%",
        "100%",
    ]
    assert [part.labels for part in result.parts] == [5, 25, 10, 100, 1000]
    accuracies = [result[name].accuracy for name in ("1 per class", "5 per class", "10%", "100%")]
    assert accuracies == sorted(accuracies)
    # Every draw has all of them, and differs at most in the regularization.
    assert np.ptp(result["100%"].accuracies) < 0.03
    assert len({*result["1%"].accuracies}) > 1


def test_the_interval_is_students(rng):
    part = few_label_evaluation(*overlapping(rng), fractions=(), per_class=(2,), draws=6).parts[0]
    expected = scipy.stats.t.interval(0.95, 5, part.accuracy, scipy.stats.sem(part.accuracies))
    assert part.interval == pytest.approx((max(0, expected[0]), min(1, expected[1])))
    assert part.accuracy == pytest.approx(np.mean(part.accuracies))


def test_labels_of_other_images_have_no_part(rng):
    train, train_labels, test, test_labels = overlapping(rng)
    options = {"fractions": (), "per_class": (2,), "draws": 3}
    result = few_label_evaluation(train, train_labels, test, test_labels, **options)
    again = few_label_evaluation(train, train_labels, test, test_labels, **options)
    assert result.parts == again.parts
    # Of the other half of the test images the choice is the same.
    half = few_label_evaluation(train, train_labels, test[:100], test_labels[:100], **options)
    assert half.parts[0].regularizations == result.parts[0].regularizations
    other = few_label_evaluation(train, train_labels, test, test_labels, **options, seed=1)
    assert other.parts[0].accuracies != result.parts[0].accuracies


def test_numbers_of_numpy_are_numbers(rng):
    part = few_label_evaluation(
        *overlapping(rng), fractions=(), per_class=np.array([5]), draws=1
    ).parts[0]
    assert (part.name, part.labels) == ("5 per class", 25)


def test_a_rare_class_keeps_an_image(rng):
    train, train_labels, test, test_labels = overlapping(rng)
    train_labels = np.where(np.arange(300) == 7, 5, train_labels)
    part = few_label_evaluation(
        train, train_labels, test, test_labels, fractions=(0.05,), per_class=(), draws=1
    )["5%"]
    assert part.labels == 15 + 1
    assert np.isnan(part.interval).all()


def test_one_rare_class_does_not_stop_the_choice(rng):
    train, train_labels, test, test_labels = overlapping(rng)
    train_labels = np.where(np.arange(300) == 7, 5, train_labels)
    options = {"fractions": (), "per_class": (20,), "draws": 1, "regularizations": (1e-6, 0.1, 1e6)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        part = few_label_evaluation(train, train_labels, test, test_labels, **options).parts[0]
    assert part.regularizations != (1e6,)
    # With two images of one class alone, each fold would leave one class to be fitted.
    two = np.array([0, 0, 1]), np.array([[0.0], [0.1], [1.0]])
    part = few_label_evaluation(
        two[1], two[0], two[1], two[0], fractions=(1.0,), per_class=(), draws=1
    ).parts[0]
    assert part.regularizations == (1.0,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fractions": (0,)}, "`fractions` should be a sequence of numbers above 0 and at most 1"),
        ({"fractions": (1.5,)}, "`fractions` should be .* above 0 and at most 1"),
        ({"fractions": 0.1}, "`fractions` should be a sequence .*Received: fractions=0.1"),
        ({"per_class": (0,)}, "`per_class` should be a sequence of whole numbers of at least 1"),
        ({"per_class": 5}, "`per_class` should be a sequence .*Received: per_class=5"),
        ({"per_class": (5, 5)}, "should have different numbers"),
        ({"fractions": (), "per_class": ()}, "should have a number"),
        ({"draws": 0}, "`draws` should be a whole number of at least 1"),
    ],
)
def test_refuses_wrong_input(rng, change, message):
    with pytest.raises(ValueError, match=message):
        few_label_evaluation(*overlapping(rng), **change)

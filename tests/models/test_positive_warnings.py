"""`fit` warns where random batches will hold few positives, and nowhere else."""

import warnings

import keras
import numpy as np
import pytest

import keras_supcon
from keras_supcon.models.positive_warnings import warn_of_few_positives
from keras_supcon.random_batches import no_other_of_class

pytestmark = pytest.mark.neutral

MANY = np.arange(400) % 100  # four samples of each class
X = np.zeros((400, 3), "float32")


def model(loss, **options):
    encoder = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model = keras_supcon.ContrastiveModel(encoder, None, **options)
    model.compile("sgd", loss)
    return model


def said(loss=None, class_centers=None, **arguments) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loss = loss or keras_supcon.SupConLoss()
        one = model(loss, class_centers=class_centers)
        warn_of_few_positives(one, {"x": X, **arguments})
    return [str(one.message) for one in caught if "random batches" in str(one.message)]


def simulated(labels, batch_size, rng, number=4000):
    """Returns the share of labeled anchors without another of their class, of drawn batches."""
    alone = total = 0
    for _ in range(number):
        drawn = labels[rng.permutation(len(labels))[:batch_size]]
        counts = np.unique(drawn[drawn >= 0], return_counts=True)[1]
        alone, total = alone + (counts == 1).sum(), total + counts.sum()
    return alone / total


@pytest.mark.parametrize("unlabeled", [0, 200])
def test_the_share_is_that_of_drawn_batches(unlabeled, rng):
    labels = np.where(np.arange(400) < unlabeled, -1, MANY)
    (message,) = said(y=labels, batch_size=40)
    share = float(message.split("of 40, ")[1].split("%")[0]) / 100
    assert share == pytest.approx(simulated(labels, 40, rng), abs=0.02)
    assert "`keras_supcon.data.balanced_batches`" in message


def test_odds_are_those_of_drawing_without_replacement():
    odds = no_other_of_class(np.array([0, 1, 2, 7]), 4)
    np.testing.assert_allclose(odds[:3], [0, 1, (8 / 9) * (7 / 8) * (6 / 7)])
    assert odds[3] == pytest.approx((3 / 9) * (2 / 8) * (1 / 7))
    assert no_other_of_class(np.array([7, 3]), 5).tolist()[0] == 0  # more are drawn than are left


@pytest.mark.parametrize("batch_size", [5, 6, 32])
def test_a_batch_of_all_samples_leaves_those_alone_that_are_alone_in_their_class(batch_size):
    odds = no_other_of_class(np.array([1, 1, 1, 2, 0]), batch_size)
    np.testing.assert_array_equal(odds, [1, 1, 1, 0, 0])


@pytest.mark.parametrize(
    "arguments",
    [
        {"y": MANY, "batch_size": 128},
        {"y": MANY % 10, "batch_size": 20},
        {"y": MANY, "batch_size": 20, "shuffle": False},
        {"y": np.arange(400), "batch_size": 20},  # a class a sample
        {"y": np.full(400, -1), "batch_size": 20},
        {"y": MANY, "batch_size": 500},  # all in one batch
        {"y": None, "batch_size": 20},
        {"y": None, "x": iter([])},
        {"y": MANY, "batch_size": 20, "loss": keras_supcon.NTXentLoss()},
        {
            "y": np.eye(100)[MANY],
            "batch_size": 20,
            "loss": keras_supcon.SupConLoss(positives="any"),
        },
        {
            "y": np.where(MANY < 95, 7, MANY),
            "batch_size": 20,
            "loss": keras_supcon.SupConLoss(ignore_class=99),
        },
    ],
)
def test_nothing_is_said_where_positives_are_many_or_none_of_its_business(arguments):
    assert said(**arguments) == []


def test_every_labeled_anchor_has_its_center_as_a_positive():
    loss = keras_supcon.BalancedSupConLoss()
    assert said(y=MANY, batch_size=20, loss=loss)
    assert said(y=MANY, batch_size=20, loss=loss, class_centers=100) == []


def test_own_views_as_only_positives_may_be_what_was_chosen():
    rare = np.where(MANY < 40, 0, MANY)
    assert said(y=rare, batch_size=20)
    loss = keras_supcon.SupConLoss(self_supervised_class=0)
    assert said(y=rare, batch_size=20, loss=loss) == []


def test_ignored_samples_are_no_positives():
    mostly_ignored = np.where(MANY < 60, 0, MANY)  # one large class
    assert said(y=mostly_ignored, batch_size=20) == []
    assert said(y=mostly_ignored, batch_size=20, loss=keras_supcon.SupConLoss(ignore_class=0))


def test_fit_says_it_once_and_names_the_line_of_the_user():
    with pytest.warns(UserWarning, match="In random batches of 32") as caught:
        model(keras_supcon.SupConLoss()).fit(X, MANY, epochs=2, verbose=0)
    (one,) = [one for one in caught if "random batches" in str(one.message)]
    assert one.filename == __file__

"""Centers of classes and a classifier that knows the sizes of classes, in a `ContrastiveModel`."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_supcon
from keras_supcon import losses
from tests.models.methods import (
    DIM,
    FEATURES,
    dense_encoder,
    make,
    make_for_few_steps,
    rows,
    steps,
)

pytestmark = pytest.mark.neutral

COUNTS = (40, 20, 10, 5)


def test_the_loss_contrasts_with_the_centers(rng):
    x, y = rows(rng)
    model = make_for_few_steps("balanced")
    model.evaluate(x, y, verbose=0)
    projections = ops.reshape(model.project(x.reshape(-1, FEATURES), False), (8, 2, DIM))
    loss, centers = keras_supcon.BalancedSupConLoss(0.2), model.class_centers.centers
    expected = float(loss(y, projections, centers=ops.convert_to_tensor(centers)))
    assert model.evaluate(x, y, verbose=0) == pytest.approx(expected, rel=1e-5)
    assert expected != pytest.approx(float(loss(y, projections)), rel=0.01)


def test_a_step_moves_centers_of_absent_classes_too(rng):
    x, y = rows(rng)
    model = make_for_few_steps("balanced", optimizer=keras.optimizers.SGD(0.1))
    model.evaluate(x, y, verbose=0)
    before = ops.convert_to_numpy(model.class_centers.centers).copy()
    steps(model, x, np.where(y == 3, -1, y), 1)
    moved = np.abs(ops.convert_to_numpy(model.class_centers.centers) - before).max(axis=1)
    assert moved.min() > 1e-4


@pytest.mark.slow
def test_micro_batches_take_the_steps_of_the_whole_batch(rng):
    x, y = rows(rng, 8)
    weights = []
    for micro_batch_size in (None, 4):
        model = make("balanced", batch_norm=False, micro_batch_size=micro_batch_size)
        steps(model, x, y, 3)
        weights.append([ops.convert_to_numpy(one) for one in model.trainable_variables])
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_the_classifier_is_logit_adjusted(rng):
    x, y = rows(rng)
    options = {"classifier": 4, "classifier_weight": 0.5}
    adjusted = make_for_few_steps("balanced", class_counts=COUNTS, **options)
    plain = make_for_few_steps("balanced", **options)
    is_labeled = y >= 0
    logs = {}
    for name, model in (("adjusted", adjusted), ("plain", plain)):
        logs[name] = model.evaluate(x, y, verbose=0, return_dict=True)
    logits = adjusted._project_and_classify(x.reshape(-1, FEATURES), False)["logits"]
    logits = ops.convert_to_numpy(logits).reshape(8, 2, 4)
    loss = losses.LogitAdjustedCrossentropy(COUNTS)
    expected = np.mean([float(loss(y[is_labeled], logits[is_labeled, v])) for v in range(2)])
    assert logs["adjusted"]["classifier_loss"] == pytest.approx(expected, rel=1e-5)
    difference = expected - logs["plain"]["classifier_loss"]
    assert logs["adjusted"]["loss"] - logs["plain"]["loss"] == pytest.approx(
        0.5 * difference, rel=1e-3
    )
    assert logs["adjusted"]["classifier_accuracy"] == logs["plain"]["classifier_accuracy"]


def contrastive(**options):
    return keras_supcon.ContrastiveModel(
        dense_encoder(), keras_supcon.ProjectionHead(DIM, hidden_units=()), **options
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_centers": 1}, "`class_centers` should be a whole number of at least 2"),
        ({"class_centers": "all"}, "`class_centers` should be a number of classes, a `layers.Cla"),
        ({"class_centers": 3, "classifier": 4}, "`class_centers` should be of the 4 classes of"),
        ({"class_counts": (3, 4)}, "`class_counts` should be None without a `classifier`"),
        (
            {"class_counts": (3, 4), "classifier": 3},
            "`class_counts` should hold a size for each of the 3 classes of `classifier`",
        ),
        ({"class_counts": (3, 0), "classifier": 2}, "`class_counts` should be a sequence of"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(options, message):
    with pytest.raises(ValueError, match=rf"{message}.* Received: "):
        contrastive(**options)


def test_centers_need_a_loss_that_contrasts_with_them():
    model = contrastive(class_centers=3)
    for loss in (keras_supcon.SupConLoss(), "mse"):
        with pytest.raises(ValueError, match="with `class_centers` should contrast with them, as"):
            model.compile("sgd", loss)
    model.compile("sgd", "balanced_supcon_loss")


def test_labels_without_a_center_are_refused_before_training(rng):
    x, y = rows(rng)
    model = contrastive(class_centers=3)
    model.compile("sgd", keras_supcon.BalancedSupConLoss())
    with pytest.raises(ValueError, match="`y_true` should hold"):
        model.fit(x, y, verbose=0)  # ids up to 3
    with pytest.raises(ValueError, match="should have labels"):
        model.fit(x, verbose=0)
    assert not any(int(one) for one in (model.optimizer.iterations,))

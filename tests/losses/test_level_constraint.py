"""The constraint between the levels of a hierarchy: no level counts as less than a finer one."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon import SupConLoss
from keras_supcon.losses import supcon_loss
from tests.autodiff import (
    compiled_value_and_gradient,
    quickest,
    quickest_value_and_gradient,
)
from tests.covering import every_pair
from tests.losses import double_loop

pytestmark = pytest.mark.neutral

WEIGHTS = (1.0, 2.0, 0.5)
# Orders, families and species, nested; the species of one sample is unknown, another has no label.
LEVELS = np.array(
    [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3], [0, 0, 0], [1, 3, -1], [-1, -1, -1], [1, 2, 3]]
)
QUEUE_LEVELS = np.array([[0, 0, 1], [-2, -2, -2], [1, 3, 4], [-1, -1, -1]])


def loss_of(labels, projections, **options) -> np.ndarray:
    options = {"positives": "hierarchy", "level_constraint": True, **options}
    return ops.convert_to_numpy(quickest(lambda z: supcon_loss(labels, z, **options))(projections))


def near(rng, column, views=2, noise=0.5) -> np.ndarray:
    """Rows that lie near those of their class at one level: its loss is the smallest."""
    directions = rng.normal(size=(8, 1, 4))
    return (directions[LEVELS[:, column]] + noise * rng.normal(size=(8, views, 4))).astype(
        "float32"
    )


def level_losses(z, labels=LEVELS, **options) -> list[np.ndarray]:
    return [double_loop.supcon(ids, z, **options) for ids in labels.T]


@every_pair(
    clusters=[0, 2, None],
    denominator=["all", "one_positive", "only_negatives"],
    views=[1, 2, 3],
    contrast_mode=["all", "one"],
    block_size=[None, 4],
    candidates=["batch", "keys", "queue", "both"],
)
def test_values_and_gradients_equal_the_double_loop(
    rng, clusters, denominator, views, contrast_mode, block_size, candidates
):
    """Rows near their order, near their species, or anywhere."""
    if clusters is None:
        projections = rng.normal(size=(8, views, 4)).astype("float32")
    else:
        projections = near(rng, clusters, views)
    given, ours, queue = {}, {}, {}
    if candidates in ("keys", "both"):
        given["keys"] = ours["keys"] = rng.normal(size=projections.shape).astype("float32")
    if candidates in ("queue", "both"):
        rows = rng.normal(size=(4, 4)).astype("float32")
        queue, ours = {"queue": rows}, {**ours, "queue": rows, "queue_labels": QUEUE_LEVELS}
    shared = {"temperature": 0.3, "denominator": denominator, "contrast_mode": contrast_mode}

    def expected(z):
        losses = []
        for level in range(3):
            own = {"queue_ids": QUEUE_LEVELS[:, level]} if queue else {}
            losses.append(
                double_loop.supcon(LEVELS[:, level], z, **shared, **given, **queue, **own)
            )
        return double_loop.constrained_levels(losses, WEIGHTS)

    def actual(z):
        return supcon_loss(
            LEVELS,
            z,
            positives="hierarchy",
            level_weights=WEIGHTS,
            level_constraint=True,
            block_size=block_size,
            **shared,
            **ours,
        )

    np.testing.assert_allclose(
        ops.convert_to_numpy(quickest(actual)(projections)),
        expected(projections),
        rtol=1e-5,
        atol=1e-5,
    )
    for run in {quickest_value_and_gradient, compiled_value_and_gradient}:
        value, gradient = run(lambda z: ops.mean(actual(z)), projections)
        assert value == pytest.approx(expected(projections).mean(), rel=1e-5, abs=1e-5)
        np.testing.assert_allclose(
            gradient, double_loop.gradient(expected, projections), rtol=1e-5, atol=1e-5
        )


def test_level_losses_in_order_are_their_sum(rng):
    """Rows near their species: the coarser the level, the larger its loss."""
    projections = near(rng, 2, noise=0.1)
    losses = np.array(level_losses(projections))
    means = losses.mean(axis=1)
    assert means[0] > means[1] > means[2]
    expected = np.average(losses, axis=0, weights=WEIGHTS)
    np.testing.assert_allclose(
        loss_of(LEVELS, projections, level_weights=WEIGHTS), expected, rtol=1e-5, atol=1e-5
    )


def test_where_a_finer_level_has_the_larger_loss_the_samples_have_that_of_it(rng):
    """Rows that are near others of their order, and far from those of their species."""
    levels = np.array([[0, 0], [0, 1], [0, 0], [0, 1], [1, 2], [1, 3], [1, 2], [1, 3]])
    angles = np.array([0.0, 0.1, 0.4, 0.5, 3.1, 3.2, 3.5, 3.6])[:, None] + [[0.0, 0.02]]
    projections = np.stack([np.cos(angles), np.sin(angles)], axis=-1).astype("float32")
    coarse, fine = level_losses(projections, levels)
    assert fine.mean() > coarse.mean()
    assert np.any(fine < coarse)  # of some samples
    loss = loss_of(levels, projections)
    np.testing.assert_allclose(loss, fine, rtol=1e-5, atol=1e-5)
    assert loss.mean() == pytest.approx(max(fine.mean(), coarse.mean()), rel=1e-5)


@pytest.mark.parametrize("denominator", ["all", "one_positive"])
def test_one_level_is_the_loss_of_classes(rng, denominator):
    class_ids, projections = rng.integers(-1, 3, 9), rng.normal(size=(9, 2, 4)).astype("float32")
    np.testing.assert_allclose(
        loss_of(class_ids[:, None], projections, denominator=denominator, level_weights=(3.0,)),
        double_loop.supcon(class_ids, projections, denominator=denominator),
        rtol=1e-5,
        atol=1e-5,
    )


def test_weights_of_levels_count_in_proportion(rng):
    projections = rng.normal(size=(8, 2, 4)).astype("float32")
    one, other = (
        loss_of(LEVELS, projections, level_weights=tuple(factor * w for w in WEIGHTS))
        for factor in (1, 1e3)
    )
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_all_levels_alike_are_one_level(rng):
    class_ids, projections = rng.integers(0, 3, 8), rng.normal(size=(8, 2, 4)).astype("float32")
    np.testing.assert_allclose(
        loss_of(np.stack([class_ids] * 3, axis=1), projections),
        double_loop.supcon(class_ids, projections),
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    ("second", "coarse", "expected"),
    [
        (5.0, [0, 0, 1, 1, 2, 3], 18.460718154907227),
        (1.2, [0, 0, 1, 1, 2, 3], 1.1785656213760376),
        (1.2, [1, 1, 1, 2, 2, 2], 1.8430604934692383),
    ],
)
def test_the_values_of_the_authors(second, coarse, expected):
    """Of the public code, in which level l from fine to coarse has the weight 2^(1/l), and the sum
    is divided by the number of columns of labels, of which the last is the image. It keeps one
    sample of each class of a level for the next; here the finest level is the sample itself, so
    that both levels have all of them.
    """

    def unit(start):
        z = np.sin(start + 1.7 * np.arange(24)).reshape(6, 4)
        return z / np.linalg.norm(z, axis=1, keepdims=True)

    views = np.stack([unit(1.0), unit(second)], axis=1).astype("float32")
    levels, weights = np.stack([coarse, np.arange(6)], axis=1), (2**0.5, 2.0)
    loss = loss_of(levels, views, temperature=0.1, level_weights=weights)
    assert loss.mean() * sum(weights) / 3 == pytest.approx(expected, rel=2e-6)


def test_a_row_that_is_not_finite_makes_the_losses_nan(rng):
    projections = rng.normal(size=(8, 2, 4)).astype("float32")
    projections[1, 0, 2] = np.nan
    assert np.isnan(loss_of(LEVELS, projections)).all()


def test_the_loss_of_an_empty_batch_is_0():
    loss = SupConLoss(positives="hierarchy", level_constraint=True)
    value = loss(np.zeros((0, 2), "int32"), np.zeros((0, 2, 3), "float32"))
    assert ops.convert_to_numpy(value) == 0


def test_half_precision_rows_are_computed_in_float32_and_samples_have_weights(rng):
    projections = ops.cast(rng.normal(size=(8, 2, 4)), "bfloat16")
    values = supcon_loss(LEVELS, projections, positives="hierarchy", level_constraint=True)
    assert keras.backend.standardize_dtype(values.dtype) == "float32"
    rounded = ops.convert_to_numpy(ops.cast(projections, "float32"))
    np.testing.assert_allclose(ops.convert_to_numpy(values), loss_of(LEVELS, rounded), rtol=1e-5)
    weights = np.linspace(0.0, 1.0, 8, dtype="float32")
    loss = SupConLoss(positives="hierarchy", level_constraint=True)
    assert float(loss(LEVELS, projections, sample_weight=weights)) == pytest.approx(
        (weights * ops.convert_to_numpy(values)).mean(), rel=1e-5
    )


@pytest.mark.slow
def test_a_model_trains_with_micro_batches_and_comes_back_from_a_file(rng, tmp_path):
    from keras_supcon import ContrastiveModel, ProjectionHead

    x, values = rng.random((8, 2, 6)).astype("float32"), []
    for micro_batch_size in (None, 4):
        keras.utils.set_random_seed(1)
        encoder = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, "tanh")])
        head = ProjectionHead(4, hidden_units=())
        model = ContrastiveModel(encoder, head, micro_batch_size=micro_batch_size)
        loss = SupConLoss(0.3, positives="hierarchy", level_weights=WEIGHTS, level_constraint=True)
        model.compile(optimizer=keras.optimizers.SGD(0.3), loss=loss)
        values.append(model.fit(x, LEVELS, batch_size=8, epochs=3, verbose=0).history["loss"])
    np.testing.assert_allclose(values[1], values[0], rtol=1e-5)
    assert values[0][2] < values[0][0]
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.evaluate(x, LEVELS, verbose=0) == pytest.approx(
        model.evaluate(x, LEVELS, verbose=0), rel=1e-6
    )


def test_the_class_has_the_option(rng):
    projections = rng.normal(size=(8, 2, 4)).astype("float32")
    loss = SupConLoss(
        positives="hierarchy", level_weights=WEIGHTS, level_constraint=True, reduction=None
    )
    copy = keras.losses.deserialize(json.loads(json.dumps(keras.losses.serialize(loss))))
    assert copy.level_constraint is True
    np.testing.assert_allclose(
        ops.convert_to_numpy(copy(LEVELS, projections)),
        loss_of(LEVELS, projections, level_weights=WEIGHTS),
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positives": "class"}, "`level_constraint` should be False but with positives='hier"),
        ({"summation": "in"}, r"level_constraint=True, positives='hierarchy', summation='in'"),
        ({"pair_weights": np.ones((8, 8))}, r"`pair_weights` should be None .*shape \(8, 8\)"),
        ({"level_weights": (1.0,)}, "each of the 3 levels"),
        (
            {"queue": np.ones((2, 4), "float32"), "queue_labels": np.zeros((2, 2), "int32")},
            r"`queue_labels` should have rows of 3, as .*shape=\(2, 2\)",
        ),
        ({"level_constraint": 2}, "`level_constraint` should be"),
    ],
)
def test_refuses_what_has_no_meaning(options, message):
    options = {"positives": "hierarchy", "level_constraint": True, **options}
    with pytest.raises(ValueError, match=message):
        supcon_loss(LEVELS, np.ones((8, 2, 4), "float32"), **options)


def test_refuses_labels_of_another_form():
    projections = np.ones((3, 2, 4), "float32")
    for labels, message in (
        ([0, 1, 1], r"shape \(3, k\)"),
        ([[0], [1]], r"shape \(3, k\)"),
        ([[0.5], [1], [1]], "a class id for each level"),
    ):
        with pytest.raises(ValueError, match=message):
            supcon_loss(labels, projections, positives="hierarchy", level_constraint=True)

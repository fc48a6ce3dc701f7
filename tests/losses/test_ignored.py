"""Samples of the class `ignore_class` are in no sum."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

import keras_supcon
from keras_supcon import losses
from tests.autodiff import compiled_value_and_gradient, quickest, quickest_value_and_gradient
from tests.covering import every_pair, every_value

pytestmark = pytest.mark.neutral

DTYPE = "float32" if keras.backend.backend() == "jax" else "float64"
TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}
LOSSES = {
    "balanced": losses.balanced_supcon_loss,
    "npairs": losses.npairs_loss,
    "ntlogistic": functools.partial(losses.ntlogistic_loss, temperature=0.3),
    "sigmoid": functools.partial(
        losses.ntlogistic_loss, temperature=0.3, bias=-2.0, pair_reduction="sum"
    ),
    "max_margin": functools.partial(losses.max_margin_loss, margin=1.4),
    "triplet all": functools.partial(losses.triplet_loss, margin=0.5, mining="all"),
    "triplet semi_hard": functools.partial(losses.triplet_loss, margin=0.5, mining="semi_hard"),
    "triplet hard": functools.partial(losses.triplet_loss, margin=0.5, mining="hard"),
}
# Exponentials that need no shift, and two ways to need one.
LOGITS = {
    "of cosines": {"temperature": 0.2},
    "of a low temperature": {"temperature": 0.015},
    "of raw rows": {"normalize": False},
}


def batch_with_ignored(rng, views, ignore_class, rows=14):
    """Ids, projections and which rows are ignored: some of them, in any places, near and far from
    the others.
    """
    class_ids = np.resize([0, 1, 0, 2, -1, 1, 0, 1, 3], rows)
    is_ignored = np.isin(np.arange(rows), rng.permutation(rows)[:4]) | (class_ids == ignore_class)
    projections = rng.normal(size=(rows, views, 4)).astype(DTYPE)
    projections[is_ignored] += 3 * projections[~is_ignored][:1]
    return np.where(is_ignored, ignore_class, class_ids), projections, is_ignored


def check(
    loss, rng, views, ignore_class, queue=None, queue_ids=None, run=quickest_value_and_gradient
):
    """The others have the losses and gradients of a batch without the ignored rows, which have 0
    and none.
    """
    class_ids, projections, is_ignored = batch_with_ignored(rng, views, ignore_class)
    of_all, of_others, weights = {}, {}, rng.uniform(0.5, 1.5, len(class_ids)).astype(DTYPE)
    if queue is not None:
        kept = queue_ids != ignore_class
        assert 0 < kept.sum() < len(kept)
        of_all, of_others = (
            {"queue": queue, "queue_labels": queue_ids},
            {"queue": queue[kept], "queue_labels": queue_ids[kept]},
        )

    def total(z, rows, **options):
        return ops.sum(ops.convert_to_tensor(weights[rows]) * loss(class_ids[rows], z, **options))

    all_rows, others = np.arange(len(class_ids)), np.flatnonzero(~is_ignored)
    values = quickest(lambda z: loss(class_ids, z, ignore_class=ignore_class, **of_all))(
        projections
    )
    expected = ops.convert_to_numpy(
        quickest(lambda z: loss(class_ids[others], z, **of_others))(projections[others])
    )
    assert np.abs(expected).max() > 0.01
    values = ops.convert_to_numpy(values)
    np.testing.assert_array_equal(values[is_ignored], 0)
    np.testing.assert_allclose(values[others], expected, **TOLERANCE)
    _, gradient = run(
        lambda z: total(z, all_rows, ignore_class=ignore_class, **of_all), projections
    )
    _, expected = quickest_value_and_gradient(
        lambda z: total(z, others, **of_others), projections[others]
    )
    np.testing.assert_array_equal(gradient[is_ignored], 0)
    np.testing.assert_allclose(
        gradient[others], expected, rtol=1e-4, atol=1e-5 * max(np.abs(expected).max(), 1e-2)
    )


# JAX compiles four programs for each row, which takes it a minute for all pairs.
covering = every_value if keras.backend.backend() == "jax" else every_pair


@pytest.mark.slow
@covering(
    summation=["out", "in"],
    denominator=["all", "one_positive", "only_negatives"],
    contrast_mode=["all", "one"],
    positives_cap=[None, 2],
    has_queue=[False, True],
    block_size=[None, 3],
    logits=LOGITS,
    ignore_class=[5, -1],
)
def test_the_others_do_not_see_them_in_supcon(
    rng,
    summation,
    denominator,
    contrast_mode,
    positives_cap,
    has_queue,
    block_size,
    logits,
    ignore_class,
):
    loss = functools.partial(
        losses.supcon_loss,
        summation=summation,
        denominator=denominator,
        contrast_mode=contrast_mode,
        positives_cap=positives_cap,
        block_size=block_size,
        **logits,
    )
    queue, queue_ids = None, None
    if has_queue:
        queue, queue_ids = (
            rng.normal(size=(7, 4)).astype(DTYPE),
            np.array([1, ignore_class, 0, 2, ignore_class, 3, 1]),
        )
    check(loss, rng, 2, ignore_class, queue, queue_ids)


@pytest.mark.slow
@every_value(name=list(LOSSES), views=[1, 2], block_size=[None, 3], ignore_class=[5, 0, -1, -7])
def test_the_others_do_not_see_them_in_the_other_losses(rng, name, views, block_size, ignore_class):
    check(functools.partial(LOSSES[name], block_size=block_size), rng, views, ignore_class)


@pytest.mark.slow
@every_value(
    denominator=["all", "one_positive"],
    contrast_mode=["all", "one"],
    block_size=[None, 3],
    logits=LOGITS,
    ignore_class=[5, 0, -1, -7],
)
def test_the_others_do_not_see_them_in_spread(
    rng, denominator, contrast_mode, block_size, logits, ignore_class
):
    loss = functools.partial(
        losses.spread_loss,
        denominator=denominator,
        contrast_mode=contrast_mode,
        block_size=block_size,
        **logits,
    )
    queue = rng.normal(size=(7, 4)).astype(DTYPE)
    check(loss, rng, 2, ignore_class, queue, np.array([1, ignore_class, 0, 2, ignore_class, 3, 1]))


def test_in_one_program_of_many_blocks(rng):
    check(
        functools.partial(losses.supcon_loss, block_size=3),
        rng,
        2,
        5,
        run=compiled_value_and_gradient,
    )


@pytest.mark.parametrize("name", ["supcon", *LOSSES])
def test_a_batch_of_them_alone_gives_zero_and_no_gradient(rng, name):
    loss = {"supcon": losses.supcon_loss, **LOSSES}[name]
    for ids in (np.full(4, 9), np.array([9, 9, 9, 1])):  # the one that is left has no negative
        value, gradient = quickest_value_and_gradient(
            lambda z, ids=ids: ops.sum(loss(ids, z, ignore_class=9)),
            rng.normal(size=(4, 1, 3)).astype("float32"),
        )
        assert value == 0
        np.testing.assert_array_equal(gradient, 0)


def test_a_queue_without_labels_has_nothing_to_ignore(rng):
    z, queue = (
        rng.normal(size=(6, 2, 4)).astype("float32"),
        rng.normal(size=(3, 4)).astype("float32"),
    )
    class_ids = np.arange(6) % 2
    values = losses.supcon_loss(class_ids, z, queue=queue, ignore_class=-1)
    np.testing.assert_allclose(
        ops.convert_to_numpy(values),
        ops.convert_to_numpy(losses.supcon_loss(class_ids, z, queue=queue)),
        rtol=1e-6,
    )


def test_they_count_in_the_mean_as_samples_without_positives_do(rng):
    class_ids, z, is_ignored = batch_with_ignored(rng, 2, 5)
    z = z.astype("float32")
    mean = float(keras_supcon.SupConLoss(ignore_class=5)(class_ids, z))
    of_others = float(keras_supcon.SupConLoss()(class_ids[~is_ignored], z[~is_ignored]))
    assert mean == pytest.approx(of_others * np.mean(~is_ignored), rel=1e-5)


@pytest.mark.parametrize("name", ["supcon", *LOSSES])
def test_a_row_of_theirs_that_is_not_finite_makes_all_losses_nan(rng, name):
    """It tells of an encoder that overflows, as any other row does."""
    loss = {"supcon": losses.supcon_loss, **LOSSES}[name]
    z = rng.normal(size=(6, 2, 3)).astype("float32")
    z[2, 1, 0] = np.inf
    values = quickest(lambda z: loss(np.array([0, 1, 7, 0, 1, 0]), z, ignore_class=7))(z)
    assert np.all(np.isnan(ops.convert_to_numpy(values)))


@pytest.mark.parametrize("name", ["supcon", *LOSSES])
def test_refuses_what_is_no_id(name):
    loss, z = {"supcon": losses.supcon_loss, **LOSSES}[name], np.ones((3, 2), "float32")
    with pytest.raises(
        ValueError,
        match="`ignore_class` should be None or a whole number.*Received: ignore_class=0.5",
    ):
        loss(np.zeros(3), z, ignore_class=0.5)
    with pytest.raises(
        ValueError,
        match="class ids, not one-hot rows, where `ignore_class`.*Received: ignore_class=1",
    ):
        loss(np.eye(3), z, ignore_class=1)
    with pytest.raises(
        ValueError, match=r"or -1 for unlabeled, or -5 for ignored. Received: y_true="
    ):
        loss(np.array([0, -5, -4]), z, ignore_class=-5)
    loss(np.array([0, -5, -1]), z, ignore_class=-5)


def test_the_class_refuses_it_too():
    with pytest.raises(ValueError, match="`ignore_class` should be None or a whole number from"):
        keras_supcon.SupConLoss(ignore_class=2**31)

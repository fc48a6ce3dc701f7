"""Losses for classes of different sizes: means over classes, centers of classes, one class whose
samples have no other positives than their views, and logits that know the sizes.
"""

import functools

import keras
import numpy as np
import pytest
from keras import ops

import keras_supcon
from keras_supcon import losses
from keras_supcon.losses import balanced_supcon_loss, logit_adjusted_crossentropy, supcon_loss
from tests.autodiff import (
    compiled,
    compiled_value_and_gradient,
    quickest,
    quickest_value_and_gradient,
)
from tests.covering import every_pair
from tests.losses import double_loop

pytestmark = pytest.mark.neutral

CLASS_IDS = np.array([0, 1, 0, 2, -1, 1, 0, 0, 3])
QUEUE_IDS = np.array([1, -2, 4, -1, 0, 2, -7, 2])
# Exponentials that need no shift, and two ways to need one.
LOGITS = {
    "of cosines": {"temperature": 0.2},
    "of a low temperature": {"temperature": 0.015},
    "of raw rows": {"normalize": False},
}


def losses_of(class_ids, z, function=balanced_supcon_loss, **inputs) -> np.ndarray:
    return ops.convert_to_numpy(quickest(lambda z: function(class_ids, z, **inputs))(z))


@pytest.mark.slow
@every_pair(
    views=[1, 2],
    candidates=["batch", "keys", "queue", "keys and queue"],
    logits=list(LOGITS),
    contrast_mode=["all", "one"],
    block_size=[None, 4],
    run=["as usual", "compiled"],
)
def test_with_centers_it_equals_the_double_loop_in_value_and_both_gradients(
    rng, views, candidates, logits, contrast_mode, block_size, run
):
    z = rng.normal(size=(9, views, 4)).astype("float32")
    centers = rng.normal(size=(5, 4)).astype("float32")
    inputs, expected = {}, {}
    if "keys" in candidates:
        inputs["keys"] = expected["keys"] = rng.normal(size=z.shape).astype("float32")
    if "queue" in candidates:
        queue = rng.normal(size=(len(QUEUE_IDS), 4)).astype("float32")
        inputs |= {"queue": queue, "queue_labels": QUEUE_IDS}
        expected |= {"queue": queue, "queue_ids": QUEUE_IDS}
    options = {**LOGITS[logits], "contrast_mode": contrast_mode}
    weights = np.linspace(0.5, 1.5, len(z)).astype("float32")

    def reference(z, centers):
        return weights * double_loop.balanced_supcon(
            CLASS_IDS, z, centers=centers, **options, **expected
        )

    def loss(rows):
        z_rows, center_rows = rows[: 9 * views], rows[9 * views :]
        values = balanced_supcon_loss(
            CLASS_IDS,
            ops.reshape(z_rows, z.shape),
            centers=center_rows,
            block_size=block_size,
            **options,
            **inputs,
        )
        return ops.mean(values * ops.convert_to_tensor(weights))

    is_compiled = run == "compiled" and keras.backend.backend() == "tensorflow"
    run = compiled_value_and_gradient if is_compiled else quickest_value_and_gradient
    value, gradient = run(loss, np.concatenate([z.reshape(-1, 4), centers]))
    assert value == pytest.approx(reference(z, centers).mean(), rel=1e-5)
    of_z = double_loop.gradient(lambda z: reference(z, centers), z)
    of_centers = double_loop.gradient(
        lambda rows: reference(np.broadcast_to(z, (*rows.shape[:-3], *z.shape)), rows[..., 0, :]),
        centers[:, None],
    )
    expected_gradient = np.concatenate([of_z.reshape(-1, 4), of_centers[:, 0]])
    scale = np.abs(expected_gradient).max()
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-5, atol=1e-5 * scale)


def test_the_value_of_the_authors():
    """Of the same rows by their code, with a center of each class."""

    def unit(start, number):
        z = np.sin(start + 1.7 * np.arange(4 * number)).reshape(number, 4)
        return (z / np.linalg.norm(z, axis=1, keepdims=True)).astype("float32")

    views = np.stack([unit(1.0, 6), unit(5.0, 6)], axis=1)
    values = losses_of([0, 0, 1, 1, 2, 3], views, temperature=0.1, centers=unit(9.0, 4))
    assert values.mean() == pytest.approx(10.977017469715262, rel=1e-6)


@pytest.mark.parametrize("block_size", [None, 4])
def test_classes_of_one_size_make_it_the_plain_loss(rng, block_size):
    """With keys, of which none is the anchor, all classes have as many candidates."""
    class_ids = rng.permutation(np.repeat(np.arange(4), 3))
    z, keys = rng.normal(size=(2, 12, 2, 5)).astype("float32")
    inputs = {"keys": keys, "block_size": block_size}
    plain = losses_of(class_ids, z, supcon_loss, **inputs)
    np.testing.assert_allclose(losses_of(class_ids, z, **inputs), plain - np.log(6), rtol=2e-6)


def test_copies_of_a_class_do_not_move_the_loss_of_others(rng):
    class_ids, z = np.array([0, 0, 1, 1, 2, 2]), rng.normal(size=(6, 2, 5)).astype("float32")
    is_copied = class_ids == 2
    more_ids = np.concatenate([class_ids, *[class_ids[is_copied]] * 9])
    more_z = np.concatenate([z, *[z[is_copied]] * 9])
    alone, among_copies = losses_of(class_ids, z), losses_of(more_ids, more_z)
    np.testing.assert_allclose(among_copies[:4], alone[:4], rtol=1e-6)
    plain = losses_of(more_ids, more_z, supcon_loss)[:4] - losses_of(class_ids, z, supcon_loss)[:4]
    assert plain.min() > 0.005


def test_a_class_that_is_not_in_the_batch_pushes_by_its_center(rng):
    z, centers = rng.normal(size=(4, 2, 5)).astype("float32"), np.eye(5, dtype="float32")[:3]
    _, gradient = quickest_value_and_gradient(
        lambda centers: ops.mean(balanced_supcon_loss([0, 0, 1, 1], z, centers=centers)), centers
    )
    assert np.abs(gradient).max(axis=1).min() > 1e-3


@pytest.mark.parametrize("block_size", [None, 4])
def test_the_center_of_an_ignored_class_is_in_no_sum(rng, block_size):
    class_ids = np.array([0, 1, 0, 2, 1, 2])
    z, centers = rng.normal(size=(6, 2, 4)).astype("float32"), np.eye(4, dtype="float32")[:3]
    kept = class_ids < 2
    inputs = {"ignore_class": 2, "block_size": block_size}

    def loss(centers):
        return ops.sum(balanced_supcon_loss(class_ids, z, centers=centers, **inputs))

    value, gradient = quickest_value_and_gradient(loss, centers)
    others = losses_of(class_ids[kept], z[kept], centers=centers[:2])
    assert value == pytest.approx(others.sum(), rel=1e-6)
    np.testing.assert_array_equal(gradient[2], 0)
    assert np.abs(gradient[:2]).max(axis=1).min() > 0.1


def test_nan_in_a_center_makes_all_losses_nan(rng):
    z, centers = rng.normal(size=(4, 2, 5)).astype("float32"), np.eye(5, dtype="float32")[:3]
    centers[2, 0] = np.nan
    assert np.isnan(losses_of([0, 0, 1, 1], z, centers=centers)).all()


def test_the_class_takes_centers_in_the_call(rng):
    z, centers = rng.normal(size=(4, 2, 5)).astype("float32"), np.eye(5, dtype="float32")[:3]
    loss = keras_supcon.BalancedSupConLoss(0.2)
    values = losses_of([0, 0, 1, 2], z, temperature=0.2, centers=centers)
    assert float(loss([0, 0, 1, 2], z, centers=centers)) == pytest.approx(values.mean(), rel=1e-6)
    with pytest.raises(TypeError, match="`SupConLoss` should be called with its own options"):
        keras_supcon.SupConLoss()([0, 0, 1, 2], z, centers=centers)


@pytest.mark.parametrize("shape", [(3, 4), (0, 5), (5,), (3, 1, 5)])
def test_centers_of_another_form_are_refused(shape):
    with pytest.raises(
        ValueError, match=r"`centers` should have shape \(classes, 5\), .* Received"
    ):
        balanced_supcon_loss([0, 1], np.ones((2, 5), "float32"), centers=np.ones(shape, "float32"))


def test_a_class_without_a_center_is_refused():
    z, centers = np.ones((2, 5), "float32"), np.ones((2, 5), "float32")
    balanced_supcon_loss([-1, 1], z, centers=centers)
    with pytest.raises(ValueError, match="`y_true` should hold ids below 2, the number of `center"):
        balanced_supcon_loss([0, 2], z, centers=centers)


@pytest.mark.parametrize("ignore_class", [None, -1, 2])
@pytest.mark.parametrize("with_queue", [False, True])
def test_a_self_supervised_class_has_own_views_alone(rng, ignore_class, with_queue):
    """Supervised Minority: SupCon of the rare class, NT-Xent of the other one."""
    class_ids = np.array([0, 0, 1, 0, 2, 1, 0, -1])
    z, queue = rng.normal(size=(8, 2, 4)).astype("float32"), rng.normal(size=(4, 4))
    queue_ids = np.array([0, 1, -2, 0])
    expected_ids = np.where(class_ids == 0, 50 + np.arange(8), class_ids)
    inputs, expected = {"ignore_class": ignore_class}, {"ignore_class": ignore_class}
    if with_queue:
        inputs |= {"queue": queue, "queue_labels": queue_ids}
        of_own = np.where(queue_ids == 0, 90 + np.arange(4), queue_ids)
        expected |= {"queue": queue, "queue_labels": of_own}
    values = losses_of(class_ids, z, supcon_loss, self_supervised_class=0, **inputs)
    np.testing.assert_allclose(
        values, losses_of(expected_ids, z, supcon_loss, **expected), rtol=1e-6
    )
    if ignore_class is None and not with_queue:
        of_large, of_all = class_ids == 0, losses_of(class_ids, z, losses.ntxent_loss)
        np.testing.assert_allclose(values[of_large], of_all[of_large], rtol=1e-6)


def test_a_self_supervised_class_is_one_of_class_ids():
    with pytest.raises(ValueError, match="`self_supervised_class` should be None but with"):
        keras_supcon.SupConLoss(positives="soft", self_supervised_class=0)
    with pytest.raises(ValueError, match="should be another class than `ignore_class`"):
        keras_supcon.SupConLoss(self_supervised_class=3, ignore_class=3)
    one_hot = np.eye(3, dtype="float32")[[0, 0, 1, 1]]
    z = np.random.default_rng(0).normal(size=(4, 2, 3)).astype("float32")
    of = functools.partial(losses_of, z=z, function=supcon_loss, self_supervised_class=0)
    np.testing.assert_array_equal(of(one_hot), of([0, 0, 1, 1]))


def adjusted_reference(labels, logits, counts, strength):
    logits = logits + strength * np.log(np.asarray(counts, "float64"))
    of_own = np.take_along_axis(logits, labels[:, None], axis=-1)[:, 0]
    shift = logits.max(axis=-1)
    total = np.log(np.exp(logits - shift[:, None]).sum(axis=-1)) + shift
    return total - of_own


@pytest.mark.parametrize("strength", [0.0, 1.0, 2.5])
def test_logit_adjusted_crossentropy_is_its_formula(rng, strength):
    labels, counts = np.array([0, 2, 1, 2, 2, 0]), (900, 90, 1)
    logits = rng.normal(size=(6, 3)).astype("float32") * 3
    options = {"class_counts": counts, "strength": strength}
    function = functools.partial(logit_adjusted_crossentropy, **options)
    expected = adjusted_reference(labels, logits.astype("float64"), counts, strength)
    np.testing.assert_allclose(losses_of(labels, logits, function), expected, rtol=1e-5, atol=1e-6)
    _, gradient = quickest_value_and_gradient(lambda x: ops.mean(function(labels, x)), logits)
    adjusted = logits + strength * np.log(counts)
    shares = np.exp(adjusted - adjusted.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(gradient, (shares - np.eye(3)[labels]) / 6, rtol=1e-5, atol=1e-7)
    one_hot = np.eye(3, dtype="int32")[labels]
    np.testing.assert_array_equal(
        losses_of(one_hot, logits, function), losses_of(labels, logits, function)
    )
    if not strength:
        plain = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        np.testing.assert_allclose(expected, ops.convert_to_numpy(plain), rtol=1e-5)


def test_the_best_logits_for_shares_of_a_class_are_those_of_equal_classes(rng):
    """At the minimum over logits that are the same for all samples, they are equal: the sizes
    alone explain the labels.
    """
    labels = np.repeat([0, 1, 2], [6, 3, 1])
    loss = losses.LogitAdjustedCrossentropy(np.array([6, 3, 1]))
    _, gradient = quickest_value_and_gradient(
        lambda x: loss(labels, ops.ones((10, 1)) * x), np.zeros((1, 3), "float32")
    )
    np.testing.assert_allclose(gradient, 0, atol=1e-7)


def test_ignored_classes_need_no_center(rng):
    z = rng.normal(size=(4, 2, 5)).astype("float32")
    inputs = {"centers": z[:2, 0], "ignore_class": 255}
    values = losses_of([0, 1, 0, 255], z, **inputs)
    np.testing.assert_allclose(values[:3], losses_of([0, 1, 0], z[:3], **inputs), rtol=1e-6)
    assert values[3] == 0


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch can always raise.")
def test_a_program_that_cannot_raise_makes_losses_without_a_center_nan(rng):
    z, centers = rng.normal(size=(4, 2, 5)).astype("float32"), np.eye(5, dtype="float32")[:2]
    run = compiled(lambda y: balanced_supcon_loss(y, z, centers=centers))
    assert np.isnan(run(np.array([0, 1, 5, 0], "int32"))).all()
    assert np.isfinite(run(np.array([0, 1, 1, 0], "int32"))).all()


def test_a_class_that_is_left_out_by_its_logit_leaves_the_others(rng):
    logits = np.array([[1, 2, -np.inf], [0, 1, -np.inf]], "float32")
    function = functools.partial(logit_adjusted_crossentropy, class_counts=(5, 3, 1))
    two = functools.partial(logit_adjusted_crossentropy, class_counts=(5, 3))
    np.testing.assert_allclose(
        losses_of([0, 1], logits, function), losses_of([0, 1], logits[:, :2], two), rtol=1e-6
    )


def test_probabilities_of_a_softmax_are_as_good_as_logits(rng):
    logits = rng.normal(size=(6, 3)).astype("float32")
    labels = np.arange(6) % 3
    from_logits = losses.LogitAdjustedCrossentropy((9, 3, 1))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    from_shares = losses.LogitAdjustedCrossentropy((9, 3, 1), from_logits=False)
    assert float(from_shares(labels, shares)) == pytest.approx(
        float(from_logits(labels, logits)), rel=1e-5
    )


def test_samples_without_a_label_have_no_cross_entropy():
    values = losses_of(
        [-1, 1], np.ones((2, 3), "float32"), logit_adjusted_crossentropy, class_counts=(1, 2, 3)
    )
    assert values[0] == 0
    assert values[1] == pytest.approx(np.log(3), rel=1e-6)


@pytest.mark.parametrize(
    "counts", [(5,), (5, 0), (5, 1e16), (5, -1), (5, float("nan")), "many", 7, None]
)
def test_sizes_of_classes_are_numbers(counts):
    with pytest.raises(ValueError, match=r"`class_counts` should .* Received: class_counts="):
        losses.LogitAdjustedCrossentropy(counts)


def test_logits_of_other_classes_are_refused():
    loss = losses.LogitAdjustedCrossentropy((5, 2, 1))
    with pytest.raises(ValueError, match=r"`y_pred` should have shape \(batch, 3\), a logit for"):
        loss([0, 1], np.ones((2, 4), "float32"))
    with pytest.raises(ValueError, match="`y_true` should hold"):
        loss([0, 3], np.ones((2, 3), "float32"))
    with pytest.raises(ValueError, match="`y_true` should have as many rows as `y_pred`"):
        loss([0, 1, 2], np.ones((2, 3), "float32"))

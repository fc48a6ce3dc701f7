"""The logistic loss over pairs: a bias, sums over pairs, weights of pairs."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon import NTLogisticLoss
from keras_supcon.losses import ntlogistic_loss
from tests.autodiff import quickest, quickest_value_and_gradient
from tests.covering import every_pair
from tests.losses import double_loop
from tests.losses.test_positives import KINDS, draw, options_of, weights_of
from tests.public_classes import CLASS_IDS

pytestmark = pytest.mark.neutral

# JAX computes in float32.
DTYPE = "float32" if keras.backend.backend() == "jax" else "float64"
SIGLIP = {"temperature": 0.1, "bias": -10.0, "pair_reduction": "sum"}


def loss_of(labels, projections, **options) -> np.ndarray:
    return ops.convert_to_numpy(
        quickest(lambda z: ntlogistic_loss(labels, z, **options))(projections)
    )


def test_the_sum_over_pairs_of_siglip():
    """Of rows that follow a formula; written out in float64 by others."""

    def unit(start):
        z = np.sin(start + 1.7 * np.arange(24)).reshape(6, 4)
        return z / np.linalg.norm(z, axis=1, keepdims=True)

    labels, views = np.array([0, 0, 1, 1, 2, 3]), np.stack([unit(1.0), unit(5.0)], axis=1)
    assert double_loop.ntlogistic(labels, views, **SIGLIP).mean() == pytest.approx(
        28.747177110515608, rel=1e-12
    )
    actual = loss_of(labels, views.astype("float32"), **SIGLIP).mean()
    assert actual == pytest.approx(28.747177110515608, rel=1e-6)


def drawn(rng, kind, views, candidates):
    """Labels, projections and further inputs, for the loss and for the double loop."""
    ids = kind == "class"
    labels = CLASS_IDS[:7] if ids else draw(kind, rng, 7)
    projections = rng.normal(size=(7, views, 4)).astype("float32")
    of_loss, of_loop = {} if ids else options_of(kind), {}
    weights = None if ids else weights_of(kind, labels)
    if candidates in ("keys", "both"):
        of_loss["keys"] = of_loop["keys"] = rng.normal(size=projections.shape).astype("float32")
    if candidates in ("queue", "both"):
        rows = rng.normal(size=(5, 4)).astype("float32")
        queue_labels = np.array([1, 0, -1, 2, 0]) if ids else draw(kind, rng, 5)
        queue_labels[1] = -2  # an empty slot
        of_loss |= {"queue": rows, "queue_labels": queue_labels}
        of_loop |= {"queue": rows, "queue_ids": np.where(np.arange(5) == 1, -2, -1)}
        if ids:
            of_loop["queue_ids"] = queue_labels
        else:
            weights = np.hstack([weights, weights_of(kind, labels, np.maximum(queue_labels, -1))])

    def expected(z, **options):
        if ids:
            return double_loop.ntlogistic(labels, z, **options, **of_loop)
        return double_loop.weighted_ntlogistic(weights, z, **options, **of_loop)

    def actual(z, **options):
        return ntlogistic_loss(labels, z, **options, **of_loss)

    return projections, actual, expected


@every_pair(
    kind=["class", *KINDS],
    pair_reduction=["mean", "sum"],
    bias=[-4.0, 0.0, 1.5],
    views=[1, 2, 3],
    block_size=[None, 4],
    candidates=["batch", "keys", "queue", "both"],
)
def test_values_and_gradients_equal_the_double_loop(
    rng, kind, pair_reduction, bias, views, block_size, candidates
):
    projections, actual, expected = drawn(rng, kind, views, candidates)
    shared = {"temperature": 0.3, "bias": bias, "pair_reduction": pair_reduction}

    def values(z):
        return actual(z, block_size=block_size, **shared)

    np.testing.assert_allclose(
        ops.convert_to_numpy(quickest(values)(projections)),
        expected(projections, **shared),
        rtol=1e-5,
        atol=1e-5,
    )
    _, gradient = quickest_value_and_gradient(lambda z: ops.mean(values(z)), projections)
    np.testing.assert_allclose(
        gradient,
        double_loop.gradient(lambda z: expected(z, **shared), projections),
        rtol=1e-5,
        atol=1e-5,
    )


@every_pair(
    kind=["class", "soft", "hierarchy"],
    pair_reduction=["mean", "sum"],
    normalize=[True, False],
    views=[1, 2],
    block_size=[None, 4],
    candidates=["batch", "keys", "queue", "both"],
)
def test_a_tensor_as_bias_has_the_values_of_the_number_and_a_gradient(
    rng, kind, pair_reduction, normalize, views, block_size, candidates
):
    """Also those of the rows stay the same, in the same call."""
    projections, actual, expected = drawn(rng, kind, views, candidates)
    projections = projections.astype(DTYPE)
    shared = {"temperature": 0.3, "pair_reduction": pair_reduction, "normalize": normalize}
    weights = np.linspace(0.2, 1.0, 7)

    def total(z, bias):
        values = actual(z, bias=bias, block_size=block_size, **shared)
        return ops.sum(ops.convert_to_tensor(weights, values.dtype) * values)

    step = 1e-30
    written_out = np.sum(weights * expected(projections, bias=-1.5 + 1j * step, **shared))
    value, slope = quickest_value_and_gradient(
        lambda bias: total(ops.convert_to_tensor(projections), bias), np.array(-1.5, DTYPE)
    )
    np.testing.assert_allclose(value, written_out.real, rtol=1e-5)
    np.testing.assert_allclose(slope, written_out.imag / step, rtol=1e-5, atol=1e-5)
    by_tensor, by_number = (
        quickest_value_and_gradient(lambda z, bias=bias: total(z, bias), projections)[1]
        for bias in (ops.convert_to_tensor(-1.5, DTYPE), -1.5)
    )
    np.testing.assert_allclose(by_tensor, by_number, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pair_reduction", ["mean", "sum"])
def test_the_gradient_of_the_bias_leaves_out_ignored_samples(rng, pair_reduction):
    projections = rng.normal(size=(9, 2, 4)).astype(DTYPE)
    kept = CLASS_IDS != 1
    options = {"temperature": 0.3, "pair_reduction": pair_reduction}
    results = [
        quickest_value_and_gradient(
            lambda bias, y=y, z=z, more=more: ops.sum(
                ntlogistic_loss(y, z, bias=bias, block_size=4, **options, **more)
            ),
            np.array(-1.5, DTYPE),
        )
        for y, z, more in (
            (CLASS_IDS, projections, {"ignore_class": 1}),
            (CLASS_IDS[kept], projections[kept], {}),
        )
    ]
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5)
    assert abs(results[0][1]) > 0.1


@pytest.mark.parametrize("kind", ["class", "soft"])
def test_tiles_are_visited_once_but_for_those_with_both_kinds_of_pairs(rng, monkeypatch, kind):
    """Six classes that fill a block each: tiles of the diagonal have positives alone, and those
    above it serve for both of their anchors. For weights that are no classes every tile may have
    both, and those of the diagonal have the views of a sample by themselves.
    """
    if keras.backend.backend() == "jax":
        pytest.skip("JAX traces the tiles of a loop once.")
    class_ids, visited, softplus = np.repeat(np.arange(6), 4), [], ops.softplus
    labels = class_ids if kind == "class" else np.eye(6, dtype="float32")[class_ids]
    monkeypatch.setattr(ops, "softplus", lambda x: visited.append(x.shape) or softplus(x))
    projections = rng.normal(size=(24, 1, 4)).astype("float32")
    for bias in (-10.0, ops.convert_to_tensor(-10.0)):
        visited.clear()
        ntlogistic_loss(
            labels, projections, bias=bias, pair_reduction="sum", positives=kind, block_size=4
        )
        assert {tuple(shape) for shape in visited} == {(4, 4)}
        diagonal, once = 6, 6 + 15
        # Those of negatives visit the diagonal as well, where there are none.
        assert len(visited) == diagonal + (once if kind == "class" else 2 * once)


def test_the_sum_is_the_mean_times_the_number_of_pairs(rng):
    """With as many samples of each class: two of three, two views."""
    class_ids, projections = np.arange(6) % 3, rng.normal(size=(6, 2, 4)).astype("float32")
    # At a bias far from 0 one of the two kinds of pairs alone has a loss.
    for bias, count in ((-300.0, 3), (300.0, 8)):
        mean, total = (
            loss_of(class_ids, projections, bias=bias, pair_reduction=reduction)
            for reduction in ("mean", "sum")
        )
        np.testing.assert_allclose(total, count * mean, rtol=1e-5)


def test_far_from_0_the_bias_is_the_loss(rng):
    """A sum of three positives, each `-bias` less its logit; the eight negatives have none."""
    class_ids, projections = np.arange(6) % 3, rng.normal(size=(6, 2, 4)).astype("float32")
    loss = loss_of(class_ids, projections, temperature=1.0, bias=-1e6, pair_reduction="sum")
    np.testing.assert_allclose(loss, 3e6, rtol=2e-6)
    _, slope = quickest_value_and_gradient(
        lambda bias: ops.mean(
            ntlogistic_loss(class_ids, projections, 1.0, bias=bias, pair_reduction="sum")
        ),
        np.array(-1e6, "float32"),
    )
    assert slope == pytest.approx(-3.0, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pair_of_weight_w_counts_w_times_as_a_positive(rng, kind):
    """In the sum the weights themselves count, in the mean their proportions."""
    labels = draw(kind, rng, 7)
    projections = rng.normal(size=(7, 2, 4)).astype("float32")
    weights = weights_of(kind, labels)
    by_reduction = {}
    for reduction in ("mean", "sum"):
        by_reduction[reduction] = [
            loss_of(None, projections, pair_weights=factor * weights, pair_reduction=reduction)
            for factor in (0.25, 1, 4)
        ]
        np.testing.assert_allclose(
            by_reduction[reduction][1],
            loss_of(labels, projections, pair_reduction=reduction, **options_of(kind)),
            rtol=1e-5,
            atol=1e-5,
        )
    low, middle, high = by_reduction["mean"]
    np.testing.assert_allclose([low, high], [middle, middle], rtol=1e-4)
    low, middle, high = by_reduction["sum"]
    np.testing.assert_allclose(high - middle, 4 * (middle - low), rtol=1e-3, atol=1e-4)
    assert np.all(high > middle)


def test_a_pair_of_samples_without_weight_is_a_negative_and_views_never_are(rng):
    """A negative far from 0 in its logit has a loss, a pair that does not count has none."""
    rows = np.array([[[1, 0], [1, 0]], [[1, 0], [1, 0]], [[-1, 0], [-1, 0]]], "float32")
    weights = np.array([[0.0, 0, 2], [0, 0, 1], [0, 1, 0]])
    options = {"temperature": 0.01, "pair_reduction": "sum"}  # logits of 100 and -100
    # The first: two negatives and two positives of weight 2, all 100 on the wrong side. The third:
    # two positives of weight 1; its other two pairs are negatives on the right side.
    np.testing.assert_allclose(
        loss_of(None, rows, pair_weights=weights, **options), [600, 400, 200], rtol=1e-5
    )


@every_pair(kind=KINDS, pair_reduction=["mean", "sum"], candidates=["batch", "queue"])
def test_one_class_a_sample_is_the_loss_of_classes(rng, kind, pair_reduction, candidates):
    class_ids, projections = rng.integers(0, 4, 9), rng.normal(size=(9, 2, 5)).astype("float32")
    shared, queue_labels = {"pair_reduction": pair_reduction, "bias": -2.0}, None
    if candidates == "queue":
        shared["queue"] = rng.normal(size=(4, 5)).astype("float32")
        queue_labels = rng.integers(0, 4, 4)

    def rows(ids):
        return None if ids is None else ids[:, None] if kind == "hierarchy" else np.eye(4)[ids]

    np.testing.assert_allclose(
        loss_of(
            rows(class_ids), projections, positives=kind, queue_labels=rows(queue_labels), **shared
        ),
        loss_of(class_ids, projections, queue_labels=queue_labels, **shared),
        rtol=1e-5,
        atol=1e-6,
    )


def test_a_class_has_the_options_and_its_call_the_matrix(rng):
    labels, projections = draw("soft", rng, 5), rng.normal(size=(5, 2, 4)).astype("float32")
    loss = NTLogisticLoss(positives="soft", bias=-2.0, reduction=None)
    expected = loss_of(labels, projections, positives="soft", bias=-2.0)
    again = NTLogisticLoss.from_config(loss.get_config())
    np.testing.assert_allclose(
        ops.convert_to_numpy(again(labels, projections)), expected, rtol=1e-5
    )
    by_matrix = NTLogisticLoss(bias=-2.0, reduction=None)(
        None, projections, pair_weights=weights_of("soft", labels)
    )
    np.testing.assert_allclose(ops.convert_to_numpy(by_matrix), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bias": "1"}, "`bias` should be a number from -1e15 to 1e15. Received: bias='1'"),
        ({"bias": ops.ones((2,))}, r"a scalar tensor. Received: bias of shape \(2,\)"),
        ({"pair_reduction": "max"}, "`pair_reduction` should be one of .*pair_reduction='max'"),
        ({"positives": "soft", "ignore_class": 1}, "but with positives='class'"),
        ({"level_weights": (1.0,)}, "but with positives='hierarchy'"),
    ],
)
def test_refuses_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        ntlogistic_loss([0, 0], np.ones((2, 2), "float32"), **options)

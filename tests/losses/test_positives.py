"""Labels of every kind: weights of pairs, their losses, and what has no meaning."""

import functools
import json
import warnings

import keras
import numpy as np
import pytest
from keras import ops

import keras_supcon
from keras_supcon import SupConLoss
from keras_supcon.losses import ntlogistic_loss, sincere_loss, supcon_loss
from tests.autodiff import compiled, quickest, quickest_value_and_gradient
from tests.covering import every_pair, name_of
from tests.losses import double_loop

pytestmark = pytest.mark.neutral

SUMMATIONS, DENOMINATORS = ("out", "in"), ("all", "one_positive", "only_negatives")
LEVEL_WEIGHTS = (1.0, 2.0, 0.5)
KINDS = ("multi_label", "any", "overlap", "soft", "hierarchy")


def draw(kind, rng, number) -> np.ndarray:
    """Labels of a kind; those of the last sample but one are unknown."""
    if kind == "hierarchy":
        labels = np.stack([rng.integers(-(n > 2), n, number) for n in (2, 4, 6)], axis=1)
    elif kind == "soft":
        labels = rng.dirichlet([0.3] * 5, number).astype("float32")
    else:
        labels = (rng.random((number, 5)) < 0.35).astype("float32")
    if number > 1:
        labels[-2] = -1 if kind == "hierarchy" else 0
    return labels


def weights_of(kind, labels, others=None) -> np.ndarray:
    """Weights of pairs by their definitions, one after the other."""
    is_same = others is None
    others = labels if is_same else others
    weights = np.zeros((len(labels), len(others)))
    for i, own in enumerate(labels):
        for j, other in enumerate(others):
            common = np.sum((own > 0) & (other > 0))
            sizes = np.sum(own > 0), np.sum(other > 0)
            weights[i, j] = {
                "multi_label": common / max(sum(sizes) - common, 1),
                "any": float(common > 0),
                "overlap": common / max(min(sizes), 1),
                "soft": np.sum(own * other, dtype="float64"),
                "hierarchy": sum(
                    w
                    for w, a, b in zip(LEVEL_WEIGHTS, own, other, strict=False)
                    if a == b and a >= 0
                ),
            }[kind]
            if is_same and i == j and np.all(own == (-1 if kind == "hierarchy" else 0)):
                weights[i, j] = 1  # of no label: own views alone
    return weights


def options_of(kind) -> dict:
    return {"positives": kind, "level_weights": LEVEL_WEIGHTS if kind == "hierarchy" else None}


def loss_of(labels, projections, **options) -> np.ndarray:
    return ops.convert_to_numpy(quickest(lambda z: supcon_loss(labels, z, **options))(projections))


@every_pair(
    kind=KINDS,
    summation=SUMMATIONS,
    denominator=DENOMINATORS,
    views=[1, 2, 3],
    contrast_mode=["all", "one"],
    block_size=[None, 4],
    candidates=["batch", "keys", "queue", "both"],
)
def test_values_and_gradients_equal_the_double_loop(
    rng, kind, summation, denominator, views, contrast_mode, block_size, candidates
):
    labels = draw(kind, rng, 7)
    projections = rng.normal(size=(7, views, 4)).astype("float32")
    weights, given, ours = weights_of(kind, labels), {}, {}
    if candidates in ("keys", "both"):
        given["keys"] = ours["keys"] = rng.normal(size=projections.shape).astype("float32")
    if candidates in ("queue", "both"):
        rows, queue_labels = rng.normal(size=(5, 4)).astype("float32"), draw(kind, rng, 5)
        queue_labels[1] = -2  # an empty slot
        ours |= {"queue": rows, "queue_labels": queue_labels}
        given |= {"queue": rows, "queue_ids": np.where(np.arange(5) == 1, -2, -1)}
        weights = np.hstack([weights, weights_of(kind, labels, np.maximum(queue_labels, -1))])
    shared = {
        "temperature": 0.3,
        "summation": summation,
        "denominator": denominator,
        "contrast_mode": contrast_mode,
    }

    def expected(z):
        return double_loop.weighted_supcon(weights, z, **shared, **given)

    def actual(z):
        return supcon_loss(labels, z, block_size=block_size, **options_of(kind), **shared, **ours)

    np.testing.assert_allclose(
        ops.convert_to_numpy(quickest(actual)(projections)),
        expected(projections),
        rtol=1e-5,
        atol=1e-5,
    )
    _, gradient = quickest_value_and_gradient(lambda z: ops.mean(actual(z)), projections)
    np.testing.assert_allclose(
        gradient, double_loop.gradient(expected, projections), rtol=1e-4, atol=1e-5
    )


@every_pair(kind=KINDS, summation=SUMMATIONS, denominator=DENOMINATORS, queue=[False, True])
def test_a_matrix_of_the_weights_is_the_same_loss(rng, kind, summation, denominator, queue):
    labels = draw(kind, rng, 7)
    projections = rng.normal(size=(7, 2, 4)).astype("float32")
    weights, ours = weights_of(kind, labels), {}
    options = {"summation": summation, "denominator": denominator, "block_size": 4}
    of_matrix = dict(options)
    if queue:
        rows, queue_labels = rng.normal(size=(3, 4)).astype("float32"), draw(kind, rng, 3)
        ours = {"queue": rows, "queue_labels": queue_labels}
        of_matrix["queue"] = rows
        weights = np.hstack([weights, weights_of(kind, labels, queue_labels)])
    np.testing.assert_allclose(
        loss_of(None, projections, pair_weights=weights, **of_matrix),
        loss_of(labels, projections, **options_of(kind), **options, **ours),
        rtol=1e-5,
        atol=1e-6,
    )


@every_pair(
    kind=KINDS, summation=SUMMATIONS, denominator=DENOMINATORS, candidates=["batch", "queue"]
)
def test_one_class_a_sample_is_the_loss_of_classes(rng, kind, summation, denominator, candidates):
    class_ids, projections = rng.integers(0, 4, 9), rng.normal(size=(9, 2, 5)).astype("float32")
    shared, queue_labels = {"summation": summation, "denominator": denominator}, None
    if candidates == "queue":
        shared["queue"] = rng.normal(size=(4, 5)).astype("float32")
        queue_labels = rng.integers(0, 4, 4)
    expected = loss_of(class_ids, projections, queue_labels=queue_labels, **shared)

    def rows(ids):
        return None if ids is None else ids[:, None] if kind == "hierarchy" else np.eye(4)[ids]

    actual = loss_of(
        rows(class_ids), projections, positives=kind, queue_labels=rows(queue_labels), **shared
    )
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_a_function_sees_two_blocks_of_labels(rng):
    ages = rng.uniform(20, 60, 8).astype("float32")
    projections = rng.normal(size=(8, 2, 4)).astype("float32")

    def near(own, other):
        return ops.exp(-ops.square((own - ops.transpose(other)) / 10))

    weights = np.exp(-(((ages[:, None] - ages[None]) / 10) ** 2))
    for block_size in (None, 3):
        np.testing.assert_allclose(
            loss_of(ages, projections, positives=near, block_size=block_size),
            double_loop.weighted_supcon(weights, projections),
            rtol=1e-5,
        )


def test_a_function_need_not_be_symmetric(rng):
    ranks = np.arange(8.0, dtype="float32")
    projections = rng.normal(size=(8, 2, 4)).astype("float32")

    def above(own, other):
        return ops.cast(other[:, 0][None] >= own, "float32")

    weights = (ranks[None] >= ranks[:, None]).astype(float)

    def expected(z):
        return double_loop.weighted_supcon(weights, z)

    for block_size in (None, 3):
        _, gradient = quickest_value_and_gradient(
            lambda z, size=block_size: ops.mean(
                supcon_loss(ranks, z, positives=above, block_size=size)
            ),
            projections,
        )
        np.testing.assert_allclose(
            gradient, double_loop.gradient(expected, projections), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("kind", KINDS)
def test_weights_count_in_proportion(rng, kind):
    """All weights times a factor are the same loss."""
    labels = draw(kind, rng, 7)
    projections = rng.normal(size=(7, 2, 4)).astype("float32")
    weights = weights_of(kind, labels)
    for summation in SUMMATIONS:
        losses = [
            loss_of(None, projections, pair_weights=factor * weights, summation=summation)
            for factor in (1e-6, 1, 1e6)
        ]
        np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
        np.testing.assert_allclose(losses[2], losses[1], rtol=1e-4)


def test_a_sample_without_weight_has_no_loss(rng):
    projections = rng.normal(size=(5, 2, 4)).astype("float32")
    weights = np.ones((5, 5))
    weights[2] = 0
    loss = loss_of(None, projections, pair_weights=weights)
    assert loss[2] == 0
    assert (np.delete(loss, 2) > 0).all()


def value_and_gradient_of(loss, labels, projections, **options):
    value, gradient = quickest_value_and_gradient(
        lambda z: ops.sum(loss(labels, z, positives="soft", **options)), projections
    )
    return float(value), np.asarray(gradient)


@pytest.mark.parametrize("summation", SUMMATIONS)
def test_where_every_pair_has_weight_only_other_rows_in_the_denominator_teach(rng, summation):
    """As with rows of a teacher; without small probabilities there are negatives again."""
    projections = rng.normal(size=(6, 2, 4)).astype("float32")
    smoothed = (0.9 * np.eye(3)[np.arange(6) % 3] + 0.1 / 3).astype("float32")
    clear = np.where(smoothed < 0.2, 0, smoothed)
    clear /= clear.sum(axis=1, keepdims=True)
    for denominator in DENOMINATORS:
        options = {"summation": summation, "denominator": denominator}
        value, gradient = value_and_gradient_of(supcon_loss, smoothed, projections, **options)
        if denominator == "all":
            assert value > 1
            assert np.abs(gradient).max() > 1e-2
        else:
            assert value == 0
            np.testing.assert_array_equal(gradient, 0)
        value, gradient = value_and_gradient_of(supcon_loss, clear, projections, **options)
        assert np.abs(gradient).max() > 1e-2


def test_a_sigmoid_loss_only_attracts_where_every_pair_has_weight(rng):
    """It falls to the positives' least value where all rows are one."""
    projections = rng.normal(size=(6, 2, 4)).astype("float32")
    smoothed = (0.9 * np.eye(3)[np.arange(6) % 3] + 0.1 / 3).astype("float32")
    at_one_point = np.ones_like(projections)
    for labels, attracts_alone in ((smoothed, True), (np.eye(3)[np.arange(6) % 3], False)):
        apart, _ = value_and_gradient_of(ntlogistic_loss, labels, projections, temperature=0.5)
        as_one, _ = value_and_gradient_of(ntlogistic_loss, labels, at_one_point, temperature=0.5)
        least = 6 * np.log1p(np.exp(-2.0))
        if attracts_alone:
            assert as_one == pytest.approx(least, rel=1e-5)
            assert as_one < apart
        else:
            assert as_one == pytest.approx(least + 6 * np.log1p(np.exp(2.0)), rel=1e-5)


def test_low_temperatures_and_far_positives_stay_exact():
    """Exponentials of far positives vanish beside those of near negatives."""
    projections = np.array(
        [[[1, 0], [0.9, 1]], [[-1, 0.1], [-1, 1]], [[1, 0.2], [1, 0]]], "float32"
    )
    weights = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]])
    for summation in SUMMATIONS:
        for denominator in DENOMINATORS:
            options = {"temperature": 0.005, "summation": summation, "denominator": denominator}
            value, gradient = quickest_value_and_gradient(
                lambda z, options=options: ops.mean(
                    supcon_loss(None, z, pair_weights=weights, **options)
                ),
                projections,
            )
            expected = double_loop.weighted_supcon(weights, projections, **options)
            assert value == pytest.approx(expected.mean(), rel=1e-4)
            assert np.isfinite(gradient).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_that_is_not_finite_makes_the_losses_nan(rng, kind):
    labels = draw(kind, rng, 6)
    projections = rng.normal(size=(6, 2, 4)).astype("float32")
    projections[1, 0, 2] = np.nan
    assert np.isnan(loss_of(labels, projections, **options_of(kind))).all()


ONES = np.ones((3, 2, 4), "float32")


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([[1, 0], [0, 2], [1, 1]], {"positives": "multi_label"}, "a 1 for each label"),
        ([[1, 0], [0, -1], [1, 1]], {"positives": "any"}, "a 1 for each label"),
        ([[0.5, 0.4], [0, 1], [1, 0]], {"positives": "soft"}, "sum to 1"),
        ([[1.5, -0.5], [0, 1], [1, 0]], {"positives": "soft"}, "at least 0"),
        ([[np.nan, 1], [0, 1], [1, 0]], {"positives": "soft"}, "sum to 1"),
        ([[0.5], [1], [1]], {"positives": "hierarchy"}, "a class id for each level"),
        ([[-2], [1], [1]], {"positives": "hierarchy"}, "a class id for each level"),
        ([["a"], ["b"], ["a"]], {"positives": "hierarchy"}, "should hold numbers"),
        ([0, 1, 1], {"positives": "hierarchy"}, r"shape \(3, k\)"),
        ([[0], [1]], {"positives": "hierarchy"}, r"shape \(3, k\)"),
        (
            [[0], [1], [1]],
            {"positives": "hierarchy", "level_weights": (1, 2)},
            "each of the 1 levels",
        ),
        (
            [[0], [1], [1]],
            {"positives": "hierarchy", "level_weights": (-1,)},
            "`level_weights` should be a sequence of one or more positive numbers",
        ),
        ([0, 1, 1], {"level_weights": (1,)}, "but with positives='hierarchy'"),
        ([[1], [1], [0]], {"positives": "any", "positives_cap": 2}, "but with positives='class'"),
        ([[1], [1], [0]], {"positives": "any", "ignore_class": 2}, "but with positives='class'"),
        ([[1], [1], [0]], {"positives": "all"}, "`positives` should be one of"),
        (None, {"pair_weights": np.ones((3, 2))}, r"shape \(3, 3\).*shape=\(3, 2\)"),
        (None, {"pair_weights": np.ones(3)}, r"shape \(3, 3\)"),
        (None, {"pair_weights": -np.ones((3, 3))}, "finite weights of at least 0"),
        (None, {"pair_weights": np.full((3, 3), np.inf)}, "finite weights of at least 0"),
        (
            [0, 1, 1],
            {"positives": lambda own, other: own, "queue": np.ones((2, 4), "float32")},
            "`queue_labels` should be given",
        ),
        (
            [0, 1, 1],
            {"positives": lambda own, other: own},
            r"`positives` should return weights \(6, 6\) .* shape \(6, 1\)",
        ),
        ([0, 1, 1], {"positives": lambda own, other: 1.0}, r"weights of shape \(\)"),
        ([0, 1, 1], {"positives": lambda own, other: None}, r"weights of shape \(\)"),
        ([[np.nan], [1], [1]], {"positives": "hierarchy"}, "a class id for each level"),
        ([[1e9], [1], [1]], {"positives": "hierarchy"}, "should hold ids above 2.24 as integers"),
        (
            [[0], [1], [1]],
            {"positives": "hierarchy", "level_weights": (1e300,)},
            "positive numbers from 1e-15 to 1e.15",
        ),
        (None, {"positives": "any"}, "`y_true` should hold labels, .* Received: y_true=None"),
        ([[1], [1, 0], [0]], {"positives": "any"}, "`y_true` should hold numbers"),
        (None, {"pair_weights": [["a"] * 3] * 3}, "`pair_weights` should hold numbers"),
        (None, {"pair_weights": np.full((3, 3), 1e16)}, "at most 1e.15"),
        (
            [0, 1, 1],
            {"pair_weights": np.ones((3, 3)), "ignore_class": 1},
            "`ignore_class` should be",
        ),
        (None, {"pair_weights": np.ones((3, 3)), "positives_cap": 2}, "`positives_cap` should be"),
        (
            None,
            {"pair_weights": np.ones((3, 3)), "self_supervised_class": 2},
            "`self_supervised_class` should be None with `pair_weights`",
        ),
        (
            [[0, 1], [1, 1], [1, 1]],
            {
                "positives": "hierarchy",
                "queue": np.ones((2, 4), "float32"),
                "queue_labels": np.ones((2, 3)),
            },
            "`queue_labels` should have rows of 2, as `y_true`",
        ),
    ],
)
def test_wrong_labels_and_options_are_refused(labels, options, message):
    with pytest.raises(ValueError, match=message):
        supcon_loss(labels, ONES, **options)


BAD_ROWS = {
    "multi_label": [[1, 0], [0, 3], [1, 1]],
    "soft": [[1, 0], [0.7, 0.7], [0, 1]],
    "hierarchy": [[0, 0], [0, -7], [1, 1]],
}


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_a_program_that_cannot_raise_makes_the_losses_of_bad_labels_nan(rng, kind):
    """As on JAX, and by XLA on TensorFlow."""
    if keras.backend.backend() == "torch":
        pytest.skip("PyTorch can always raise.")
    projections = rng.normal(size=(3, 2, 4)).astype("float32")

    def losses(labels):
        return supcon_loss(labels, projections, positives=kind)

    labels = np.array(BAD_ROWS[kind], "int32" if kind != "soft" else "float32")
    assert np.isnan(compiled(losses)(labels)).all()
    good = np.array(labels)
    good[1] = labels[0]
    assert np.isfinite(compiled(losses)(good)).all()


@pytest.mark.parametrize("kind", ["multi_label", "function of floats", "function of ids", "matrix"])
def test_empty_slots_of_a_queue_count_for_nothing(rng, kind):
    projections, queue = rng.normal(size=(4, 2, 3)), rng.normal(size=(3, 3))
    is_float = kind == "function of floats"
    if kind == "multi_label":
        labels, of_queue = draw("multi_label", rng, 4), draw("multi_label", rng, 3)
    else:
        labels = np.array([-5.0, -3.0, 2.0, 1.0]) if is_float else np.array([0, 1, 1, 2])
        of_queue = np.array([-3.0, 1.0, -9.0]) if is_float else np.array([0, 5, 1])
    options = {"positives": kind}
    if "function" in kind:
        options = {
            "positives": lambda a, b: ops.exp(-ops.abs(ops.cast(a - ops.transpose(b), "float32")))
        }
    of_empty = {"queue": np.where([[0], [0], [1]], 1e3, queue), "queue_labels": np.array(of_queue)}
    of_empty["queue_labels"][2] = np.nan if is_float else -2
    of_others = {"queue": queue[:2], "queue_labels": of_queue[:2]}
    if kind == "matrix":
        weights = rng.random((4, 7))
        labels, options = None, {"pair_weights": weights}
        np.testing.assert_allclose(
            loss_of(labels, projections, **options, **of_empty),
            loss_of(labels, projections, pair_weights=weights[:, :6], **of_others),
            rtol=1e-5,
        )
        return
    np.testing.assert_allclose(
        loss_of(labels, projections, **options, **of_empty),
        loss_of(labels, projections, **options, **of_others),
        rtol=1e-5,
    )


@pytest.mark.parametrize("kind", [*KINDS, "matrix"])
def test_an_empty_batch_has_no_losses(rng, kind):
    labels, options = draw("multi_label", rng, 3)[:0], {"positives": kind}
    if kind == "matrix":
        labels, options = None, {"pair_weights": np.zeros((0, 0))}
    assert loss_of(labels, np.zeros((0, 2, 4)), **options).shape == (0,)


@pytest.mark.parametrize("block_size", [None, 4])
@pytest.mark.parametrize("bad", [-0.5, np.nan])
def test_a_bad_weight_of_a_function_makes_the_loss_nan(rng, bad, block_size):
    """Also one of a row alone, and in no tile but one."""

    def weight(own, others):
        is_bad = ops.logical_and(own == 9, ops.transpose(others) == 2)
        return ops.where(is_bad, bad, 1.0)

    labels, projections = np.arange(10), rng.normal(size=(10, 2, 4)).astype("float32")
    values = loss_of(labels, projections, positives=weight, block_size=block_size)
    assert np.isnan(values[9])
    assert np.isfinite(values[:9]).all()


def test_a_class_has_the_options_and_its_call_the_matrix(rng):
    labels, projections = draw("soft", rng, 5), rng.normal(size=(5, 2, 4)).astype("float32")
    loss = SupConLoss(positives="soft", reduction=None)
    copy = keras.losses.deserialize(json.loads(json.dumps(keras.losses.serialize(loss))))
    assert (copy.positives, copy.level_weights) == ("soft", None)
    expected = loss_of(labels, projections, positives="soft")
    np.testing.assert_allclose(ops.convert_to_numpy(copy(labels, projections)), expected, rtol=1e-5)
    matrix = SupConLoss(reduction=None)(None, projections, pair_weights=weights_of("soft", labels))
    np.testing.assert_allclose(ops.convert_to_numpy(matrix), expected, rtol=1e-5)


def test_the_values_of_the_authors_of_sincere_and_of_supcon():
    """Of the same rows, by the public code of both; that of SupCon without its factor."""

    def unit(start):
        z = np.sin(start + 1.7 * np.arange(24)).reshape(6, 4)
        return z / np.linalg.norm(z, axis=1, keepdims=True)

    labels, views = np.array([0, 0, 1, 1, 2, 3]), np.stack([unit(1.0), unit(5.0)], axis=1)
    sincere = ops.convert_to_numpy(sincere_loss(labels, views.astype("float32"), 0.1))
    assert sincere.mean() == pytest.approx(12.1915271, rel=1e-6)
    assert loss_of(labels, views).mean() == pytest.approx(12.563367943994072, rel=1e-6)
    assert loss_of(
        labels[:, None], views.astype("float32"), positives="hierarchy"
    ).mean() == pytest.approx(12.563367943994072, rel=1e-6)


@keras.saving.register_keras_serializable("tests")
def registered(own, others):
    return ops.ones((own.shape[0], others.shape[0]))


@keras.saving.register_keras_serializable("tests")
class Registered:
    def __call__(self, own, others):
        return registered(own, others)

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls()


class NotRegistered:
    def method(self, own, others):
        return registered(own, others)

    def __call__(self, own, others):
        return registered(own, others)


def not_registered(own, others):
    return registered(own, others)


def model_with(positives):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd", SupConLoss(positives=positives))
    return model


@pytest.mark.parametrize("function", [registered, Registered()], ids=["function", "object"])
def test_a_registered_function_is_saved_silently_and_comes_back(tmp_path, function):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model_with(function).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").loss.positives
    assert loaded is function or type(loaded) is type(function)


@pytest.mark.parametrize(
    "function",
    [lambda own, others: registered(own, others), not_registered, NotRegistered().method],
    ids=["lambda", "function", "method"],
)
def test_saving_warns_of_a_function_that_does_not_come_back(tmp_path, function):
    model, path = model_with(function), tmp_path / "model.keras"
    sentence = "`positives` of a `SupConLoss` should be registered by `keras.saving.register_keras"
    with pytest.warns(UserWarning, match=sentence) as caught:
        model.save(path)
    assert {one.filename for one in caught if sentence in str(one.message)} == {__file__}
    with pytest.raises((TypeError, ValueError)):
        keras.saving.load_model(path)
    loaded = keras.saving.load_model(path, compile=False)
    for one, other in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_function_of_a_custom_object_scope_is_silent():
    loss = SupConLoss(positives=not_registered)
    with (
        warnings.catch_warnings(),
        keras.saving.custom_object_scope({"not_registered": not_registered}),
    ):
        warnings.simplefilter("error", UserWarning)
        assert SupConLoss.from_config(loss.get_config()).positives is not_registered


@pytest.mark.parametrize(
    "function",
    [functools.partial(not_registered), NotRegistered()],
    ids=["partial", "object"],
)
def test_saving_refuses_a_function_that_has_no_form_in_a_file(tmp_path, function):
    with pytest.raises(ValueError, match="`positives` of a `SupConLoss` should be registered by"):
        model_with(function).save(tmp_path / "model.keras")


def test_training_needs_no_function_that_can_be_saved(rng):
    labels, rows = rng.integers(0, 3, 8), rng.normal(size=(8, 3)).astype("float32")
    encoder = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model = keras_supcon.ContrastiveModel(encoder, None)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for function in (functools.partial(not_registered), lambda *rows: registered(*rows)):
            model.compile("sgd", SupConLoss(positives=function))
            model.fit(rows, labels[:, None].astype("float32"), batch_size=8, verbose=0)
            assert np.isfinite(model.history.history["loss"][0])


@pytest.mark.parametrize(
    "options",
    [{"positives": kind} for kind in (*KINDS, registered)]
    + [{"positives": "hierarchy", "level_constraint": True}],
    ids=lambda options: "-".join(str(name_of(value)) for value in options.values()),
)
def test_labels_of_none_are_refused(options, rng):
    loss, projections = SupConLoss(**options), rng.normal(size=(4, 2, 3)).astype("float32")
    with pytest.raises(ValueError, match=r"`y_true` should hold labels, .*Received: y_true=None"):
        loss(None, projections)
    if "level_constraint" not in options:  # a matrix takes their place
        assert np.isfinite(float(loss(None, projections, pair_weights=np.ones((4, 4)))))


@pytest.mark.parametrize("labels", ["any", "pair_weights"])
def test_a_long_row_leaves_the_others_their_part_of_the_mean(labels):
    """The second row is at a right angle to the others, and so long that it has no room for them
    in a sum of rows.
    """
    z = np.array([[1, -1], [1e9, 1e9], [1, -1], [0.5, -0.5]], "float32")
    expected = supcon_loss([0] * 4, z, 1.0, normalize=False)
    if labels == "any":
        loss = supcon_loss(np.ones((4, 1)), z, 1.0, normalize=False, positives="any")
    else:
        weights = 1 - np.eye(4)
        loss = supcon_loss(None, z, 1.0, normalize=False, pair_weights=weights)
    np.testing.assert_allclose(
        ops.convert_to_numpy(loss), ops.convert_to_numpy(expected), rtol=1e-6
    )

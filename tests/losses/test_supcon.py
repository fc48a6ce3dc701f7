"""The supervised contrastive loss equals its definition, and refuses what has none."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon import SupConLoss
from keras_supcon.losses import supcon_loss
from tests.autodiff import quickest, quickest_value_and_gradient
from tests.covering import every_pair
from tests.losses import double_loop

pytestmark = pytest.mark.neutral

SUMMATIONS = ("out", "in")
TETRAHEDRON = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], "float32")


def loss_of(class_ids, projections, **options) -> np.ndarray:
    return ops.convert_to_numpy(
        quickest(lambda z: supcon_loss(class_ids, z, **options))(projections)
    )


@every_pair(views=[1, 2, 3, 4], summation=SUMMATIONS, temperature=[0.05, 1.0])
def test_equals_the_double_loop_over_all_pairs(rng, views, summation, temperature):
    class_ids = np.array(
        [0, 1, 0, 2, -1, 1, 0, -1, 3, 5]
    )  # classes of several sizes, two unlabeled samples
    projections = rng.normal(size=(10, views, 6)).astype("float32")
    expected = double_loop.supcon(class_ids, projections, temperature, summation)
    actual = loss_of(class_ids, projections, temperature=temperature, summation=summation)
    assert actual.shape == (10,)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("summation", SUMMATIONS)
def test_regular_tetrahedron_gives_ln_3(summation):
    # Every other row looks the same, so a positive is one of three equal candidates, at any
    # temperature.
    for temperature in (0.1, 1.0):
        loss = loss_of([0, 0, 1, 1], TETRAHEDRON, temperature=temperature, summation=summation)
        np.testing.assert_allclose(loss, np.log(3), rtol=1e-6)


def test_two_perfectly_separated_samples_have_the_closed_form():
    projections = np.array([[[1, 0], [1, 0]], [[-1, 0], [-1, 0]]], "float32")
    np.testing.assert_allclose(
        loss_of([0, 1], projections, temperature=1.0), np.log(1 + 2 * np.exp(-2)), rtol=1e-6
    )


@pytest.mark.parametrize("summation", SUMMATIONS)
def test_permuting_the_batch_permutes_the_loss(rng, summation):
    class_ids, projections = rng.integers(0, 4, 12), rng.normal(size=(12, 2, 5)).astype("float32")
    order = rng.permutation(12)
    loss = loss_of(class_ids, projections, summation=summation)
    np.testing.assert_allclose(
        loss_of(class_ids[order], projections[order], summation=summation), loss[order], rtol=1e-5
    )


def test_names_of_classes_and_order_of_views_do_not_matter(rng):
    class_ids, projections = rng.integers(0, 4, 12), rng.normal(size=(12, 3, 5)).astype("float32")
    loss = loss_of(class_ids, projections)
    np.testing.assert_allclose(
        loss_of(np.array([907, 3, 0, 55])[class_ids], projections), loss, rtol=1e-5
    )
    np.testing.assert_allclose(loss_of(class_ids, projections[:, [2, 0, 1]]), loss, rtol=1e-5)


def test_rotating_and_scaling_the_projections_does_not_matter(rng):
    class_ids, projections = rng.integers(0, 4, 12), rng.normal(size=(12, 2, 5)).astype("float32")
    rotation, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    scales = 10 ** rng.uniform(-3, 3, size=(12, 2, 1))
    moved = (projections @ rotation * scales).astype("float32")
    np.testing.assert_allclose(
        loss_of(class_ids, moved), loss_of(class_ids, projections), rtol=1e-4
    )


def test_inside_is_never_above_outside(rng):
    class_ids, projections = rng.integers(0, 3, 16), rng.normal(size=(16, 2, 5)).astype("float32")
    outside, inside = (
        loss_of(class_ids, projections, summation=summation) for summation in ("out", "in")
    )
    assert np.all(inside <= outside + 1e-5)
    assert np.any(inside < outside - 1e-2)


def test_one_hot_rows_columns_and_ids_are_the_same_labels(rng):
    class_ids, projections = rng.integers(0, 4, 12), rng.normal(size=(12, 2, 5)).astype("float32")
    loss = loss_of(class_ids, projections)
    np.testing.assert_array_equal(loss_of(class_ids[:, None], projections), loss)
    np.testing.assert_array_equal(loss_of(np.eye(4)[class_ids], projections), loss)
    np.testing.assert_array_equal(loss_of(np.eye(4, dtype="int64")[class_ids], projections), loss)


def test_unlabeled_samples_are_classes_of_their_own(rng):
    projections = rng.normal(size=(5, 2, 4)).astype("float32")
    np.testing.assert_allclose(
        loss_of([-1, -1, 0, 0, -1], projections), loss_of([7, 8, 0, 0, 9], projections), rtol=1e-6
    )


def test_anchors_without_a_positive_give_zero(rng):
    projections = rng.normal(size=(4, 5)).astype("float32")
    loss = loss_of([0, 0, 1, 2], projections)
    assert np.all(loss[:2] > 0)
    np.testing.assert_array_equal(loss[2:], 0)
    np.testing.assert_array_equal(loss_of([-1], projections[:1]), [0])


def test_feature_maps_are_not_taken_for_views(rng):
    feature_maps = rng.normal(size=(6, 2, 3, 4)).astype("float32")
    with pytest.raises(ValueError, match=r"global pooling. Received: y_pred.shape=\(6, 2, 3, 4\)"):
        supcon_loss(rng.integers(0, 2, 6), feature_maps)


@pytest.mark.parametrize(
    "labels",
    [["cat", "cat", "dog"], np.array(["cat", "cat", "dog"]), np.array(["a", None, 1], object)],
)
def test_strings_are_refused_with_what_makes_class_ids_of_them(labels):
    with pytest.raises(
        ValueError,
        match=r"`keras.layers.StringLookup\(num_oov_indices=0\)` makes class ids of strings",
    ):
        supcon_loss(labels, np.ones((3, 2), "float32"))


def test_scale_by_temperature_multiplies_by_it(rng):
    class_ids, projections = rng.integers(0, 2, 6), rng.normal(size=(6, 2, 3)).astype("float32")
    scaled = loss_of(class_ids, projections, temperature=0.25, scale_by_temperature=True)
    np.testing.assert_allclose(
        scaled, 0.25 * loss_of(class_ids, projections, temperature=0.25), rtol=1e-6
    )


def test_without_normalization_unit_rows_give_the_same_and_others_do_not(rng):
    class_ids, projections = rng.integers(0, 2, 6), rng.normal(size=(6, 2, 3)).astype("float32")
    unit = projections / np.linalg.norm(projections, axis=-1, keepdims=True)
    loss = loss_of(class_ids, projections)
    np.testing.assert_allclose(loss_of(class_ids, unit, normalize=False), loss, rtol=1e-4)
    assert not np.allclose(loss_of(class_ids, projections, normalize=False), loss, rtol=1e-2)


@every_pair(
    case=[
        "zero rows",
        "identical rows",
        "opposite rows",
        "tiny",
        "huge",
        "one class",
        "all unique",
        "one",
    ],
    summation=SUMMATIONS,
    temperature=[0.01, 0.1],
)
def test_value_and_gradient_are_finite_on_degenerate_batches(rng, case, summation, temperature):
    projections, class_ids = (
        rng.normal(size=(6, 2, 4)).astype("float32"),
        np.array([0, 0, 1, 1, 2, -1]),
    )
    if case == "zero rows":
        projections[1:3] = 0
    elif case == "identical rows":
        projections[:] = projections[0, 0]
    elif case == "opposite rows":
        projections[:, 1] = -projections[:, 0]
    elif case == "tiny":
        projections *= np.float32(1e-20)
    elif case == "huge":
        projections *= np.float32(1e20)
    elif case == "one class":
        class_ids[:] = 3
    elif case == "all unique":
        class_ids = np.arange(6)
    elif case == "one":
        projections, class_ids = projections[:1], class_ids[:1]
    value, gradient = quickest_value_and_gradient(
        lambda z: ops.mean(supcon_loss(class_ids, z, temperature, summation=summation)), projections
    )
    expected = double_loop.supcon(class_ids, projections, temperature, summation).mean()
    np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)
    assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_inputs_are_computed_in_float32(rng, dtype):
    class_ids, projections = rng.integers(0, 3, 8), ops.cast(rng.normal(size=(8, 2, 5)), dtype)
    loss = supcon_loss(class_ids, projections, temperature=0.05)
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    rounded = ops.convert_to_numpy(ops.cast(projections, "float32"))
    np.testing.assert_allclose(
        ops.convert_to_numpy(loss), double_loop.supcon(class_ids, rounded, 0.05, "out"), rtol=1e-4
    )


def test_in_half_precision_class_ids_stay_apart(rng):
    """float16 knows no odd numbers above 2^11."""
    class_ids, projections = (
        np.array([2048, 2049, 2048, 2049]),
        rng.normal(size=(4, 5)).astype("float32"),
    )
    loss = SupConLoss(dtype="float16", reduction=None)
    actual = ops.convert_to_numpy(quickest(lambda z: loss(class_ids, z))(projections))
    np.testing.assert_allclose(actual, loss_of(class_ids, projections), rtol=1e-6)


def test_trains_a_plain_model_whose_output_is_batch_by_dim(digits):
    images, labels = digits[0][:256] / np.float32(255), digits[1][:256]
    model = keras.Sequential(
        [keras.layers.Flatten(), keras.layers.Dense(32, activation="relu"), keras.layers.Dense(8)]
    )
    model.compile(optimizer=keras.optimizers.Adam(1e-2), loss=SupConLoss())
    history = model.fit(images, labels, batch_size=64, epochs=8, verbose=0).history["loss"]
    assert history[-1] < 0.6 * history[0]


@pytest.mark.parametrize("temperature", [0, -1, float("nan"), float("inf"), None, "0.1"])
def test_refuses_a_temperature_that_is_no_positive_number(temperature):
    with pytest.raises(
        ValueError, match=r"`temperature` should be a positive number. Received: temperature="
    ):
        SupConLoss(temperature)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"denominator": "none"},
            r"`denominator` should be one of \('all', 'one_positive', 'only_negatives'\). Received",
        ),
        (
            {"contrast_mode": "first"},
            r"`contrast_mode` should be one of \('all', 'one'\). Received: contrast_mode='first'",
        ),
        (
            {"positives_cap": -1},
            "`positives_cap` should be None or a whole number of at least 0. Received: "
            "positives_cap=-1",
        ),
        ({"positives_cap": 2.0}, "`positives_cap` should be None or a whole number of at least 0"),
        (
            {"block_size": 0},
            "`block_size` should be None or a whole number of at least 1. Received: block_size=0",
        ),
    ],
)
def test_refuses_options_out_of_range(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        SupConLoss(**options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"positives_cap": 3},
            "`positives_cap` should be a multiple of the number of views. Received: "
            "positives_cap=3 for 2",
        ),
        (
            {"queue": np.ones((4, 5))},
            r"`queue` should have shape \(queue, 3\).*Received: queue.shape=\(4, 5\)",
        ),
        (
            {"queue": np.ones((4, 3)), "queue_labels": [1, 2]},
            "`queue_labels` should have as many rows as `queue`. Received",
        ),
        ({"queue_labels": [1, 2]}, "`queue_labels` should be None without a `queue`"),
    ],
)
def test_refuses_what_does_not_fit_the_batch(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        supcon_loss([0, 1], [[[1.0, 0, 0], [0, 1, 0]], [[0, 0, 1], [1, 1, 1]]], **options)


def test_refuses_class_ids_beyond_2_to_the_31():
    for class_ids in (np.array([0, 2**31]), [0, 2**32 + 3], np.array([0, 2**31], "uint32")):
        with pytest.raises(ValueError, match="whole class ids"):
            supcon_loss(class_ids, np.ones((2, 3), "float32"))


def test_an_empty_batch_has_no_losses():
    assert tuple(supcon_loss(np.zeros(0, "int32"), np.zeros((0, 2, 3), "float32")).shape) == (0,)


@pytest.mark.slow
def test_fit_takes_one_hot_rows(rng):
    x, class_ids = rng.normal(size=(12, 3)).astype("float32"), rng.integers(0, 4, 12)
    values = []
    for labels in (class_ids, np.eye(4, dtype="float32")[class_ids]):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
        model.compile(optimizer="sgd", loss=SupConLoss())
        values.append(model.fit(x, labels, verbose=0).history["loss"])
    assert values[0] == values[1]


def test_refuses_an_unknown_summation():
    with pytest.raises(
        ValueError, match=r"`summation` should be one of \('out', 'in'\). Received: summation='sum'"
    ):
        SupConLoss(summation="sum")


@pytest.mark.parametrize(
    ("labels", "projections_shape", "message"),
    [
        (np.zeros(4), (4,), "`y_pred` should have shape"),
        (np.zeros(()), (4, 2), "`y_true` should hold class ids"),
        (np.zeros((4, 2, 2)), (4, 2), "`y_true` should hold class ids"),
        (np.zeros(3), (4, 2), "`y_true` should have as many rows as `y_pred`"),
        (np.eye(3), (4, 2), "`y_true` should have as many rows as `y_pred`"),
        (np.array([[1, 1], [1, 0]]), (2, 2), "one-hot rows"),
        (np.array([[0, 0], [1, 0]]), (2, 2), "one-hot rows"),
        (np.array([[0.5, 0.5], [1, 0]]), (2, 2), "one-hot rows"),
        (np.array([[2, -1], [1, 0]]), (2, 2), "one-hot rows"),
        (np.array([0.5, 1]), (2, 2), r"whole class ids.*Received: y_true=array\(\[0.5, 1"),
        (np.array([-2, 1]), (2, 2), "whole class ids"),
        (np.array([np.nan, 1]), (2, 2), "whole class ids"),
        (np.zeros(2), (2, 0, 3), "at least one view"),
    ],
)
def test_refuses_batches_of_another_form(labels, projections_shape, message):
    with pytest.raises(ValueError, match=message) as caught:
        SupConLoss()(labels, np.ones(projections_shape, "float32"))
    assert "Received: y_" in str(caught.value)

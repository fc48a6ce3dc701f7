"""Laws that hold for all losses."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_supcon
from keras_supcon import losses
from tests.autodiff import (
    compiled_value_and_gradient,
    quickest,
    quickest_value_and_gradient,
    value_and_gradient,
)
from tests.covering import every_value, representatives
from tests.losses import double_loop
from tests.public_classes import CLASS_IDS

pytestmark = pytest.mark.neutral

# The loss, its class with other options than the defaults, and the loss written out in float64.
CASES = {
    "supcon": (
        lambda y, z, **options: losses.supcon_loss(y, z, 0.2, **options),
        keras_supcon.SupConLoss(temperature=0.2),
        lambda y, z: double_loop.supcon(y, z, 0.2),
    ),
    "ntxent": (
        lambda y, z, **options: losses.ntxent_loss(y, z, 0.2, **options),
        keras_supcon.NTXentLoss(temperature=0.2),
        lambda y, z: double_loop.supcon(np.full(len(y), -1), z, 0.2),
    ),
    "ntlogistic": (
        lambda y, z, **options: losses.ntlogistic_loss(y, z, 0.3, **options),
        keras_supcon.NTLogisticLoss(temperature=0.3),
        lambda y, z: double_loop.ntlogistic(y, z, 0.3),
    ),
    "sigmoid": (
        lambda y, z, **options: losses.ntlogistic_loss(
            y, z, 0.3, bias=-1.5, pair_reduction="sum", **options
        ),
        keras_supcon.NTLogisticLoss(temperature=0.3, bias=-1.5, pair_reduction="sum"),
        lambda y, z: double_loop.ntlogistic(y, z, 0.3, bias=-1.5, pair_reduction="sum"),
    ),
    "sincere": (
        lambda y, z, **options: losses.sincere_loss(y, z, 0.3, **options),
        keras_supcon.SINCERELoss(temperature=0.3),
        lambda y, z: double_loop.sincere(y, z, 0.3),
    ),
    "sincere with a margin": (
        lambda y, z, **options: losses.sincere_loss(y, z, 0.3, epsilon=0.7, **options),
        keras_supcon.SINCERELoss(temperature=0.3, epsilon=0.7),
        lambda y, z: double_loop.sincere(y, z, 0.3, 0.7),
    ),
    "balanced": (
        lambda y, z, **options: losses.balanced_supcon_loss(y, z, 0.2, **options),
        keras_supcon.BalancedSupConLoss(temperature=0.2),
        lambda y, z: double_loop.balanced_supcon(y, z, 0.2),
    ),
    "spread": (
        lambda y, z, **options: losses.spread_loss(y, z, 0.3, spread_weight=0.4, **options),
        keras_supcon.SpreadLoss(temperature=0.3, spread_weight=0.4),
        lambda y, z: double_loop.spread(y, z, 0.3, 0.4),
    ),
    "npairs": (
        losses.npairs_loss,
        keras_supcon.NPairsLoss(),
        lambda y, z: double_loop.supcon(y, z, 1.0),
    ),
    "max_margin": (
        lambda y, z, **options: losses.max_margin_loss(y, z, 1.2, **options),
        keras_supcon.MaxMarginLoss(margin=1.2),
        lambda y, z: double_loop.max_margin(y, z, 1.2),
    ),
    **{
        f"triplet {mining}": (
            lambda y, z, mining=mining, **options: losses.triplet_loss(
                y, z, 0.5, mining=mining, **options
            ),
            keras_supcon.TripletLoss(margin=0.5, mining=mining),
            lambda y, z, mining=mining: double_loop.triplet(y, z, 0.5, mining),
        )
        for mining in ("all", "semi_hard", "hard")
    },
}
every_loss = pytest.mark.parametrize("name", list(CASES))
# They refuse a single view, see `test_spread.py`.
OF_SEVERAL_VIEWS = ("spread",)


def losses_of(function, class_ids, projections, **options) -> np.ndarray:
    """Returns the loss of each sample."""
    return ops.convert_to_numpy(quickest(lambda z: function(class_ids, z, **options))(projections))


@pytest.mark.slow
@every_value(name=list(CASES), views=[1, 2, 3])
def test_equals_the_double_loop_in_value_and_gradient(rng, name, views):
    function, _, reference = CASES[name]
    views = 4 if views == 1 and name in OF_SEVERAL_VIEWS else views
    projections = rng.normal(size=(9, views, 4)).astype("float32")
    expected = reference(CLASS_IDS, projections)
    expected_gradient = double_loop.gradient(lambda z: reference(CLASS_IDS, z), projections)
    per_sample = losses_of(function, CLASS_IDS, projections)
    np.testing.assert_allclose(per_sample, expected, rtol=1e-5, atol=2e-6)
    # In one tile, and in several of which the last is not full; the latter on TensorFlow also as
    # one program.
    runs = {(quickest_value_and_gradient, None), (quickest_value_and_gradient, 4)}
    if keras.backend.backend() == "tensorflow":
        runs.add((compiled_value_and_gradient, 4))
    for run, block_size in runs:
        value, gradient = run(
            lambda z, block_size=block_size: ops.mean(
                function(CLASS_IDS, z, block_size=block_size)
            ),
            projections,
        )
        np.testing.assert_allclose(value, expected.mean(), rtol=1e-5, atol=1e-6)
        scale = max(np.abs(expected_gradient).max(), 1e-2)
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-5, atol=1e-5 * scale)


@every_loss
def test_every_option_of_the_class_reaches_the_function(rng, name):
    """`tests/package/test_every_class.py` checks that they are kept."""
    function, loss, _ = CASES[name]
    projections = rng.normal(size=(9, 2, 4)).astype("float32")
    np.testing.assert_allclose(
        float(loss(CLASS_IDS, projections)),
        losses_of(function, CLASS_IDS, projections).mean(),
        rtol=1e-5,
    )
    raw = type(loss).from_config(
        {**loss.get_config(), "normalize": False, "block_size": 4, "reduction": None}
    )
    expected = losses_of(function, CLASS_IDS, projections, normalize=False, block_size=4)
    np.testing.assert_allclose(
        ops.convert_to_numpy(raw(CLASS_IDS, projections)), expected, rtol=1e-6
    )


@every_loss
def test_half_precision_rows_are_computed_in_float32(rng, name):
    function = CASES[name][0]
    projections = ops.cast(rng.normal(size=(9, 2, 4)), "bfloat16")
    values = function(CLASS_IDS, projections)
    assert keras.backend.standardize_dtype(values.dtype) == "float32"
    rounded = function(CLASS_IDS, ops.cast(projections, "float32"))
    np.testing.assert_array_equal(ops.convert_to_numpy(values), ops.convert_to_numpy(rounded))


@pytest.mark.parametrize("name", [name for name in CASES if name not in OF_SEVERAL_VIEWS])
def test_samples_without_a_positive_give_zero_and_no_gradient_of_their_own(rng, name):
    function = CASES[name][0]
    projections = rng.normal(size=(9, 1, 4)).astype("float32")
    np.testing.assert_array_equal(losses_of(function, np.arange(9), projections), 0)
    np.testing.assert_array_equal(losses_of(function, np.full(9, -1), projections), 0)
    _, gradient = quickest_value_and_gradient(
        lambda z: ops.sum(function(np.arange(9), z)), projections
    )
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.slow
@every_value(name=list(CASES), block_size=[None, 4])
def test_a_row_that_is_not_finite_makes_all_losses_and_gradients_nan(rng, name, block_size):
    """Comparisons with NaN are False: masks, maxima and sorts would lose it, and `TerminateOnNaN`
    would not fire.
    """
    function, _, _ = CASES[name]
    step = quickest(lambda z: function(CLASS_IDS, z, block_size=block_size))
    for value in (np.nan, np.inf, -np.inf):
        # One number of a row with positives, the only row of a class, and all.
        for rows, columns in ((0, 0), (3, slice(None)), (slice(None), slice(None))):
            projections = rng.normal(size=(9, 2, 4)).astype("float32")
            projections[rows, 1, columns] = value
            assert np.all(np.isnan(ops.convert_to_numpy(step(projections))))
    projections = rng.normal(size=(9, 2, 4)).astype("float32")
    projections[0, 0, 0] = np.nan
    value, gradient = quickest_value_and_gradient(
        lambda z: ops.mean(function(CLASS_IDS, z, block_size=block_size)), projections
    )
    assert np.isnan(value)
    assert np.all(np.isnan(gradient))


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [0, 2, 1, 3]])
def test_a_negative_as_far_as_the_positive_is_not_semi_hard(order):
    """The positive and a negative are at squared distance 1, the negative that is farther at 4: 1 -
    4 + 1 is below 0.
    """
    rows = np.array([[0, 0], [1, 0], [0, 1], [0, -2]], "float32")
    class_ids = np.array([0, 0, 1, 2])
    loss = losses.triplet_loss(
        class_ids[order], rows[order], 1.0, mining="semi_hard", normalize=False
    )
    assert float(loss[0]) == 0


@every_loss
def test_an_empty_batch_has_no_losses_and_no_gradient(name):
    function = CASES[name][0]
    value, gradient = value_and_gradient(
        lambda z: ops.sum(function(np.zeros(0, "int32"), z)), np.zeros((0, 2, 3), "float32")
    )
    assert value == 0
    assert gradient.shape == (0, 2, 3)


@pytest.mark.parametrize("name", ["supcon", "triplet all"])
@pytest.mark.parametrize("reduction", ["sum", "sum_over_batch_size", "mean_with_sample_weight"])
@pytest.mark.parametrize("weights", [None, np.ones(0, "float32")])
def test_the_loss_of_an_empty_batch_is_0(name, reduction, weights):
    """Such as that of a replica in an eager step, for which a short last batch leaves nothing."""
    loss = CASES[name][1]
    loss = type(loss).from_config({**loss.get_config(), "reduction": reduction})
    value = loss(np.zeros(0, "int32"), np.zeros((0, 2, 3), "float32"), weights)
    assert ops.convert_to_numpy(value) == 0
    assert value.shape == ()


@every_loss
def test_permuting_the_batch_permutes_the_loss(rng, name):
    function = CASES[name][0]
    projections, order = rng.normal(size=(9, 2, 4)).astype("float32"), rng.permutation(9)
    moved = losses_of(function, CLASS_IDS[order], projections[order])
    np.testing.assert_allclose(
        moved, losses_of(function, CLASS_IDS, projections)[order], rtol=1e-5, atol=1e-6
    )


@representatives(
    "name",
    ["supcon", "max_margin", "triplet hard"],  # NT-Xent ignores labels
    ["ntlogistic", "npairs", "triplet all", "triplet semi_hard"],
)
def test_class_ids_up_to_2_to_the_31_stay_apart_and_together(rng, name):
    """float32 knows no odd numbers above 2^24."""
    function, loss, _ = CASES[name]
    projections = rng.normal(size=(9, 1, 4)).astype("float32")
    small = np.array([0, 1, 2, 3, 0, 1, 2, 3, 3])
    for first in (2**24, 2**31 - 5):
        large = (first + small).astype("int64")
        np.testing.assert_array_equal(
            losses_of(function, large, projections), losses_of(function, small, projections)
        )
        assert float(loss(large, projections)) == float(loss(small, projections))
        assert float(loss(large, projections)) != float(loss(small // 2, projections))


def test_class_ids_above_2_to_the_24_stay_apart_in_fit(rng):
    """The labels on their way through `fit`, not only in the loss."""
    x = rng.normal(size=(8, 3)).astype("float32")
    small = np.array([0, 1, 2, 3, 0, 1, 2, 3])
    values = []
    for class_ids in (small, 2**24 + small, small // 2):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
        model.compile(optimizer="sgd", loss=keras_supcon.SupConLoss())
        values.append(model.evaluate(x, class_ids.astype("int64"), verbose=0))
    assert values[0] == values[1]
    assert values[0] != values[2]


@every_loss
def test_refuses_multi_hot_rows_and_labels_of_another_length(name):
    loss = CASES[name][1]
    if name == "ntxent":
        assert (
            float(loss(np.array([[1, 1], [1, 0]]), np.ones((2, 2), "float32"))) == 0
        )  # labels are ignored
        return
    with pytest.raises(ValueError, match=r"one-hot rows.*Multi-hot.*Received: y_true="):
        loss(np.array([[1, 1], [1, 0]]), np.ones((2, 2), "float32"))
    with pytest.raises(
        ValueError,
        match=r"`y_true` should have as many rows as `y_pred`. Received: y_true.shape=\(3,\)",
    ):
        loss(np.zeros(3), np.ones((2, 2), "float32"))


@every_loss
def test_refuses_labels_of_none_unless_it_ignores_labels(name):
    loss, projections = CASES[name][1], np.ones((2, 2, 2), "float32")
    if not loss.uses_labels:
        assert np.isfinite(float(loss(None, projections)))
        return
    with pytest.raises(ValueError, match=r"`y_true` should hold labels, .*Received: y_true=None"):
        loss(None, projections)


def test_logit_adjusted_crossentropy_refuses_labels_of_none():
    with pytest.raises(ValueError, match=r"`y_true` should hold labels, .*Received: y_true=None"):
        losses.LogitAdjustedCrossentropy((1, 2))(None, np.ones((2, 2), "float32"))


OF_SAMPLES = {name: (case[1], np.arange(4) % 2, (4, 2, 3)) for name, case in CASES.items()}
OF_SAMPLES |= {
    "logit adjusted": (losses.LogitAdjustedCrossentropy((1, 2)), np.arange(4) % 2, (4, 2)),
    "cosine": (losses.NegativeCosineLoss(), np.eye(4, 3, dtype="float32"), (4, 3)),
    "relations": (losses.RelationDistillationLoss(), np.eye(4, 3, dtype="float32"), (4, 3)),
}


@pytest.mark.parametrize("name", OF_SAMPLES)
def test_refuses_weights_that_are_not_one_a_sample(rng, name):
    loss, y_true, shape = OF_SAMPLES[name]
    y_pred = rng.normal(size=shape).astype("float32")
    for wrong in ((3,), (5,), (0,), (4, 4), (3, 1), (4, 1, 1)):
        for weights in (np.ones(wrong, "float32"), ops.ones(wrong)):
            with pytest.raises(ValueError, match=r"`sample_weight` should have shape \(4,\)"):
                loss(y_true, y_pred, sample_weight=weights)
    weights = np.array([1.0, 2.0, 0.0, 3.0], "float32")
    expected = float(loss(y_true, y_pred, sample_weight=weights))
    for same in (weights[:, None], [1.0, 2.0, 0.0, 3.0], ops.convert_to_tensor(weights)):
        assert float(loss(y_true, y_pred, sample_weight=same)) == pytest.approx(expected, rel=1e-6)
    plain = float(loss(y_true, y_pred))
    for factor in (2.0, np.float32(2), [2.0], np.full((1, 1), 2.0, "float32")):
        doubled = float(loss(y_true, y_pred, sample_weight=factor))
        assert doubled == pytest.approx(2 * plain, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: keras_supcon.NTXentLoss(temperature=0),
            "`temperature` should be a positive number. Received: temperature=0",
        ),
        (
            lambda: keras_supcon.NTLogisticLoss(temperature=-1),
            "`temperature` should be a positive number",
        ),
        (
            lambda: keras_supcon.NTLogisticLoss(bias=float("inf")),
            "`bias` should be a number from -1e15 to 1e15. Received: bias=inf",
        ),
        (
            lambda: keras_supcon.NTLogisticLoss(bias=ops.ones(())),
            "`bias` should be a number from -1e15 to 1e15. Received: bias=",
        ),
        (
            lambda: keras_supcon.MaxMarginLoss(margin=0),
            "`margin` should be a positive number. Received: margin=0",
        ),
        (
            lambda: keras_supcon.TripletLoss(margin=-0.1),
            "`margin` should be a number of at least 0. Received: margin=-0.1",
        ),
        (
            lambda: keras_supcon.TripletLoss(margin=float("nan")),
            "`margin` should be a number of at least 0",
        ),
        (
            lambda: keras_supcon.TripletLoss(mining="easy"),
            r"`mining` should be one of .*Received: mining='easy'",
        ),
        (
            lambda: keras_supcon.NPairsLoss(block_size=0),
            "`block_size` should be None or a whole number of at least 1",
        ),
        (
            lambda: keras_supcon.NPairsLoss(block_size=2.5),
            "`block_size` should be None or a whole number of at least 1",
        ),
    ],
)
def test_refuses_arguments_out_of_range(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()

"""SupCon and NT-Xent of each class by itself, in one loss."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

import keras_supcon
from keras_supcon import losses
from keras_supcon.losses import ntxent_loss, spread_loss, supcon_loss
from tests.autodiff import compiled_value_and_gradient, quickest, quickest_value_and_gradient
from tests.covering import every_pair, every_value
from tests.losses import double_loop
from tests.losses.test_keys_and_queue import LOGITS, batch_of, check
from tests.public_classes import CLASS_IDS

pytestmark = pytest.mark.neutral

covering = every_value if keras.backend.backend() == "jax" else every_pair


@pytest.mark.slow
@covering(
    spread_weight=[0.3, 1.0],
    denominator=["all", "one_positive"],
    contrast_mode=["all", "one"],
    views=[1, 2, 3],
    candidates=["batch", "queue", "keys", "keys and queue", "own keys and queue"],
    logits=LOGITS,
    block_size=[None, 5],
    trainable_keys=[False, True],
)
def test_every_option_equals_the_double_loop_in_value_and_gradient(
    rng,
    spread_weight,
    denominator,
    contrast_mode,
    views,
    candidates,
    logits,
    block_size,
    trainable_keys,
):
    has_keys, own_keys_only = "keys" in candidates, candidates == "own keys and queue"
    options = {
        "spread_weight": spread_weight,
        "denominator": denominator,
        "contrast_mode": contrast_mode,
        **logits,
    }
    # Many tiles as one program on TensorFlow, one step by step.
    run = quickest_value_and_gradient if block_size is None else compiled_value_and_gradient
    if not has_keys:
        views = max(views, 2)
    z, inputs, expected = batch_of(rng, views, has_keys, "queue" in candidates)
    check(
        functools.partial(
            spread_loss, in_batch_keys=not own_keys_only, block_size=block_size, **options
        ),
        functools.partial(double_loop.spread, own_keys_only=own_keys_only, **options),
        z,
        {**inputs, **({"trainable_keys": trainable_keys} if has_keys else {})},
        expected,
        run,
    )


def values_of(function, *inputs, **options) -> np.ndarray:
    *labels, z = inputs
    return ops.convert_to_numpy(quickest(lambda z: function(*labels, z, **options))(z))


def both(function, z) -> tuple[np.ndarray, np.ndarray]:
    """Values of the samples, and the gradient of a weighted sum of them."""
    weights = np.linspace(0.5, 1.5, len(z)).astype("float32")
    _, gradient = quickest_value_and_gradient(
        lambda z: ops.sum(function(z) * ops.convert_to_tensor(weights)), z
    )
    return ops.convert_to_numpy(quickest(function)(z)), gradient


def assert_same(actual, expected):
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize("denominator", ["all", "one_positive"])
@pytest.mark.parametrize("views", [1, 2])
def test_of_weight_0_it_is_supcon(rng, denominator, views):
    z = rng.normal(size=(9, views, 4)).astype("float32")
    options = {"denominator": denominator, "temperature": 0.2}
    assert_same(
        both(lambda z: spread_loss(CLASS_IDS, z, spread_weight=0, **options), z),
        both(lambda z: supcon_loss(CLASS_IDS, z, **options), z),
    )


@pytest.mark.parametrize("views", [2, 3])
@pytest.mark.parametrize("temperature", [0.2, 0.015])
def test_of_weight_1_it_is_ntxent_of_each_class_by_itself(rng, views, temperature):
    z = rng.normal(size=(9, views, 4)).astype("float32")
    # An unlabeled sample is a class of its own.
    groups = np.where(CLASS_IDS < 0, 100 + np.arange(9), CLASS_IDS)
    classes = [np.flatnonzero(groups == one) for one in np.unique(groups)]
    assert sorted(map(len, classes))[0] == 1
    order = np.argsort(np.concatenate(classes))

    def of_classes(z):
        values = [ntxent_loss(None, ops.take(z, rows, axis=0), temperature) for rows in classes]
        return ops.take(ops.concatenate(values), order)

    assert_same(
        both(lambda z: spread_loss(CLASS_IDS, z, temperature, spread_weight=1.0), z),
        both(of_classes, z),
    )


def test_of_keys_and_a_queue_it_is_ntxent_of_each_class_too(rng):
    """The candidates are then the keys and the slots of the class."""
    z, keys = rng.normal(size=(2, 6, 4)).astype("float32")
    queue, ids = rng.normal(size=(5, 4)).astype("float32"), np.array([0, 1, 0, 1, 0, 1])
    slots = np.array([1, 0, -1, 1, -2])
    values = values_of(
        spread_loss, ids, z, spread_weight=1.0, keys=keys, queue=queue, queue_labels=slots
    )
    for one in (0, 1):
        expected = ntxent_loss(
            None, z[ids == one], keys=keys[ids == one], queue=queue[slots == one]
        )
        np.testing.assert_allclose(values[ids == one], ops.convert_to_numpy(expected), rtol=1e-5)


def test_a_sample_alone_in_its_class_has_supcon_alone(rng):
    """Of two views the other one is the only row of the class: log 1."""
    z = rng.normal(size=(5, 2, 4)).astype("float32")
    for ids in (np.arange(5), np.full(5, -1)):
        values = values_of(spread_loss, ids, z, spread_weight=1.0)
        np.testing.assert_allclose(values, 0, atol=2e-6)
        half = values_of(spread_loss, ids, z, spread_weight=0.5)
        np.testing.assert_allclose(half, values_of(supcon_loss, ids, z) / 2, rtol=1e-5)


def test_a_batch_of_one_class_has_no_supcon_of_one_positive(rng):
    z = rng.normal(size=(5, 2, 4)).astype("float32")
    value, gradient = quickest_value_and_gradient(
        lambda z: ops.mean(
            spread_loss(np.zeros(5), z, spread_weight=0.25, denominator="one_positive")
        ),
        z,
    )
    expected, expected_gradient = quickest_value_and_gradient(
        lambda z: ops.mean(ntxent_loss(None, z)), z
    )
    assert value == pytest.approx(0.25 * expected, rel=1e-5)
    np.testing.assert_allclose(gradient, 0.25 * expected_gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("samples", [2, 3])
def test_a_collapsed_class_is_best_for_supcon_and_at_chance_for_the_second_term(samples):
    """Two classes at opposite points; samples of a class that move apart, its views together, make
    SupCon higher and the second term lower.
    """
    ids = np.repeat([0, 1], samples)
    axis = np.where(ids == 0, 1.0, -1.0)[:, None] * np.eye(2 * samples + 1)[0]
    apart = axis + 0.3 * np.eye(2 * samples + 1)[1:]
    terms = []
    for rows in (axis, apart):
        z = np.stack([rows, rows], axis=1).astype("float32")
        terms.append(
            [values_of(spread_loss, ids, z, 0.5, spread_weight=w).mean() for w in (0.0, 1.0)]
        )
    (collapsed, chance), (moved, spread) = terms
    assert chance == pytest.approx(np.log(2 * samples - 1), rel=1e-6)
    assert moved > collapsed + 1e-3
    assert spread < chance - 1e-2


def unit(start: float) -> np.ndarray:
    z = np.sin(start + 1.7 * np.arange(24)).reshape(6, 4)
    return (z / np.linalg.norm(z, axis=1, keepdims=True)).astype("float32")


def test_values_of_the_golden_rows():
    """Computed by loops in float64; that of SupCon by the public code of its authors too."""
    labels, views = np.array([0, 0, 1, 1, 2, 3]), np.stack([unit(1.0), unit(5.0)], axis=1)
    supcon, second = 12.563367943994072, 10.424864497433667
    for weight in (0.0, 0.25, 1.0):
        loss = keras_supcon.SpreadLoss(0.1, spread_weight=weight)
        expected = (1 - weight) * supcon + weight * second
        assert float(loss(labels, views)) == pytest.approx(expected, rel=1e-6)


def authors_formula(labels, views, temperature, weights, all_in_denominator) -> float:
    """The loss of the authors' code in float64, without its limit on logits: each view against
    each earlier one, where the row in the own place is a positive as well.
    """
    of_supcon, of_spread = weights
    terms = []
    for later in range(views.shape[1]):
        for earlier in range(later):
            s = views[:, later] @ views[:, earlier].T / temperature
            for i, label in enumerate(labels):
                is_own = np.arange(len(labels)) == i
                same = is_own if label < 0 else labels == label
                others = np.exp(s[i][~same]).sum()
                in_class = np.exp(s[i][same]).sum()
                denominators = others + (in_class if all_in_denominator else np.exp(s[i][same]))
                supcon = np.mean(np.log(denominators) - s[i][same])
                spread = np.log(in_class) - s[i][i]
                terms.append((of_supcon * supcon + of_spread * spread) / (of_supcon + of_spread))
    return np.mean(terms)


@pytest.mark.parametrize("weights", [(1.0, 1.0), (1.0, 3.0), (0.0, 1.0)])
@pytest.mark.parametrize("denominator", ["all", "one_positive"])
@pytest.mark.parametrize("views", [2, 3])
def test_equals_the_formula_of_the_authors_code_with_earlier_views_as_keys(
    rng, weights, denominator, views
):
    """Factor 1. Their weights are two numbers of any sum."""
    z = rng.normal(size=(9, views, 4)).astype("float32")
    rows = z.astype("float64") / np.linalg.norm(z.astype("float64"), axis=-1, keepdims=True)
    loss = functools.partial(
        keras_supcon.SpreadLoss(
            0.5,
            spread_weight=weights[1] / sum(weights),
            denominator=denominator,
            trainable_keys=True,
        ),
        CLASS_IDS,
    )
    pairs = [(later, earlier) for later in range(views) for earlier in range(later)]
    values = [float(loss(z[:, later], keys=z[:, earlier])) for later, earlier in pairs]
    expected = authors_formula(CLASS_IDS, rows, 0.5, weights, denominator == "all")
    assert np.mean(values) == pytest.approx(expected, rel=1e-5)


def test_a_single_view_without_keys_is_refused(rng):
    sentence = (
        "`y_pred` should have two views of each sample or more, or `keys`, unless `spread_weight` "
        "is 0. Received: y_pred of 1 view, spread_weight=0.5"
    )
    z = rng.normal(size=(4, 3)).astype("float32")
    loss, labels = keras_supcon.SpreadLoss(), [0, 0, 1, 1]
    for rows in (z, z[:, None]):
        with pytest.raises(ValueError, match=sentence):
            spread_loss(labels, rows)
        with pytest.raises(ValueError, match=sentence):
            loss(labels, rows, queue=z)
    assert float(loss(labels, z, spread_weight=0)) > 0
    assert float(loss(labels, z, keys=z[::-1].copy())) > 0


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan"), "half", True])
def test_refuses_a_weight_that_is_no_share(weight):
    with pytest.raises(ValueError, match="`spread_weight` should be between 0 and 1. Received: sp"):
        keras_supcon.SpreadLoss(spread_weight=weight)


def test_refuses_the_denominator_without_a_bound():
    with pytest.raises(ValueError, match="`denominator` should be one of .* Received: den"):
        keras_supcon.SpreadLoss(denominator="only_negatives")


def compiled_model(**options):
    keras.utils.set_random_seed(1)
    encoder = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, activation="tanh")])
    head = keras_supcon.ProjectionHead(4, hidden_units=())
    model = keras_supcon.ContrastiveModel(encoder, head, **options)
    model.compile(keras.optimizers.SGD(0.05), losses.SpreadLoss(0.5))
    return model


def test_a_model_trains_with_it_and_in_micro_batches_the_same(rng):
    x, y = rng.normal(size=(16, 2, 6)).astype("float32"), np.arange(16) % 3
    histories = [
        compiled_model(micro_batch_size=size)
        .fit(x, y, batch_size=16, epochs=5, shuffle=False, verbose=0)
        .history["loss"]
        for size in (None, 4)
    ]
    np.testing.assert_allclose(*histories, rtol=1e-4)
    assert histories[0][-1] < histories[0][0]


def test_a_model_makes_the_views_that_it_needs(rng):
    x, y = rng.normal(size=(8, 6)).astype("float32"), np.arange(8) % 3
    model = compiled_model(num_views=2)
    model.fit(x, y, batch_size=8, epochs=1, verbose=0)
    value = model.evaluate(x, y, batch_size=8, verbose=0)
    views = np.repeat(model.predict(x, verbose=0), 2, axis=1)
    assert value == pytest.approx(float(losses.SpreadLoss(0.5)(y, views)), rel=1e-5)


def test_a_model_with_a_single_view_is_refused_before_it_trains(rng):
    x, y = rng.normal(size=(8, 6)).astype("float32"), np.arange(8) % 3
    model, sentence = compiled_model(num_views=1), "`y_pred` should have two views of each sample"
    with pytest.raises(ValueError, match=sentence):
        model.fit(x, y, batch_size=8, verbose=0)
    assert int(model.optimizer.iterations) == 0
    model = compiled_model(num_views=2, augment_in_evaluation=False)
    with pytest.raises(ValueError, match=sentence):
        model.evaluate(x, y, batch_size=8, verbose=0)


def test_a_model_comes_back_from_a_file_with_it(rng, tmp_path):
    x, y = rng.normal(size=(8, 2, 6)).astype("float32"), np.arange(8) % 3
    model = compiled_model()
    before = model.evaluate(x, y, batch_size=8, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.evaluate(x, y, batch_size=8, verbose=0) == pytest.approx(before, rel=1e-6)

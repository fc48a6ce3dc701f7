"""Keys of another encoder and a queue, given when a loss is called: the candidates of an anchor are
all keys and the queue, the key in its own place is a positive, and the queue takes no gradient,
nor do keys unless they are trainable.
"""

import functools

import keras
import numpy as np
import pytest
from keras import ops

import keras_supcon
from keras_supcon import losses
from tests.autodiff import compiled_value_and_gradient, quickest, quickest_value_and_gradient
from tests.covering import every_pair, every_value
from tests.losses import double_loop

pytestmark = pytest.mark.neutral

CLASS_IDS = np.array([0, 1, 0, 2, -1, 1, 0])
QUEUE_IDS = np.array([1, -2, 5, -1, 0, 2, -7, 2])
# The function, the loss written out, and its class.
LOSSES = {
    "supcon": (
        functools.partial(losses.supcon_loss, temperature=0.2),
        functools.partial(double_loop.supcon, temperature=0.2),
        keras_supcon.SupConLoss(temperature=0.2),
    ),
    "ntxent": (
        functools.partial(losses.ntxent_loss, temperature=0.2),
        lambda class_ids, projections, **inputs: double_loop.ntxent(
            projections, 0.2, **_without_classes(inputs)
        ),
        keras_supcon.NTXentLoss(temperature=0.2),
    ),
    "ntlogistic": (
        functools.partial(losses.ntlogistic_loss, temperature=0.3),
        functools.partial(double_loop.ntlogistic, temperature=0.3),
        keras_supcon.NTLogisticLoss(temperature=0.3),
    ),
    "balanced": (
        functools.partial(losses.balanced_supcon_loss, temperature=0.2),
        functools.partial(double_loop.balanced_supcon, temperature=0.2),
        keras_supcon.BalancedSupConLoss(temperature=0.2),
    ),
    "spread": (
        functools.partial(losses.spread_loss, temperature=0.3, spread_weight=0.7),
        functools.partial(double_loop.spread, temperature=0.3, spread_weight=0.7),
        keras_supcon.SpreadLoss(temperature=0.3, spread_weight=0.7),
    ),
    "sigmoid": (
        functools.partial(losses.ntlogistic_loss, temperature=0.3, bias=-2.0, pair_reduction="sum"),
        functools.partial(double_loop.ntlogistic, temperature=0.3, bias=-2.0, pair_reduction="sum"),
        keras_supcon.NTLogisticLoss(temperature=0.3, bias=-2.0, pair_reduction="sum"),
    ),
    "npairs": (
        losses.npairs_loss,
        functools.partial(double_loop.supcon, temperature=1.0),
        keras_supcon.NPairsLoss(),
    ),
    "max_margin": (
        functools.partial(losses.max_margin_loss, margin=1.2),
        functools.partial(double_loop.max_margin, margin=1.2),
        keras_supcon.MaxMarginLoss(margin=1.2),
    ),
    **{
        f"triplet {mining}": (
            functools.partial(losses.triplet_loss, margin=0.5, mining=mining),
            functools.partial(double_loop.triplet, margin=0.5, mining=mining),
            keras_supcon.TripletLoss(margin=0.5, mining=mining),
        )
        for mining in ("all", "semi_hard", "hard")
    },
}


def _without_classes(inputs):
    if inputs.get("queue_ids") is not None:
        inputs = {**inputs, "queue_ids": np.minimum(inputs["queue_ids"], -1)}
    return inputs


def batch_of(rng, views, has_keys, has_queue, dim=4):
    """Projections, and the other inputs as a loss and as the double loop take them."""
    z = rng.normal(size=(len(CLASS_IDS), views, dim)).astype("float32")
    inputs, expected = {}, {}
    if has_keys:
        inputs["keys"] = expected["keys"] = rng.normal(size=z.shape).astype("float32")
    if has_queue:
        queue = rng.normal(size=(len(QUEUE_IDS), dim)).astype("float32")
        inputs |= {"queue": queue, "queue_labels": QUEUE_IDS}
        expected |= {"queue": queue, "queue_ids": QUEUE_IDS}
    return z, inputs, expected


def assert_close(actual, expected, rtol=2e-5):
    # Relative to the largest number: small ones are differences of large ones.
    atol = rtol * max(np.abs(expected).max(), 1e-2)
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)


def losses_of(function, class_ids, z, **inputs) -> np.ndarray:
    return ops.convert_to_numpy(quickest(lambda z: function(class_ids, z, **inputs))(z))


def check(function, reference, z, inputs, expected, run=quickest_value_and_gradient):
    """Compares values and gradients, of keys too, with those of the double loop."""
    values = losses_of(function, CLASS_IDS, z, **inputs)
    assert_close(values, reference(CLASS_IDS, z, **expected))
    weights = np.linspace(0.5, 1.5, len(z)).astype("float32")
    rows = {"z": z, "keys": inputs["keys"]} if "keys" in inputs else {"z": z}

    def loss(stacked):
        moved = {**inputs, "z": z, **{name: stacked[i] for i, name in enumerate(rows)}}
        values = function(CLASS_IDS, moved.pop("z"), **moved)
        return ops.mean(values * ops.convert_to_tensor(weights))

    _, gradients = run(loss, np.stack(list(rows.values())))
    for name, gradient in zip(rows, gradients, strict=True):
        if name == "keys" and not inputs.get("trainable_keys"):
            np.testing.assert_array_equal(gradient, 0)
            continue
        of_rows = double_loop.gradient(
            lambda rows, name=name: (
                reference(CLASS_IDS, **{"projections": z, **expected, _ARGUMENTS[name]: rows})
                * weights
            ),
            rows[name],
        )
        assert_close(gradient, of_rows)


_ARGUMENTS = {"z": "projections", "keys": "keys"}  # of the double loop


# JAX compiles two programs for each row.
covering = every_value if keras.backend.backend() == "jax" else every_pair


@pytest.mark.slow
@covering(name=list(LOSSES), views=[1, 2], inputs=["keys", "queue", "both"], block_size=[None, 4])
def test_every_loss_equals_the_double_loop_in_value_and_gradient(
    rng, name, views, inputs, block_size
):
    function, reference, _ = LOSSES[name]
    if name == "ntxent" and inputs == "queue":
        reference = lambda class_ids, projections, **inputs: double_loop.supcon(  # noqa: E731
            np.full(len(class_ids), -1), projections, 0.2, **_without_classes(inputs)
        )
    if name == "spread" and inputs == "queue":
        views = 2  # a single view has no positive of its own
    batch = batch_of(rng, views, inputs != "queue", inputs != "keys")
    check(functools.partial(function, block_size=block_size), reference, *batch)


# Exponentials that need no shift, and two ways to need one.
LOGITS = {
    "of cosines": {"temperature": 0.2},
    "of a low temperature": {"temperature": 0.015},
    "of raw rows": {"normalize": False},
}


@pytest.mark.slow
@covering(
    summation=["out", "in"],
    denominator=["all", "one_positive", "only_negatives"],
    contrast_mode=["all", "one"],
    positives_cap=[None, 2, 0],
    candidates=["keys and queue", "keys", "own keys and queue"],
    logits=LOGITS,
    block_size=[None, 5],
    trainable_keys=[False, True],
)
def test_every_option_of_supcon_equals_the_double_loop(
    rng,
    summation,
    denominator,
    contrast_mode,
    positives_cap,
    candidates,
    logits,
    block_size,
    trainable_keys,
):
    own_keys_only = candidates == "own keys and queue"
    options = {
        "summation": summation,
        "denominator": denominator,
        "contrast_mode": contrast_mode,
        "positives_cap": None if own_keys_only else positives_cap,
        **logits,
    }
    # Many tiles as one program on TensorFlow, one step by step.
    run = quickest_value_and_gradient if block_size is None else compiled_value_and_gradient
    z, inputs, expected = batch_of(rng, 2, True, candidates != "keys")
    check(
        functools.partial(
            losses.supcon_loss, in_batch_keys=not own_keys_only, block_size=block_size, **options
        ),
        functools.partial(double_loop.supcon, own_keys_only=own_keys_only, **options),
        z,
        {**inputs, "trainable_keys": trainable_keys},
        expected,
        run,
    )


# Published forms, with values computed by the public code of the methods or by loops in float64.
def _features(rows, dim, start):
    z = np.sin(start + 1.7 * np.arange(rows * dim)).reshape(rows, dim)
    return (z / np.linalg.norm(z, axis=1, keepdims=True)).astype("float32")


QUERIES, KEYS, QUEUE = _features(6, 4, 1.0), _features(6, 4, 5.0), _features(5, 4, 3.3)
LABELS, QUEUE_LABELS = np.array([0, 0, 1, 1, 2, 3]), np.array([0, 1, 1, -1, 2])


def test_own_key_and_queue_alone_give_the_loss_of_moco():
    loss = keras_supcon.NTXentLoss(temperature=0.2, in_batch_keys=False)
    assert float(loss(None, QUERIES, keys=KEYS, queue=QUEUE)) == pytest.approx(
        5.7090312738916635, rel=1e-6
    )
    # Logits [q.k; q.queue] / T with the key as label.
    logits = np.concatenate(
        [np.sum(QUERIES * KEYS, axis=1, keepdims=True), QUERIES @ QUEUE.T], axis=1
    )
    logits = logits.astype("float64") / 0.2
    each = np.log(np.exp(logits).sum(axis=1)) - logits[:, 0]
    values = losses.ntxent_loss(None, QUERIES, 0.2, keys=KEYS, queue=QUEUE, in_batch_keys=False)
    np.testing.assert_allclose(ops.convert_to_numpy(values), each, rtol=1e-5)


def test_own_key_and_labelled_queue_give_supcon_with_a_momentum_encoder():
    loss = keras_supcon.SupConLoss(temperature=0.2, in_batch_keys=False)
    value = loss(LABELS, QUERIES, keys=KEYS, queue=QUEUE, queue_labels=QUEUE_LABELS)
    assert float(value) == pytest.approx(4.985750958645274, rel=1e-6)


def test_all_keys_of_two_views_give_the_loss_of_moco_v3(rng):
    """Cross-entropy of queries against the keys of the other view, one view at a time."""
    z, k = (rng.normal(size=(5, 3)).astype("float32") for _ in range(2))
    z, k = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (z, k))
    logits = (z @ k.T).astype("float64") / 0.2
    expected = np.mean(np.log(np.exp(logits).sum(axis=1)) - np.diag(logits))
    assert float(keras_supcon.NTXentLoss(0.2)(None, z, keys=k)) == pytest.approx(expected, rel=1e-5)


# Laws.


@pytest.mark.parametrize("name", ["supcon", "triplet all", "ntlogistic"])
def test_keys_and_queue_take_no_gradient(rng, name):
    function = LOSSES[name][0]
    z, inputs, _ = batch_of(rng, 2, True, True)
    for moved in ("keys", "queue"):
        value, gradient = quickest_value_and_gradient(
            lambda rows, moved=moved: (
                ops.sum(function(CLASS_IDS, z, **{**inputs, moved: rows})) + 0 * ops.sum(rows)
            ),
            inputs[moved],
        )
        assert value > 0.1
        np.testing.assert_array_equal(gradient, 0)


NEIGHBORS, PREDICTIONS = QUEUE[[4, 0, 0, 0, 0, 1]], _features(12, 4, 2.3)[:6]


def test_rows_and_columns_give_the_two_losses_of_nnclr():
    """Values written out in float64: neighbors to predictions, and predictions to neighbors."""
    loss = keras_supcon.NTXentLoss(temperature=0.1)
    row = loss(None, NEIGHBORS, keys=PREDICTIONS, trainable_keys=True)
    column = loss(None, PREDICTIONS, keys=NEIGHBORS)
    assert float(row) == pytest.approx(5.945891167546802, rel=1e-6)
    assert float(column) == pytest.approx(5.222747084493766, rel=1e-6)


@pytest.mark.parametrize("with_queue", [False, True])
@pytest.mark.parametrize("learned_temperature", [False, True])
def test_trainable_keys_take_the_gradient_of_the_formula(rng, with_queue, learned_temperature):
    """Against the autodiff of the loss of a whole matrix of logits."""
    anchors, keys = rng.normal(size=(2, 7, 3)).astype("float32")
    queue = rng.normal(size=(4, 3)).astype("float32")
    inputs = {"queue": queue, "queue_labels": [-1, -1, -2, -1]} if with_queue else {}

    def of_package(both):
        temperature = ops.exp(both[2, 0, 0]) if learned_temperature else 0.3
        values = losses.ntxent_loss(
            None, both[0], temperature, keys=both[1], trainable_keys=True, **inputs
        )
        return ops.sum(values)

    def of_formula(both):
        temperature = ops.exp(both[2, 0, 0]) if learned_temperature else 0.3
        unit = [
            one / ops.sqrt(ops.sum(one**2, axis=1, keepdims=True)) for one in (both[0], both[1])
        ]
        candidates = unit[1]
        if with_queue:
            rows = queue[[0, 1, 3]]
            rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
            candidates = ops.concatenate([candidates, ops.convert_to_tensor(rows)], axis=0)
        logits = ops.matmul(unit[0], ops.transpose(candidates)) / temperature
        return ops.sum(ops.logsumexp(logits, axis=1)) - ops.sum(ops.diagonal(logits))

    both = np.stack([anchors, keys, np.full_like(keys, np.log(0.3))])
    value, gradient = quickest_value_and_gradient(of_package, both)
    expected_value, expected = quickest_value_and_gradient(of_formula, both)
    assert value == pytest.approx(expected_value, rel=1e-5)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)


def test_options_of_a_call_take_the_place_of_those_of_the_constructor():
    inputs = {"keys": KEYS, "queue": QUEUE, "queue_labels": QUEUE_LABELS}
    loss = keras_supcon.SupConLoss(temperature=0.5, summation="in")
    other = keras_supcon.SupConLoss(temperature=0.2, in_batch_keys=False)
    options = {"temperature": 0.2, "summation": "out", "in_batch_keys": False}
    value = float(loss(LABELS, QUERIES, **inputs, **options))
    assert value == pytest.approx(float(other(LABELS, QUERIES, **inputs)), rel=1e-6)
    assert loss.summation == "in"
    with pytest.raises(ValueError, match="`summation` should be one of"):
        loss(LABELS, QUERIES, summation="mean")
    for name, value in {"margin": 1.0, "reduction": "sum"}.items():
        sentence = f"`SupConLoss` should be called with its own options, .*Received: {name}="
        with pytest.raises(TypeError, match=sentence):
            loss(LABELS, QUERIES, **{name: value})


@pytest.mark.parametrize("name", ["supcon", "ntxent", "max_margin"])
def test_samples_keep_their_loss_when_batch_and_queue_are_permuted(rng, name):
    function = LOSSES[name][0]
    z, inputs, _ = batch_of(rng, 2, True, True)
    values = losses_of(function, CLASS_IDS, z, **inputs)
    order, queue_order = rng.permutation(len(z)), rng.permutation(len(QUEUE_IDS))
    moved = {
        "keys": inputs["keys"][order],
        "queue": inputs["queue"][queue_order],
        "queue_labels": QUEUE_IDS[queue_order],
    }
    permuted = losses_of(function, CLASS_IDS[order], z[order], **moved)
    np.testing.assert_allclose(permuted, values[order], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", list(LOSSES))
def test_empty_slots_change_nothing_whatever_they_hold(rng, name):
    function, _, loss = LOSSES[name]
    z, inputs, _ = batch_of(rng, 1, True, True)
    is_empty = QUEUE_IDS < -1
    kept = {
        **inputs,
        "queue": inputs["queue"][~is_empty],
        "queue_labels": QUEUE_IDS[~is_empty],
    }
    values = losses_of(function, CLASS_IDS, z, **kept)
    for noise in (0.0, 1e30, np.nan, np.inf):
        inputs["queue"][is_empty] = noise
        noisy = losses_of(function, CLASS_IDS, z, **inputs)
        np.testing.assert_allclose(noisy, values, rtol=2e-7, atol=1e-7)
    # A queue that is all empty is none.
    empty = {"queue": inputs["queue"], "queue_labels": np.full(len(QUEUE_IDS), -2)}
    alone = float(loss(CLASS_IDS, z, keys=inputs["keys"]))
    assert float(loss(CLASS_IDS, z, keys=inputs["keys"], **empty)) == pytest.approx(alone, rel=1e-6)


def test_keys_that_are_the_projections_add_the_pair_of_a_row_with_itself(rng):
    """For each anchor its own key, at cosine 1, joins positives and denominator."""
    z = rng.normal(size=(6, 1, 3)).astype("float32")
    unit = z[:, 0] / np.linalg.norm(z[:, 0], axis=1, keepdims=True)
    logits = (unit @ unit.T).astype("float64") / 0.5
    expected = np.log(np.exp(logits).sum(axis=1)) - np.diag(logits)
    np.testing.assert_allclose(
        losses_of(losses.ntxent_loss, None, z, temperature=0.5, keys=z), expected, rtol=1e-5
    )


def test_an_unlabeled_sample_has_its_own_keys_as_positives(rng):
    z, inputs, _ = batch_of(rng, 2, True, True)
    of_own_class = losses.supcon_loss(np.where(CLASS_IDS < 0, 99, CLASS_IDS), z, **inputs)
    unlabeled = losses.supcon_loss(CLASS_IDS, z, **inputs)
    assert float(ops.convert_to_numpy(unlabeled)[4]) > 0
    np.testing.assert_array_equal(
        ops.convert_to_numpy(unlabeled), ops.convert_to_numpy(of_own_class)
    )


def test_samples_of_the_ignored_class_count_for_nothing_as_anchors_keys_and_rows_of_a_queue(rng):
    z, inputs, _ = batch_of(rng, 2, True, True)
    rows, slots = CLASS_IDS != 1, QUEUE_IDS != 1
    expected = losses_of(
        losses.supcon_loss,
        CLASS_IDS[rows],
        z[rows],
        keys=inputs["keys"][rows],
        queue=inputs["queue"][slots],
        queue_labels=QUEUE_IDS[slots],
    )
    values = losses_of(losses.supcon_loss, CLASS_IDS, z, ignore_class=1, **inputs)
    np.testing.assert_allclose(values[rows], expected, rtol=1e-5)
    np.testing.assert_array_equal(values[~rows], 0)
    _, gradient = quickest_value_and_gradient(
        lambda z: ops.sum(losses.supcon_loss(CLASS_IDS, z, ignore_class=1, **inputs)), z
    )
    np.testing.assert_array_equal(gradient[~rows], 0)


def test_class_ids_of_a_queue_are_exact_up_to_2_to_the_31(rng):
    z, inputs, _ = batch_of(rng, 1, True, True)
    large = {**inputs, "queue_labels": np.where(QUEUE_IDS < 0, QUEUE_IDS, QUEUE_IDS + 2**24)}
    small = losses_of(losses.supcon_loss, CLASS_IDS, z, **inputs)
    ids = np.where(CLASS_IDS < 0, CLASS_IDS, CLASS_IDS + 2**24)
    np.testing.assert_array_equal(losses_of(losses.supcon_loss, ids, z, **large), small)
    loss = keras_supcon.SupConLoss(reduction=None)
    np.testing.assert_allclose(ops.convert_to_numpy(loss(ids, z, **large)), small, rtol=1e-6)


def test_half_precision_inputs_are_computed_in_float32(rng):
    z, inputs, _ = batch_of(rng, 1, True, True)
    half = {name: ops.cast(inputs[name], "bfloat16") for name in ("keys", "queue")}
    rounded = {name: ops.cast(rows, "float32") for name, rows in half.items()}
    loss = keras_supcon.SupConLoss()
    values = [loss(CLASS_IDS, z, queue_labels=QUEUE_IDS, **given) for given in (half, rounded)]
    assert keras.backend.standardize_dtype(values[0].dtype) == "float32"
    assert float(values[0]) == float(values[1])


@pytest.mark.parametrize("place", ["keys", "queue"])
def test_a_row_that_is_not_finite_makes_all_losses_nan(rng, place):
    z, inputs, _ = batch_of(rng, 2, True, True)
    inputs[place][(2, 0) if place == "keys" else 2] = np.inf
    for name in ("supcon", "triplet hard"):
        assert np.all(np.isnan(losses_of(LOSSES[name][0], CLASS_IDS, z, **inputs)))


@pytest.mark.parametrize("name", list(LOSSES))
def test_the_class_hands_inputs_and_weights_on(rng, name):
    function, _, loss = LOSSES[name]
    z, inputs, _ = batch_of(rng, 2, True, True)
    each = losses_of(function, CLASS_IDS, z, **inputs)
    weights = np.linspace(0.0, 1.0, len(z)).astype("float32")
    assert float(loss(CLASS_IDS, z, **inputs)) == pytest.approx(each.mean(), rel=1e-5)
    weighted = float(loss(CLASS_IDS, z, weights, **inputs))
    assert weighted == pytest.approx((each * weights).mean(), rel=1e-5)


def test_a_learned_temperature_gets_the_gradient_of_all_logits(rng):
    z, inputs, expected = batch_of(rng, 2, True, True)
    step = 1e-6
    change = [
        double_loop.supcon(CLASS_IDS, z, 0.3 + sign * step, **expected).sum() for sign in (-1, 1)
    ]
    _, gradient = quickest_value_and_gradient(
        lambda t: ops.sum(losses.supcon_loss(CLASS_IDS, z, t, **inputs)), np.float32(0.3)
    )
    assert float(gradient) == pytest.approx((change[1] - change[0]) / (2 * step), rel=1e-4)


class MomentumModel(keras.Model):
    """Keys and queue are weights, read and then overwritten in `compute_loss`."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)
        self.queue = self.add_weight(
            shape=(4, 3), initializer=keras.initializers.RandomNormal(seed=1), trainable=False
        )
        self.queue_labels = self.add_weight(
            shape=(4,), initializer=keras.initializers.Constant(-2), dtype="int32", trainable=False
        )

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.built = True

    def call(self, x):
        return self.dense(x)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        keys = ops.roll(y_pred, 1, axis=1)
        inputs = {"keys": keys, "queue": self.queue, "queue_labels": self.queue_labels}
        value = self.loss(y, y_pred, sample_weight, **inputs)
        if training:
            self.queue.assign(ops.stop_gradient(keys[:4]))
            self.queue_labels.assign(ops.cast(y[:4], "int32"))
        return value


@pytest.mark.parametrize("jit_compile", [False, True])
def test_trains_in_the_loss_of_a_model(rng, jit_compile):
    if keras.backend.backend() == "torch" and jit_compile:
        pytest.skip("Keras compiles torch by torch.compile, which is another matter")
    x, y = rng.normal(size=(8, 5)).astype("float32"), np.arange(8) % 3
    keras.utils.set_random_seed(0)
    model = MomentumModel()
    model.compile(
        optimizer=keras.optimizers.SGD(0.1),
        loss=keras_supcon.SupConLoss(0.5),
        jit_compile=jit_compile,
    )
    first = model.train_on_batch(x, y)
    z = x @ ops.convert_to_numpy(model.dense.kernel)
    assert np.isfinite(z).all()
    assert ops.convert_to_numpy(model.queue_labels).tolist() == [0, 1, 2, 0]
    history = model.fit(x, y, batch_size=8, epochs=20, verbose=0).history["loss"]
    assert np.isfinite(first)
    assert history[-1] < history[0]


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"keys": np.ones((3, 2))}, "`keys` should have the shape of `y_pred`.*Received: keys of"),
        ({"keys": np.ones((2, 2, 2))}, "`keys` should have the shape of `y_pred`"),
        ({"keys": np.ones((2, 3))}, "`keys` should have the shape of `y_pred`"),
        (
            {"keys": np.ones(2)},
            r"`keys` should have shape \(batch, dim\) or .*Received: keys.shape",
        ),
        ({"queue": np.ones((4, 3))}, r"`queue` should have shape \(queue, 2\)"),
        ({"queue": np.ones((4, 2)), "queue_labels": [0, 1]}, "`queue_labels` should have as many"),
        ({"queue_labels": [0, 1]}, "`queue_labels` should be None without a `queue`"),
        (
            {"queue": np.ones((2, 2)), "queue_labels": [0.5, 1]},
            "`queue_labels` should hold whole class ids.*below -1 for an empty slot.*Received: "
            "queue_labels=",
        ),
    ],
)
def test_refuses_inputs_of_another_form(inputs, sentence):
    for loss in (keras_supcon.SupConLoss(), keras_supcon.NTXentLoss()):
        with pytest.raises(ValueError, match=sentence):
            loss([0, 1], np.ones((2, 2), "float32"), **inputs)


@pytest.mark.parametrize("cls", [keras_supcon.SupConLoss, keras_supcon.NTXentLoss])
def test_a_loss_of_own_key_and_queue_wants_both(cls):
    z = np.ones((2, 2), "float32")
    for inputs in ({}, {"keys": z}, {"queue": z}):
        with pytest.raises(ValueError, match="`in_batch_keys=False` needs `keys` and a `queue`"):
            cls(in_batch_keys=False)([0, 1], z, **inputs)


@pytest.mark.parametrize("cls", [keras_supcon.SupConLoss, keras_supcon.NTXentLoss])
def test_a_loss_of_trainable_keys_wants_them(cls):
    z = np.ones((2, 2), "float32")
    for inputs in ({}, {"queue": z}):
        with pytest.raises(ValueError, match="`trainable_keys=True` needs `keys`"):
            cls(trainable_keys=True)([0, 1], z, **inputs)


def test_refuses_a_cap_on_positives_without_keys_of_others():
    sentence = (
        "`positives_cap` should be None with `in_batch_keys=False`. Received: positives_cap=2"
    )
    with pytest.raises(ValueError, match=sentence):
        keras_supcon.SupConLoss(positives_cap=2, in_batch_keys=False)
    z = np.ones((2, 2), "float32")
    with pytest.raises(ValueError, match=sentence):
        losses.supcon_loss([0, 1], z, positives_cap=2, in_batch_keys=False, keys=z, queue=z)
    loss = keras_supcon.SupConLoss(positives_cap=2)
    with pytest.raises(ValueError, match=sentence):
        loss([0, 1], z, keys=z, queue=z, in_batch_keys=False)

"""MoCo by its formulas: the moved average, the queue and the losses of several steps."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_supcon
from keras_supcon.models import CosineMomentum
from tests.models.methods import DIM, FEATURES, ON_TENSORFLOW, make, rows, steps, weights_of

pytestmark = pytest.mark.neutral


def unit(one):
    return one / np.linalg.norm(one, axis=-1, keepdims=True)


def linear(momentum=0.9, loss=None, **options):
    """Makes MoCo of a linear encoder and head, with rows of a queue that no batch fills evenly."""
    keras.utils.set_random_seed(0)
    encoder = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(5)])
    head = keras.layers.Dense(DIM, use_bias=False)
    options = {"queue_size": 21, **options}
    model = keras_supcon.MoCo(encoder, head, momentum=momentum, **options)
    model.compile(optimizer=keras.optimizers.SGD(0.5), loss=loss)
    model.build((None, FEATURES))
    return model


def float64_weights(*layers):
    return [
        ops.convert_to_numpy(one).astype("float64") for layer in layers for one in layer.weights
    ]


def info_nce(query, key, y, queue, queue_labels):
    """MoCo v2: the own key among itself and the queue, temperature 0.2."""
    logits = np.concatenate([np.sum(query * key, 1, keepdims=True), query @ queue.T], axis=1) / 0.2
    return np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[:, 0])


def momentum_supcon(query, key, y, queue, queue_labels):
    """The own key and those of the class among all keys and the queue, temperature 0.2."""
    logits = query @ np.concatenate([key, queue]).T / 0.2
    labels = np.concatenate([y, queue_labels])
    log_share = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    own = np.eye(len(query), len(labels), dtype=bool)
    positive = own | ((y[:, None] == labels) & (y[:, None] >= 0))
    return np.mean(-np.sum(log_share * positive, axis=1) / positive.sum(axis=1))


CASES = {
    "v2": (None, {}, info_nce),
    "supervised, symmetric": (
        lambda: keras_supcon.SupConLoss(0.2),
        {"symmetric": True},
        momentum_supcon,
    ),
    "semi-supervised, momentum that rises": (
        lambda: keras_supcon.SupConLoss(0.2),
        {"momentum": CosineMomentum(0.5, 4)},
        momentum_supcon,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_steps_are_those_of_the_formulas(case, rng):
    """In float64: the moved average, the queue in a ring, and the loss of ten steps."""
    loss, options, formula = CASES[case]
    model = linear(loss=None if loss is None else loss(), **options)
    x, y = rows(rng)
    fast = float64_weights(model.encoder, model.projection_head)
    slow = fast  # the first step begins with a copy
    queue, labels, place = np.zeros((21, DIM)), np.full(21, -2), 0

    def project(weights, view):
        kernel, bias, head = weights
        return unit((view.astype("float64") @ kernel + bias) @ head)

    for step in range(10):
        momentum = 0.9
        if "momentum" in options:  # that of the step before
            momentum = 1 - 0.5 * (np.cos(np.pi * min(step - 1, 4) / 4) + 1) / 2
        if step:
            slow = [old + (1 - momentum) * (new - old) for old, new in zip(slow, fast, strict=True)]
        directions = [(0, 1), (1, 0)] if model.symmetric else [(0, 1)]
        filled = labels > -2
        expected = np.mean(
            [
                formula(
                    project(fast, x[:, q]), project(slow, x[:, k]), y, queue[filled], labels[filled]
                )
                for q, k in directions
            ]
        )
        assert steps(model, x, y, 1)[0] == pytest.approx(expected, rel=1e-5, abs=1e-6)
        for _, k in directions:
            for row, label in zip(project(slow, x[:, k]), y, strict=True):
                queue[place % 21], labels[place % 21] = row, label
                place += 1
        for one, value in zip(model.momentum_copy.weights, slow, strict=True):
            np.testing.assert_allclose(ops.convert_to_numpy(one), value, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(ops.convert_to_numpy(model.queue.rows), queue, atol=2e-6)
        np.testing.assert_array_equal(ops.convert_to_numpy(model.queue.labels), labels)
        fast = float64_weights(model.encoder, model.projection_head)


@pytest.mark.slow
def test_the_key_networks_normalize_by_their_batch_and_keep_their_own_averages(rng):
    x, y = rows(rng)
    model = make("MoCo")
    steps(model, x, y, 1)
    fast, slow = (
        next(layer for layer in one.layers if isinstance(layer, keras.layers.BatchNormalization))
        for one in (model.encoder, model.momentum_encoder)
    )

    def mean_of(view):
        before = ops.matmul(view, model.momentum_encoder.layers[0].kernel)
        return ops.convert_to_numpy(before).mean(axis=0)

    # The first average is 0, its momentum 0.8. The bias stays 0: the normalization takes it away.
    expected = 0.2 * mean_of(x[:, 1])
    np.testing.assert_allclose(ops.convert_to_numpy(slow.moving_mean), expected, atol=1e-5)
    steps(model, x, y, 1)
    expected = 0.8 * expected + 0.2 * mean_of(x[:, 1])
    np.testing.assert_allclose(ops.convert_to_numpy(slow.moving_mean), expected, atol=1e-5)
    assert np.abs(ops.convert_to_numpy(fast.moving_mean - slow.moving_mean)).max() > 1e-3


@pytest.mark.parametrize("number", [8, 7])
def test_shuffled_groups_are_normalized_apart_and_put_back_in_order(rng, number):
    """Each key is that of its row; its batch statistics are those of three rows at most."""
    x = rng.normal(size=(number, FEATURES)).astype("float32")
    plain = make("MoCo", batch_norm=False, shuffle_bn=3, seed=1)
    plain.build((None, FEATURES))
    expected = ops.convert_to_numpy(plain.project_by_copy(x, training=True))
    keys = ops.convert_to_numpy(plain._key(x, True)["key"])
    np.testing.assert_allclose(keys, expected, rtol=1e-5, atol=1e-6)

    model = make("MoCo", shuffle_bn=3, seed=1)
    model.build((None, FEATURES))
    together = ops.convert_to_numpy(model.project_by_copy(x, training=True))
    first, second = (ops.convert_to_numpy(model._key(x, True)["key"]) for _ in range(2))
    assert np.abs(first - together).max() > 1e-3
    assert np.abs(first - second).max() > 1e-3  # other groups each time
    np.testing.assert_allclose(
        ops.convert_to_numpy(model._key(x, False)["key"]),
        ops.convert_to_numpy(model.project_by_copy(x, training=False)),
    )


def test_first_step_of_moco_v2_has_no_negative(rng):
    x, y = rows(rng)
    assert steps(make("MoCo"), x, y, 1)[0] == pytest.approx(0, abs=1e-6)


def test_rows_that_are_not_finite_leave_their_slots_empty(rng):
    """A scaled loss in half precision skips such a step."""
    x, y = rows(rng)
    model = make("momentum SupCon", batch_norm=False)
    x[3] = np.inf
    model.build((None, FEATURES))
    keys = model.project_by_copy(x[:, 1], training=True)
    model.queue.enqueue(keys, y)
    labels = ops.convert_to_numpy(model.queue.labels)
    assert labels[3] == -2
    assert int(model.queue.count) == len(x) - 1
    assert np.all(np.isfinite(ops.convert_to_numpy(model.queue.rows)))


@pytest.mark.slow
def test_the_loss_says_whether_keys_of_the_batch_are_candidates_too(rng):
    x, y = rows(rng)

    def losses(loss, **options):
        model = make("MoCo", **options)
        model.compile("sgd", loss, run_eagerly=ON_TENSORFLOW)
        return steps(model, x, y, 3)

    strict = losses(keras_supcon.SupConLoss(in_batch_keys=False))
    assert strict == pytest.approx(losses(keras_supcon.SupConLoss(), in_batch_keys=False), rel=1e-6)
    assert np.abs(np.subtract(strict, losses(keras_supcon.SupConLoss()))).min() > 1e-3
    model = make("MoCo", in_batch_keys=True)
    with pytest.raises(ValueError, match="`in_batch_keys` should be None for a loss without"):
        model.compile("sgd", keras_supcon.losses.TripletLoss())


@pytest.mark.parametrize("ignore_class", [-100, 3, -1])
def test_ignored_samples_are_in_no_pair_and_leave_their_slots_empty(rng, ignore_class):
    """The loss is that of the others, weighted by their share."""
    x, y = rows(rng)
    is_ignored = np.arange(8) % 4 == 3
    model = make("MoCo", batch_norm=False)
    loss = keras_supcon.SupConLoss(ignore_class=ignore_class)
    model.compile(keras.optimizers.SGD(0.0), loss, run_eagerly=ON_TENSORFLOW)
    others = make("MoCo", batch_norm=False)
    loss = keras_supcon.SupConLoss()
    others.compile(keras.optimizers.SGD(0.0), loss, run_eagerly=ON_TENSORFLOW)
    labels = np.where(is_ignored, ignore_class, np.arange(8) % 3 if ignore_class != 3 else y * 0)
    kept = ~is_ignored
    actual = steps(model, x, labels, 3)
    expected = steps(others, x[kept], labels[kept], 3)
    np.testing.assert_allclose(actual, np.multiply(expected, kept.mean()), rtol=1e-5)
    stored = ops.convert_to_numpy(model.queue.labels)[:8]
    np.testing.assert_array_equal(stored, np.where(is_ignored, -2, labels))


@pytest.mark.parametrize(
    ("number", "micro_batch_size"), [(2, None), (3, None), (4, None), (8, None), (9, None), (8, 4)]
)
def test_rows_of_a_small_batch_are_not_normalized_alone(rng, number, micro_batch_size):
    """Of one row alone batch normalization leaves nothing, and all keys would be one."""
    x, _ = rows(rng, number)
    model = make("MoCo", shuffle_bn=8, micro_batch_size=micro_batch_size, run_eagerly=ON_TENSORFLOW)
    steps(model, x, None, 1)
    keys = ops.convert_to_numpy(model.queue.rows)[:number]
    for place, key in enumerate(keys):
        others = np.delete(keys, place, axis=0)
        assert np.abs(others - key).max(axis=1).max() > 1e-2


WRONG = {
    "in_batch_keys": (
        1,
        "`in_batch_keys` should be True, False or None. Received: in_batch_keys=1",
    ),
    "queue_size": (0, "`queue_size` should be a whole number of at least 1"),
    "momentum": (1.5, "`momentum` should be between 0 and 1. Received: momentum=1.5"),
    "per_class": (3, "`queue_size` should be divisible by `per_class`"),
    "shuffle_bn": (1, "`shuffle_bn` should be None or a whole number of at least 2"),
}


@pytest.mark.parametrize("name", WRONG)
def test_arguments_out_of_range_are_refused(name):
    value, sentence = WRONG[name]
    with pytest.raises(ValueError, match=sentence):
        make("MoCo", **{name: value})


@pytest.mark.parametrize("symmetric", [False, True])
def test_batches_that_do_not_fit_into_the_queue_are_refused_before_training(rng, symmetric):
    x, y = rows(rng, 24 if symmetric else 40)
    model = make("MoCo", symmetric=symmetric, queue_size=39)
    model.build((None, FEATURES))
    before = weights_of(model.encoder)
    sentence = rf"`queue_size` should be at least .* {48 if symmetric else 40}. Received: queue_siz"
    with pytest.raises(ValueError, match=sentence):
        model.fit(x, y, batch_size=len(x), verbose=0)
    with pytest.raises(ValueError, match=sentence):
        model.train_on_batch(x, y)
    assert (int(model.steps), int(model.queue.count)) == (0, 0)
    for path, value in weights_of(model.encoder).items():
        np.testing.assert_array_equal(value, before[path], err_msg=path)


def test_ids_beyond_the_rings_are_refused_before_training(rng):
    x, y = rows(rng)
    model = make("MoCo, a ring a class")
    with pytest.raises(ValueError, match="below 4, the number of classes"):
        model.fit(x, y + 1, verbose=0)


@pytest.mark.parametrize("loss", ["mse", keras_supcon.losses.NegativeCosineLoss()])
def test_losses_without_keys_are_refused(loss):
    model = make("MoCo")
    with pytest.raises(ValueError, match="`loss` of `MoCo` should be a contrastive loss"):
        model.compile("sgd", loss)


def test_a_seed_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="`seed` should be a whole number, or None"):
        keras_supcon.MoCo(keras.layers.Dense(3), queue_size=8, seed="x")


def test_networks_that_cannot_be_copied_are_refused():
    class Odd(keras.layers.Layer):
        def __init__(self, table):
            super().__init__()
            self.table = table

        def call(self, x):
            return x

    with pytest.raises(ValueError, match="layers that Keras can copy.*Received: Odd"):
        keras_supcon.MoCo(Odd(object()), queue_size=8)

"""NNCLR by its formulas: neighbors, the four cross-entropies, the queue and its figures."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_supcon
from keras_supcon.models.nnclr import _fingerprints
from tests.models.methods import DIM, FEATURES, make, rows, steps, weights_of

pytestmark = pytest.mark.neutral


def unit(one):
    return one / np.linalg.norm(one, axis=-1, keepdims=True)


def linear(**options):
    """Makes NNCLR of linear layers without batch normalization."""
    keras.utils.set_random_seed(0)
    encoder = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(5)])
    head, predictor = (keras.layers.Dense(DIM, use_bias=False) for _ in range(2))
    model = keras_supcon.NNCLR(encoder, head, predictor, queue_size=21, **options)
    model.compile(optimizer=keras.optimizers.SGD(0.1))
    model.build((None, FEATURES))
    return model


def cross_entropy(logits):
    """That of the diagonal in each row."""
    return np.mean(np.log(np.exp(logits).sum(axis=1)) - np.diag(logits))


@pytest.mark.slow
@pytest.mark.parametrize("supervised", [False, True])
def test_steps_are_those_of_the_formulas(rng, supervised):
    """In float64: neighbors, losses, the queue and the logged shares, in ten steps."""
    model, (x, y) = linear(temperature=0.2, supervised=supervised), rows(rng)
    queue, labels, place = np.zeros((21, DIM)), np.full(21, -2), 0
    images = np.full(21, -1)  # which image a row is of

    def neighbors(z):
        found = []
        for row, label in zip(z, y, strict=True):
            wanted = labels > -2
            if supervised and label >= 0:
                wanted = labels == label
            places = np.flatnonzero(wanted)
            found.append(places[np.argmax(queue[places] @ row)] if len(places) else -1)
        found = np.array(found)
        return found, np.where(found[:, None] >= 0, queue[found], z)

    for _ in range(10):
        weights = [ops.convert_to_numpy(one).astype("float64") for one in model.trainable_variables]
        kernel, bias, head, predictor = weights
        projections = (x.astype("float64") @ kernel + bias) @ head
        p, z = unit(projections @ predictor), unit(projections)
        found, nearest = zip(*(neighbors(z[:, view]) for view in range(2)), strict=True)
        expected = 0.0
        for view in range(2):
            logits = nearest[view] @ p[:, 1 - view].T / 0.2
            expected += (cross_entropy(logits) + cross_entropy(logits.T)) / 4
        found = np.stack(found, axis=1)
        are_found = found >= 0
        labeled = are_found & (y >= 0)[:, None]
        of_class = np.sum((labels[found] == y[:, None]) & labeled) / max(labeled.sum(), 1)
        of_self = np.sum((images[found] == np.arange(8)[:, None]) & are_found)
        of_self = of_self / max(are_found.sum(), 1)
        model.reset_metrics()
        logs = model.train_on_batch(x, y, return_dict=True)
        assert float(logs["loss"]) == pytest.approx(expected, rel=1e-5)
        assert float(logs["neighbor_class"]) == pytest.approx(of_class, abs=1e-6)
        assert float(logs["neighbor_self"]) == pytest.approx(of_self, abs=1e-6)
        for number, (row, label) in enumerate(zip(z[:, 0], y, strict=True)):
            queue[place % 21], labels[place % 21], images[place % 21] = row, label, number
            place += 1
        np.testing.assert_allclose(ops.convert_to_numpy(model.queue.rows), queue, atol=2e-6)
        np.testing.assert_array_equal(ops.convert_to_numpy(model.queue.labels), labels)


@pytest.mark.slow
def test_predictions_take_gradient_as_rows_and_as_columns(rng):
    """Of a step with an empty queue, against the gradient of the four cross-entropies."""
    model, (x, y) = linear(temperature=0.5), rows(rng)
    before = [ops.convert_to_numpy(one).astype("float64") for one in model.trainable_variables]

    def loss(weights):
        kernel, bias, head, predictor = weights
        p = unit((x.astype("float64") @ kernel + bias) @ head @ predictor)
        logits = [nearest[:, view] @ p[:, 1 - view].T / 0.5 for view in range(2)]
        return sum(cross_entropy(one) + cross_entropy(one.T) for one in logits) / 4

    kernel, bias, head, _ = before
    nearest = unit((x.astype("float64") @ kernel + bias) @ head)  # constants
    steps(model, x, y, 1)
    for place, one in enumerate(model.trainable_variables):
        moved = (before[place] - ops.convert_to_numpy(one)) / 0.1
        index = tuple(0 for _ in moved.shape)
        by_hand = [[value.copy() for value in before] for _ in range(2)]
        by_hand[0][place][index] += 1e-5
        by_hand[1][place][index] -= 1e-5
        slope = (loss(by_hand[0]) - loss(by_hand[1])) / 2e-5
        assert moved[index] == pytest.approx(slope, rel=1e-3, abs=1e-4), one.path


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float16", "int64", "bool"])
def test_fingerprints_tell_samples_apart_and_find_them_again(rng, dtype):
    samples = rng.integers(0, 2 if dtype == "bool" else 256, (50, 6, 5, 3)).astype(dtype)
    samples[7] = samples[0]
    samples[9] = samples[0]
    samples[9, 5, 4, 2] = not samples[9, 5, 4, 2]
    numbers = ops.convert_to_numpy(_fingerprints({"a": samples, "b": samples[:, 0]}))
    assert numbers.dtype == np.int32
    assert len({*numbers.tolist()}) == 49
    assert numbers[7] == numbers[0] != numbers[9]
    again = ops.convert_to_numpy(_fingerprints({"a": samples[5:], "b": samples[5:, 0]}))
    np.testing.assert_array_equal(again, numbers[5:])


def test_samples_of_an_unknown_size_have_no_fingerprint():
    assert _fingerprints(keras.KerasTensor((None, None, 3))) is None


@pytest.mark.slow
@pytest.mark.parametrize("micro_batch_size", [None, 4])
def test_half_precision_of_other_heads_than_ours(rng, micro_batch_size):
    x, y = rows(rng)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        encoder = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(5)])
        heads = keras.layers.Dense(DIM), keras.layers.Dense(DIM)
        model = keras_supcon.NNCLR(
            encoder, *heads, queue_size=28, micro_batch_size=micro_batch_size
        )
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile("sgd")
    assert np.all(np.isfinite(steps(model, x, y, 3)))
    assert str(model.queue.rows.dtype) == "float32"


def test_a_queue_that_is_too_long_has_the_image_itself(rng):
    x = rng.normal(size=(8, FEATURES)).astype("float32")
    augmenter, slow = keras.layers.GaussianNoise(0.01, seed=1), keras.optimizers.SGD(1e-4)
    model = make("NNCLR", augmenter=augmenter, batch_norm=False, optimizer=slow)
    history = model.fit(x, batch_size=8, epochs=3, verbose=0).history
    assert history["neighbor_self"][0] == 0  # the queue was empty
    assert min(history["neighbor_self"][1:]) > 0.8


WRONG = {
    "queue_size": (0, "`queue_size` should be a whole number of at least 1"),
    "temperature": (-1, "`temperature` should be .* Received: temperature=-1"),
    "projection_head": (3, "`projection_head` should be a Keras layer"),
    "prediction_head": ("mlp", "`prediction_head` should be a Keras layer"),
}


@pytest.mark.parametrize("name", WRONG)
def test_arguments_of_the_wrong_kind_are_refused(name):
    value, sentence = WRONG[name]
    arguments = {"projection_head": None, "prediction_head": None, name: value}
    encoder = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(4)])
    with pytest.raises(ValueError, match=sentence):
        keras_supcon.NNCLR(encoder, **arguments)


def test_batches_that_do_not_fit_into_the_queue_are_refused_before_training(rng):
    x, y = rows(rng, 40)
    model = make("NNCLR")
    model.build((None, FEATURES))
    before = weights_of(model)
    with pytest.raises(ValueError, match="`queue_size` should be at least .* 40. Received: queue"):
        model.fit(x, y, batch_size=40, verbose=0)
    for path, value in weights_of(model).items():
        np.testing.assert_array_equal(value, before[path], err_msg=path)


@pytest.mark.parametrize("loss", [keras_supcon.TripletLoss(), keras_supcon.NPairsLoss()])
def test_losses_without_trainable_keys_are_refused(loss):
    with pytest.raises(ValueError, match="`loss` of `NNCLR` should be"):
        make("NNCLR").compile("sgd", loss)

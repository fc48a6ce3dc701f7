"""A method is three hooks: all else of a step, replicas, micro-batches and files, is inherited.

`toy_momentum.py` is such a method. `tests/distribution/test_invariance.py` has it under replicas.
"""

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon import LinearClassifier, SupConLoss
from keras_supcon.augmentation import SimAugment
from keras_supcon.losses import supcon_loss
from keras_supcon.models import PretrainingModel
from keras_supcon.models.seed_states import seed_states
from tests.models.toy_momentum import ToyMomentum

pytestmark = pytest.mark.neutral

FEATURES, DIM, SIZE = 6, 4, 8


def toy(*layers, inputs=(FEATURES,), seed=0, rate=0.5, **options):
    keras.utils.set_random_seed(seed)
    encoder = keras.Sequential([keras.Input(inputs), *layers, keras.layers.Dense(5)])
    head = keras.Sequential([keras.Input((5,)), keras.layers.Dense(DIM, use_bias=False)])
    model = ToyMomentum(encoder, head, queue_size=10, **options)
    model.compile(optimizer=keras.optimizers.SGD(rate), loss=SupConLoss(temperature=0.5))
    return model


def rows(rng, number=8):
    return rng.normal(size=(number, 2, FEATURES)).astype("float32"), np.arange(number) % 3


def weights_of(model):
    return {one.path: ops.convert_to_numpy(one).copy() for one in model.weights}


def steps(model, x, y, number):
    return [float(model.train_on_batch(x, y, return_dict=True)["loss"]) for _ in range(number)]


def contrast_in_float64(query, key, y, queue, queue_labels):
    """The loss of SupCon with keys and a queue at temperature 0.5, from its formula."""

    def unit(one):
        return one / np.linalg.norm(one, axis=-1, keepdims=True)

    batch, views, _ = query.shape
    candidates = unit(np.concatenate([key.reshape(batch * views, -1), queue]))
    labels = np.concatenate([np.repeat(y, views), queue_labels])
    losses = []
    anchors = unit(query).reshape(batch * views, -1)
    for label, anchor in zip(np.repeat(y, views), anchors, strict=True):
        logits = candidates @ anchor / 0.5
        log_share = logits - np.log(np.exp(logits).sum())
        losses.append(-log_share[labels == label].mean())
    return np.mean(losses)


def test_two_steps_are_those_of_the_formulas(rng):
    """In float64: the slow weights, the queue and both losses."""
    model, (x, y) = toy(), rows(rng)
    model.build(x.shape)
    slow = [ops.convert_to_numpy(one).astype("float64") for one in model.slow.weights]
    queue, queue_labels = np.zeros((0, DIM)), np.zeros(0, "int64")
    for _ in range(2):
        fast = [*model.encoder.weights, *model.head.weights]
        fast = [ops.convert_to_numpy(one).astype("float64") for one in fast]
        slow = [0.9 * old + 0.1 * new for old, new in zip(slow, fast, strict=True)]

        def project(weights):
            kernel, bias, head = weights
            return (x.astype("float64") @ kernel + bias) @ head

        expected = contrast_in_float64(project(fast), project(slow), y, queue, queue_labels)
        assert steps(model, x, y, 1)[0] == pytest.approx(expected, rel=1e-5)
        model.reset_metrics()
        queue = np.concatenate([project(slow)[:, 0], queue])[:10]
        queue_labels = np.concatenate([y, queue_labels])[:10]
        present = ops.convert_to_numpy(model.queue)
        np.testing.assert_allclose(present[: len(queue)], queue, rtol=1e-4, atol=1e-6)
        for one, value in zip(model.slow.weights, slow, strict=True):
            np.testing.assert_allclose(ops.convert_to_numpy(one), value, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(ops.convert_to_numpy(model.queue_labels), queue_labels)


@pytest.mark.parametrize("micro_batch_size", [4, 3])
def test_micro_batches_train_what_the_whole_batch_trains(rng, micro_batch_size):
    x, y = rows(rng)
    plain, cut = toy(), toy(micro_batch_size=micro_batch_size)
    losses = steps(plain, x, y, 3), steps(cut, x, y, 3)
    np.testing.assert_allclose(*losses, rtol=1e-5)
    expected, actual = weights_of(plain).values(), weights_of(cut).values()
    for one, other in zip(expected, actual, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_saved_model_goes_on_as_if_it_had_not_been_saved(rng, tmp_path):
    """With the queue half full, seeds of dropout and augmentation, and averages of two networks."""

    def make(seed):
        layers = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
        layers += [keras.layers.BatchNormalization(), keras.layers.Dropout(0.3, seed=1)]
        augmenter = SimAugment((SIZE, SIZE), seed=2)
        inputs = (SIZE, SIZE, 1)
        return toy(*layers, inputs=inputs, seed=seed, augmenter=augmenter, micro_batch_size=4)

    x, y = rng.integers(0, 256, (8, SIZE, SIZE, 1)).astype("uint8"), np.arange(8) % 3
    model = make(0)
    steps(model, x, y, 2)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for one in (model, loaded):
        one.reset_metrics()
    assert steps(loaded, x, y, 3) == pytest.approx(steps(model, x, y, 3), rel=1e-6)
    for one, other in zip(model.weights, loaded.weights, strict=True):
        first, second = ops.convert_to_numpy(one), ops.convert_to_numpy(other)
        np.testing.assert_allclose(second, first, rtol=1e-5, atol=1e-6)
    for one, other in zip(seed_states(model), seed_states(loaded), strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))


def test_evaluation_and_prediction_change_nothing(rng):
    model, (x, y) = toy(keras.layers.BatchNormalization()), rows(rng)
    steps(model, x, y, 1)
    before = weights_of(model)
    model.evaluate(x, y, verbose=0)
    predicted = model.predict(x[:, 0], verbose=0)
    assert predicted["query"].shape == predicted["key"].shape == (8, 1, DIM)
    for path, value in weights_of(model).items():
        np.testing.assert_array_equal(value, before[path], err_msg=path)


def test_what_stage_two_needs_is_inherited(rng):
    model, (x, y) = toy(), rows(rng)
    model.fit(x, y, batch_size=4, verbose=0)
    expected = ops.convert_to_numpy(model.encoder(x[:, 0]))
    np.testing.assert_allclose(ops.convert_to_numpy(model.embed(x[:, 0])), expected, rtol=1e-6)
    classifier = LinearClassifier(model.encoder, 3)
    classifier.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    classifier.fit(x[:, 0], y, verbose=0)
    assert len(classifier.trainable_variables) == 2


def test_without_hooks_the_compiled_loss_sees_the_features(rng):
    x, y = rows(rng)
    keras.utils.set_random_seed(0)
    encoder = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(5)])
    model = PretrainingModel(encoder)
    model.compile(optimizer="sgd", loss=SupConLoss())
    loss = SupConLoss()(y, ops.reshape(encoder(x.reshape(16, -1)), (8, 2, 5)))
    expected = float(ops.convert_to_numpy(loss))
    assert steps(model, x, y, 1)[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["supcon_loss", "SupConLoss", supcon_loss, SupConLoss])
def test_a_loss_by_name_is_the_loss_with_its_defaults(rng, name):
    """Labels reach it unrounded: 2^24 and 2^24 + 1 are one float32."""
    x, y = rows(rng)[0], (2**24 + np.arange(8) % 2).astype("int32")

    def first_loss(loss):
        keras.utils.set_random_seed(0)
        encoder = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(5)])
        model = PretrainingModel(encoder)
        model.compile("sgd", loss)
        return steps(model, x, y, 1)[0]

    assert first_loss(name) == pytest.approx(first_loss(SupConLoss()), rel=1e-6)

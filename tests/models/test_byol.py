"""BYOL by its formulas, SimSiam as its limit, and the collapse without a prediction head."""

import warnings

import keras
import numpy as np
import pytest
from keras import ops

import keras_supcon
from keras_supcon.augmentation import SimAugment
from keras_supcon.layers import PredictionHead
from keras_supcon.models import CosineMomentum
from tests.models.methods import DIM, FEATURES, dense_encoder, heads, make, rows, steps

pytestmark = pytest.mark.neutral


def unit(one):
    return one / np.linalg.norm(one, axis=-1, keepdims=True)


def linear(**options):
    """Makes BYOL of linear layers without batch normalization."""
    keras.utils.set_random_seed(0)
    encoder = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(5)])
    head, predictor = (keras.layers.Dense(DIM, use_bias=False) for _ in range(2))
    model = keras_supcon.BYOL(encoder, head, predictor, **options)
    model.compile(optimizer=keras.optimizers.SGD(0.1))
    model.build((None, FEATURES))
    return model


def float64_weights(*layers):
    return [
        ops.convert_to_numpy(one).astype("float64") for layer in layers for one in layer.weights
    ]


def test_steps_are_those_of_the_formulas(rng):
    """In float64: the target network, its momentum, and the sum of both directions."""
    model, (x, _) = linear(momentum=0.5, total_steps=4), rows(rng)
    online = float64_weights(model.encoder, model.projection_head)
    target = online  # the first step begins with a copy

    def project(weights, view):
        kernel, bias, head = weights
        return (view.astype("float64") @ kernel + bias) @ head

    for step in range(10):
        if step:
            momentum = 1 - 0.5 * (np.cos(np.pi * min(step - 1, 4) / 4) + 1) / 2
            target = [
                old + (1 - momentum) * (new - old) for old, new in zip(target, online, strict=True)
            ]
        (predictor,) = float64_weights(model.prediction_head)
        expected = 0.0
        for one, other in ((0, 1), (1, 0)):
            prediction = unit(project(online, x[:, one]) @ predictor)
            distance = np.sum((prediction - unit(project(target, x[:, other]))) ** 2, axis=1)
            expected += distance.mean()
        assert steps(model, x, None, 1)[0] == pytest.approx(expected, rel=1e-5)
        for one, value in zip(model.momentum_copy.weights, target, strict=True):
            np.testing.assert_allclose(ops.convert_to_numpy(one), value, rtol=1e-5, atol=1e-6)
        online = float64_weights(model.encoder, model.projection_head)


class SimSiam(keras_supcon.models.PretrainingModel):
    """As it was published: one network, a stop of the gradient, half the negative cosines."""

    def __init__(self, encoder, projection_head, prediction_head):
        super().__init__(encoder)
        self.projection_head, self.prediction_head = projection_head, prediction_head

    def step_projectors(self, num_views):
        return [self.project_both] * num_views

    def project_both(self, view, training):
        z = self.projection_head(self.encode(view, training), training=training)
        return {"z": z, "p": self.prediction_head(z, training=training)}

    def contrast(self, projections, y, sample_weight):
        z, p = ops.stop_gradient(projections["z"]), projections["p"]
        cosines = ops.sum(ops.normalize(ops.flip(z, axis=1)) * ops.normalize(p), axis=-1)
        return -ops.mean(cosines)


def wide_heads():
    """Of narrow ones all hidden units of a row may be zero, and a zero row has no angle."""
    head = keras_supcon.ProjectionHead(DIM, hidden_units=(32,), normalize=False)
    return head, PredictionHead(DIM, (32,))


def test_without_momentum_it_is_simsiam(rng):
    """With batch normalization, with four times the learning rate."""
    x, _ = rows(rng)
    keras.utils.set_random_seed(0)
    byol, simsiam = (
        cls(dense_encoder(), *wide_heads(), **options)
        for cls, options in ((keras_supcon.BYOL, {"momentum": 0}), (SimSiam, {}))
    )
    for model in (byol, simsiam):
        model.build((None, FEATURES))
    simsiam.project_both(x[:, 0], training=False)  # builds the heads
    for one, other in zip(simsiam.trainable_variables, byol.trainable_variables, strict=True):
        one.assign(ops.copy(other))
    byol.compile(optimizer=keras.optimizers.SGD(0.05))
    simsiam.compile(optimizer=keras.optimizers.SGD(0.2))
    losses = np.array([steps(model, x, None, 4) for model in (byol, simsiam)])
    np.testing.assert_allclose(losses[0] / 4 - 1, losses[1], rtol=1e-4)
    for one, other in zip(simsiam.trainable_variables, byol.trainable_variables, strict=True):
        first, second = ops.convert_to_numpy(one), ops.convert_to_numpy(other)
        np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-5)


def test_targets_of_simsiam_are_the_projections_themselves(rng):
    """Those of the same pass: with the same units dropped."""
    x, _ = rows(rng)
    encoder = dense_encoder(keras.layers.Dropout(0.5, seed=1))
    for options, are_same in (({}, True), ({"momentum": 1e-6}, False), ({"total_steps": 9}, False)):
        model = make("SimSiam", encoder, **options)
        model.build((None, FEATURES))
        (project, _), view = model.step_projectors(2), ops.convert_to_tensor(x[:, 0])
        outputs = project(view, training=True)
        one, other = (ops.convert_to_numpy(outputs[name]) for name in ("projection", "target"))
        assert np.array_equal(one, other) is are_same


def test_the_momentum_rises_by_half_a_cosine():
    schedule = CosineMomentum(0.99, 100)
    steps_of_it = np.array([0, 1, 50, 99, 100, 1000])
    share = np.minimum(steps_of_it, 100) / 100
    expected = 1 - 0.01 * (np.cos(np.pi * share) + 1) / 2
    values = [float(schedule(step)) for step in steps_of_it]
    np.testing.assert_allclose(values, expected, rtol=1e-6)


@pytest.mark.parametrize("epochs", [3, 2])
def test_more_steps_than_the_schedule_has_are_warned_of_before_the_first(rng, epochs):
    """Once, and in time; the momentum then stays 1."""
    x, _ = rows(rng)
    model = make("BYOL", total_steps=4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(x, batch_size=4, epochs=epochs, verbose=0)
    sentences = [str(one.message) for one in caught if "total_steps" in str(one.message)]
    assert len(sentences) == (epochs == 3)
    if sentences:
        assert "takes 6 steps" in sentences[0]
        before = [ops.convert_to_numpy(one).copy() for one in model.momentum_copy.weights]
        model.begin_step()
        for one, value in zip(model.momentum_copy.weights, before, strict=True):
            np.testing.assert_array_equal(ops.convert_to_numpy(one), value)


def test_predictions_as_wide_as_projections_are_wanted():
    encoder, (head, _) = dense_encoder(), heads(True)
    model = keras_supcon.BYOL(encoder, head, PredictionHead(DIM + 1, (6,)))
    with pytest.raises(
        ValueError, match=f"as wide as the projections, {DIM}. Received: .* {DIM + 1}"
    ):
        model.build((None, FEATURES))


@pytest.mark.parametrize("loss", ["mse", keras_supcon.SupConLoss(), keras_supcon.NTXentLoss()])
def test_losses_of_labels_are_refused(loss):
    model = make("BYOL")
    with pytest.raises(ValueError, match="`loss` of `BYOL` should be one of predictions and"):
        model.compile("sgd", loss)


def test_a_loss_of_keras_may_compare_predictions_and_targets(rng):
    """The negative cosine, of which ours is twice the value and 2 for each of two directions."""
    x, _ = rows(rng)
    expected = steps(make("BYOL"), x, None, 1)[0]
    model = make("BYOL")
    model.compile("sgd", keras.losses.CosineSimilarity())
    assert 4 + 2 * steps(model, x, None, 1)[0] == pytest.approx(expected, rel=1e-4)


def embedding_of_digits(prediction_head):
    """Trains BYOL on the digits; returns projections of the test images."""
    (x, _), (test, _) = (
        keras_supcon.data.load_arrays("digits", split) for split in ("train", "test")
    )
    keras.utils.set_random_seed(0)
    encoder = keras_supcon.encoders.ResNet(depth=10, width=0.25, stem="cifar")
    head = keras_supcon.ProjectionHead(
        64, hidden_units=(128,), batch_norm="hidden", normalize=False
    )
    augmenter = SimAugment(
        (8, 8), strength=0.4, crop_area=(0.4, 1.0), blur_probability=0, flip_probability=0, seed=0
    )
    model = keras_supcon.BYOL(encoder, head, prediction_head, augmenter=augmenter, momentum=0.95)
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    model.fit(x, batch_size=128, epochs=8, verbose=0)
    return unit(ops.convert_to_numpy(model.predict(test, verbose=0))[:, 0])


@pytest.mark.slow
@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="one backend is enough for an experiment"
)
def test_digits_collapse_without_a_prediction_head_alone():
    """What BYOL's paper claims: the projections of all images become one.

    Deviation of unit rows times sqrt(dim), 1 for rows all over the sphere, and effective rank.
    """
    figures = {}
    for name, head in (("with", PredictionHead(64, (128,))), ("without", None)):
        z = embedding_of_digits(head)
        values = np.linalg.svd(z, compute_uv=False)
        shares = values / values.sum()
        rank = np.exp(-np.sum(shares * np.log(shares + 1e-12)))
        figures[name] = z.std(axis=0).mean() * 8, rank
    assert figures["with"][0] > 0.4 > 0.2 > figures["without"][0]
    assert figures["with"][1] > 2 * figures["without"][1]

"""A classifier beside the contrastive loss, which trains the encoder or leaves it alone."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_supcon
from keras_supcon.metrics import ContrastiveAccuracy
from tests.models.methods import (
    DIM,
    FEATURES,
    ON_TENSORFLOW,
    dense_encoder,
    make,
    make_for_few_steps,
    rows,
    steps,
    weights_of,
)

pytestmark = pytest.mark.neutral


def probed(**options):
    keras.utils.set_random_seed(0)
    encoder, head = dense_encoder(), keras_supcon.ProjectionHead(DIM, hidden_units=(7,))
    encoder.build((None, FEATURES))
    head.build((None, 5))
    model = keras_supcon.ContrastiveModel(encoder, head, **options)
    optimizer = keras.optimizers.SGD(0.2, momentum=0.9)
    model.compile(optimizer, keras_supcon.SupConLoss(0.5), run_eagerly=ON_TENSORFLOW)
    return model


@pytest.mark.slow
def test_a_probe_leaves_the_encoder_bit_by_bit_what_it_would_be(rng):
    x, y = rows(rng, 12)
    with_probe, without = probed(classifier=4, stop_gradient=True), probed()
    for model in (with_probe, without):
        model.fit(x, y, batch_size=6, epochs=3, shuffle=False, verbose=0)
    for part in ("encoder", "projection_head"):
        pairs = zip(
            weights_of(getattr(with_probe, part)).values(),
            weights_of(getattr(without, part)).values(),
            strict=True,
        )
        for one, other in pairs:
            np.testing.assert_array_equal(one, other)
    trains = probed(classifier=4)
    trains.fit(x, y, batch_size=6, epochs=3, shuffle=False, verbose=0)
    assert np.abs(trains.encoder.get_weights()[0] - without.encoder.get_weights()[0]).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_is_the_sum_of_both_terms(rng, weighted):
    """In float64; unlabeled samples are in the contrastive term alone."""
    x, y = rows(rng)
    model = probed(classifier=4, classifier_weight=0.7)
    sample_weight = rng.uniform(0.5, 2, len(x)).astype("float32") if weighted else None
    model.evaluate(x, y, verbose=0)
    outputs = model._project_and_classify(x.reshape(-1, FEATURES), False)
    logits = ops.convert_to_numpy(outputs["logits"]).astype("float64").reshape(8, 2, 4)
    projections = ops.reshape(outputs["projection"], (8, 2, DIM))
    contrastive = float(keras_supcon.SupConLoss(0.5)(y, projections, sample_weight))
    shares = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    is_labeled = y >= 0
    each = -shares[np.arange(8), :, y].mean(axis=1) * (
        1 if sample_weight is None else sample_weight
    )
    expected = contrastive + 0.7 * each[is_labeled].mean()
    logs = model.evaluate(x, y, sample_weight=sample_weight, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(expected, rel=1e-5)
    accuracy = np.mean(logits[is_labeled].argmax(axis=2) == y[is_labeled, None])
    assert logs["classifier_accuracy"] == pytest.approx(accuracy)
    plain = -shares[np.arange(8), :, y].mean(axis=1)[is_labeled].mean()
    assert logs["classifier_loss"] == pytest.approx(plain, rel=1e-5)


def test_without_a_labeled_sample_the_loss_is_the_contrastive_one(rng):
    x, _ = rows(rng)
    unlabeled = np.full(len(x), -1)
    losses = [steps(probed(**one), x, unlabeled, 2) for one in ({}, {"classifier": 4})]
    np.testing.assert_allclose(*losses, rtol=1e-6)


@pytest.mark.slow
def test_metrics_see_the_projections(rng):
    x, y = rows(rng)
    model = probed(classifier=4)
    model.compile(
        "sgd", keras_supcon.SupConLoss(), metrics=[ContrastiveAccuracy()], run_eagerly=ON_TENSORFLOW
    )
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    plain = probed()
    plain.compile(
        "sgd", keras_supcon.SupConLoss(), metrics=[ContrastiveAccuracy()], run_eagerly=ON_TENSORFLOW
    )
    expected = plain.evaluate(x, y, verbose=0, return_dict=True)["contrastive_accuracy"]
    assert logs["contrastive_accuracy"] == pytest.approx(expected)


@pytest.mark.slow
def test_ignored_samples_are_no_class(rng):
    x, y = rows(rng)
    y = np.where(y == 3, 9, y)
    model = probed(classifier=3)
    model.compile("sgd", keras_supcon.SupConLoss(ignore_class=9))
    assert np.all(np.isfinite(steps(model, x, np.maximum(y, 0), 2)))
    model.fit(x, np.maximum(y, 0), verbose=0)


WRONG = {
    "a word": ("softmax", "`classifier` should be a number of classes, a Keras layer"),
    "one class": (1, "`classifier` should be a whole number of at least 2"),
    "probabilities": (keras.layers.Dense(3, "softmax"), "`classifier` should give logits"),
    "probabilities of a model": (
        keras.Sequential([keras.layers.Dense(3), keras.layers.Softmax()]),
        "`classifier` should give logits",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_other_classifiers_are_refused(name):
    value, sentence = WRONG[name]
    with pytest.raises(ValueError, match=sentence):
        probed(classifier=value)


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match="`classifier_weight` should be .*classifier_weight=-1"):
        probed(classifier=3, classifier_weight=-1)


@pytest.mark.parametrize(
    "classifier", [lambda: 4, lambda: keras.Sequential([keras.layers.Dense(4)])]
)
def test_ids_that_the_classifier_does_not_have_are_refused_before_training(rng, classifier):
    x, y = rows(rng)
    model = make("joint", classifier=classifier())
    with pytest.raises(ValueError, match="below 4, the number of classes"):
        model.fit(x, y + 1, verbose=0)
    assert not model.built or int(model.optimizer.iterations) == 0


@keras.saving.register_keras_serializable(package="tests")
class DoublesInTraining(keras.layers.Layer):
    def call(self, x, training=False):
        return 2 * x if training else x


@pytest.mark.slow
@pytest.mark.parametrize("micro_batch_size", [None, 4])
def test_the_classifier_runs_in_training_mode(rng, micro_batch_size):
    """Also in the second run of a micro-batch, for the gradient: that of the kernel is twice."""
    x, y = rows(rng)
    moved = []
    for first in ([], [DoublesInTraining()]):
        keras.utils.set_random_seed(0)
        classifier = keras.Sequential([*first, keras.layers.Dense(4, use_bias=False)])
        model = make_for_few_steps(
            "joint",
            batch_norm=False,
            classifier=classifier,
            stop_gradient=True,
            micro_batch_size=micro_batch_size,
            optimizer=keras.optimizers.SGD(0.1),
        )
        model.build((None, FEATURES))
        (kernel,) = classifier.weights
        kernel.assign(np.zeros(kernel.shape))  # so that the probabilities are those of chance
        steps(model, x, y, 1)
        moved.append(ops.convert_to_numpy(kernel).copy())
    np.testing.assert_allclose(moved[1], 2 * moved[0], rtol=1e-4, atol=1e-7)
    assert np.abs(moved[0]).max() > 1e-3

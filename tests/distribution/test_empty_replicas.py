"""A last batch that leaves replicas without rows trains, evaluates and predicts as on one device."""

import contextlib

import keras
import numpy as np
import pytest

from keras_supcon import ContrastiveModel, LinearClassifier, ProjectionHead, SupConLoss
from keras_supcon.distribution import DistributedFit

pytestmark = pytest.mark.slow

ROWS, BATCH_SIZE = 9, 8  # the last batch has one row, for the first of two replicas


@pytest.fixture
def images(rng):
    return rng.random((ROWS, 6, 6, 3)).astype("float32")


def encoder(synchronized):
    """With convolutions, which oneDNN refuses to compute for no image, and a row of zeros is not
    one of zeros after a bias.
    """
    keras.utils.set_random_seed(0)
    convolution = keras.layers.Conv2D(4, 3, bias_initializer="ones")
    normalization = keras.layers.BatchNormalization(synchronized=synchronized)
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            convolution,
            normalization,
            keras.layers.ReLU(),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )


def contrastive(scope, synchronized, **options):
    with scope:
        model = ContrastiveModel(encoder(synchronized), ProjectionHead(4, ()), **options)
        model.compile(optimizer=keras.optimizers.SGD(0.1, momentum=0.9), loss=SupConLoss())
    return model


def results(model, images, labels):
    history = model.fit(
        images, labels, batch_size=BATCH_SIZE, epochs=2, shuffle=False, verbose=0
    ).history
    evaluation = model.evaluate(images, labels, batch_size=BATCH_SIZE, verbose=0)
    return [
        history["loss"],
        evaluation,
        model.predict(images, batch_size=BATCH_SIZE, verbose=0),
        *model.get_weights(),
    ]


def test_synchronized_statistics_are_those_of_one_device(images, strategy):
    labels = np.arange(ROWS) % 3
    single = results(contrastive(contextlib.nullcontext(), synchronized=False), images, labels)
    mirrored = results(contrastive(strategy.scope(), synchronized=True), images, labels)
    for ours, expected in zip(mirrored, single, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("micro_batch_size", [None, 2])
def test_statistics_of_a_replica_without_rows_stay_where_they_are(
    images, strategy, micro_batch_size
):
    model = contrastive(strategy.scope(), synchronized=False, micro_batch_size=micro_batch_size)
    with pytest.warns(
        UserWarning, match=r"BatchNormalization layers use per-replica statistics \(2 replicas\)"
    ):
        model.fit(images[:1], np.zeros(1), batch_size=BATCH_SIZE, verbose=0)
    normalization = model.encoder.layers[1]
    for average, at_first in (
        (normalization.moving_mean, 0.0),
        (normalization.moving_variance, 1.0),
    ):
        first, second = (
            value.numpy() for value in strategy.experimental_local_results(average.value)
        )
        assert np.abs(first - at_first).min() > 0
        np.testing.assert_array_equal(second, at_first)
    for weight in model.weights:
        for value in strategy.experimental_local_results(weight.value):
            assert np.isfinite(value.numpy()).all()


def test_gradient_caching(images, strategy):
    """Moving averages of synchronized layers too: a pass on no rows is none."""
    labels = np.arange(ROWS) % 3
    single = results(
        contrastive(contextlib.nullcontext(), synchronized=False, micro_batch_size=4),
        images,
        labels,
    )
    mirrored = results(
        contrastive(strategy.scope(), synchronized=True, micro_batch_size=4), images, labels
    )
    for ours, expected in zip(mirrored, single, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=2e-5)


def test_the_linear_classifier(images, strategy):
    with strategy.scope():
        classifier = LinearClassifier(encoder(synchronized=False), 3)
        classifier.compile(
            optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"]
        )
    loss, evaluation, probabilities, *weights = results(classifier, images, np.arange(ROWS) % 3)
    assert probabilities.shape == (ROWS, 3)
    assert np.isfinite(loss).all()
    assert np.isfinite(evaluation).all()
    assert all(np.isfinite(weight).all() for weight in weights)


def test_masks_of_outputs_are_kept(rng, strategy):
    """A Keras loss leaves out the steps of a sequence that are masked."""

    class Model(DistributedFit, keras.Model):
        pass

    sequences = rng.integers(0, 3, (ROWS, 5))
    losses = []
    for scope in (contextlib.nullcontext(), strategy.scope()):
        with scope:
            keras.utils.set_random_seed(0)
            tokens = keras.Input((5,))
            model = Model(tokens, keras.layers.Embedding(3, 2, mask_zero=True)(tokens))
            model.compile(loss="mse")
        losses.append(model.evaluate(sequences[:8], np.ones((8, 5, 2)), batch_size=8, verbose=0))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)

"""What `fit` and `evaluate` report does not depend on how a batch is shared out."""

import keras
import numpy as np
import pytest

from keras_supcon import ContrastiveModel, ProjectionHead, SupConLoss
from tests.covering import every_value


def plain(loss, run_eagerly):
    """Returns a model of Keras alone, which under a strategy wants a full first batch."""
    views = keras.Input((2, 3))
    model = keras.Model(views, keras.layers.Dense(4)(views))
    model.compile(optimizer=keras.optimizers.SGD(0.05), loss=loss, run_eagerly=run_eagerly)
    return model


def contrastive(loss, run_eagerly, micro_batch_size=None):
    encoder = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5, "tanh")])
    model = ContrastiveModel(encoder, ProjectionHead(4, ()), micro_batch_size=micro_batch_size)
    model.build((None, 2, 3))
    model.compile(optimizer=keras.optimizers.SGD(0.05), loss=loss, run_eagerly=run_eagerly)
    return model


def cached(loss, run_eagerly):
    return contrastive(loss, run_eagerly, micro_batch_size=2)


MODELS = {"plain": plain, "contrastive": contrastive, "cached": cached}


def reported(model, reduction, run_eagerly, *data):
    keras.utils.set_random_seed(3)
    model = MODELS[model](SupConLoss(reduction=reduction), run_eagerly)
    import tensorflow as tf

    batches = tf.data.Dataset.from_tensor_slices(data).batch(8)
    history = model.fit(batches, epochs=1, shuffle=False, verbose=0).history["loss"]
    return [*history, model.evaluate(batches, verbose=0)], model.get_weights()


def check_reported(rng, strategy, model, reduction, samples, run_eagerly):
    data = (
        rng.normal(size=(samples, 2, 3)).astype("float32"),
        rng.integers(0, 3, samples),
        rng.uniform(0.2, 3.0, samples).astype("float32"),
    )
    expected, weights = reported(model, reduction, True, *data)
    with strategy.scope():
        losses, own_weights = reported(model, reduction, run_eagerly, *data)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for ours, theirs in zip(own_weights, weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@every_value(
    model=list(MODELS),
    reduction=["sum", "mean_with_sample_weight", "none", "sum_over_batch_size"],
    # A last batch of 5, of two replicas' 3 and 2 rows, or of a single row, so that a replica has
    # none.
    samples=[13, 9, 13],
)
def test_the_loss_of_uneven_shares_is_that_of_one_replica(rng, strategy, model, reduction, samples):
    if model == "plain" or reduction == "none":
        samples = (
            13  # of a replica that has nothing Keras alone makes NaN, and of no values their mean
        )
    check_reported(
        rng, strategy, model, reduction, samples, run_eagerly=True
    )  # tracing takes longer


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "reduction", "samples"),
    [("plain", "none", 13), ("contrastive", "mean_with_sample_weight", 9), ("cached", "sum", 9)],
)
def test_a_traced_step_reports_as_an_eager_one_does(rng, strategy, model, reduction, samples):
    """Each trainer once, and each way in which the loss weighs its values."""
    check_reported(rng, strategy, model, reduction, samples, run_eagerly=False)

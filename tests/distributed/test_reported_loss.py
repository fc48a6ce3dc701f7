"""What `fit` and `evaluate` report does not depend on how a batch is shared out."""

import keras
import numpy as np
import pytest

from keras_supcon import ContrastiveModel, ProjectionHead, SupConLoss
from tests.covering import every_value


def plain(loss):
    """Returns a model of Keras alone, which under a strategy wants a full first batch."""
    views = keras.Input((2, 3))
    model = keras.Model(views, keras.layers.Dense(4)(views))
    model.compile(optimizer=keras.optimizers.SGD(0.05), loss=loss, run_eagerly=True)  # tracing takes longer
    return model


def contrastive(loss, micro_batch_size=None):
    encoder = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5, "tanh")])
    model = ContrastiveModel(encoder, ProjectionHead(4, ()), micro_batch_size=micro_batch_size)
    model.build((None, 2, 3))
    model.compile(optimizer=keras.optimizers.SGD(0.05), loss=loss, run_eagerly=True)
    return model


MODELS = {"plain": plain, "contrastive": contrastive, "cached": lambda loss: contrastive(loss, micro_batch_size=2)}


def reported(make, reduction, *data):
    keras.utils.set_random_seed(3)
    model = make(SupConLoss(reduction=reduction))
    import tensorflow as tf

    batches = tf.data.Dataset.from_tensor_slices(data).batch(8)
    history = model.fit(batches, epochs=1, shuffle=False, verbose=0).history["loss"]
    return [*history, model.evaluate(batches, verbose=0)], model.get_weights()


@pytest.mark.slow
@every_value(
    model=list(MODELS),
    reduction=["sum", "mean_with_sample_weight", "none", "sum_over_batch_size"],
    # A last batch of 5, of two replicas' 3 and 2 rows, or of a single row, so that a replica has none.
    samples=[13, 13, 9],
)
def test_the_loss_of_uneven_shares_is_that_of_one_replica(rng, strategy, model, reduction, samples):
    if model == "plain" or reduction == "none":
        samples = 13  # of a replica that has nothing Keras alone makes NaN, and of no values their mean
    data = (
        rng.normal(size=(samples, 2, 3)).astype("float32"),
        rng.integers(0, 3, samples),
        rng.uniform(0.2, 3.0, samples).astype("float32"),
    )
    expected, weights = reported(MODELS[model], reduction, *data)
    with strategy.scope():
        losses, own_weights = reported(MODELS[model], reduction, *data)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for ours, theirs in zip(own_weights, weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)

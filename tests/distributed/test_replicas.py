"""Several replicas give what one replica gives on the global batch."""

import keras
import numpy as np
import pytest

from keras_supcon import ContrastiveModel, ProjectionHead, SupConLoss
from keras_supcon.augmentation import SimAugment
from keras_supcon.distribution import gather_across_replicas


@pytest.fixture(scope="module")
def strategy():
    """One for all tests: a second strategy in a process numbers its collectives from the start again, and they clash."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def fitted(x, class_ids, loss, scope=None) -> tuple[list[float], list[np.ndarray]]:
    """Losses and weights of a model with synchronized batch normalization after three epochs."""
    import contextlib

    import tensorflow as tf

    with scope or contextlib.nullcontext():
        keras.utils.set_random_seed(0)
        encoder = keras.Sequential(
            [keras.Input((6,)), keras.layers.Dense(8, activation="tanh"), keras.layers.BatchNormalization(synchronized=True)]
        )
        model = ContrastiveModel(encoder, ProjectionHead(4, ()), num_views=1)
        model.build((None, 6))
        model.compile(optimizer=keras.optimizers.SGD(0.5, momentum=0.9), loss=loss)
    dataset = tf.data.Dataset.from_tensor_slices((x, class_ids)).batch(16, drop_remainder=True)
    return model.fit(dataset, epochs=3, verbose=0, shuffle=False).history["loss"], model.get_weights()


@pytest.mark.parametrize("summation", ["out", "in"])
def test_two_replicas_train_the_same_model_as_one(rng, strategy, summation):
    x, class_ids = rng.normal(size=(48, 6)).astype("float32"), rng.integers(0, 4, 48)
    losses, weights = fitted(x, class_ids, SupConLoss(summation=summation))
    mirrored_losses, mirrored_weights = fitted(x, class_ids, SupConLoss(summation=summation), strategy.scope())
    np.testing.assert_allclose(mirrored_losses, losses, rtol=1e-4)
    for mirrored, single in zip(mirrored_weights, weights, strict=True):
        np.testing.assert_allclose(mirrored, single, atol=2e-3)
    local_losses, _ = fitted(x, class_ids, SupConLoss(summation=summation, gather=False), strategy.scope())
    assert local_losses[0] < losses[0] - 0.3  # fewer rows to contrast with: the loss means something else


def test_replicas_augment_differently_and_keep_one_seed_state(rng, strategy):
    import tensorflow as tf

    images = np.repeat(rng.integers(0, 256, (1, 16, 16, 3)), 4, axis=0).astype("float32")
    with strategy.scope():
        layer = SimAugment(image_size=(16, 16), seed=1)
    run = tf.function(lambda: strategy.run(lambda: layer(images, training=True)))
    first, second = (views.numpy() for views in strategy.experimental_local_results(run()))
    assert not any(np.array_equal(a, b) for a in first for b in second)
    states = strategy.experimental_local_results(layer.crop.generator.state.value)
    np.testing.assert_array_equal(*(state.numpy() for state in states))


def test_gathers_uneven_batches_with_gradient(rng, strategy):
    import tensorflow as tf

    rows = [rng.normal(size=(n, 3)).astype("float32") for n in (2, 3)]
    weights = rng.normal(size=(5, 3)).astype("float32")

    def step(own):
        with tf.GradientTape() as tape:
            tape.watch(own)
            (gathered,), offset = gather_across_replicas(own)
            value = tf.reduce_sum(gathered * weights)
        return gathered, offset, tape.gradient(value, own)

    # As Keras does it: one program for all replicas, so that the collectives pair up.
    run = tf.function(lambda own: strategy.run(step, (own,)))
    own = strategy.experimental_distribute_values_from_function(lambda c: tf.constant(rows[c.replica_id_in_sync_group]))
    gathered, offsets, gradients = (strategy.experimental_local_results(result) for result in run(own))
    for everything in gathered:
        np.testing.assert_array_equal(everything, np.concatenate(rows))
    assert [int(offset) for offset in offsets] == [0, 2]
    # Both replicas' values depend on each row, hence twice the weight.
    np.testing.assert_allclose(gradients[0], 2 * weights[:2], rtol=1e-6)
    np.testing.assert_allclose(gradients[1], 2 * weights[2:], rtol=1e-6)

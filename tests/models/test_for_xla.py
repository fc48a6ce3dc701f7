"""The steps of training and evaluation that a TPU would run, compiled by XLA with static shapes.

All but the sum over replicas, for which XLA has no operation on a CPU. The other policies are in
`tests/package/test_every_class.py`.
"""

import keras
import numpy as np
import pytest

from keras_supcon import (
    ContrastiveModel,
    LinearClassifier,
    ProjectionHead,
    SupConLoss,
    augmentation,
    encoders,
    optimizers,
)
from tests.covering import every_value

pytestmark = [pytest.mark.slow, pytest.mark.tpu]

SIZE, BATCH = 16, 8


@pytest.fixture
def batches(rng):
    """Two batches of one static size, with weights as they pad the last batch of an evaluation."""
    import tensorflow as tf

    images = rng.integers(0, 256, (2 * BATCH, SIZE, SIZE, 3)).astype("uint8")
    labels = np.arange(2 * BATCH) % 4
    weights = np.float32(np.arange(2 * BATCH) < 13)
    return tf.data.Dataset.from_tensor_slices((images, labels, weights)).batch(
        BATCH, drop_remainder=True
    )


def without_weights(batches):
    return batches.map(lambda images, labels, _: (images, labels))


def schedule():
    return keras.optimizers.schedules.CosineDecay(0.0, 10, warmup_target=0.3, warmup_steps=2)


def small_encoder():
    layers = [
        keras.layers.Conv2D(8, 3, strides=2),
        keras.layers.BatchNormalization(),
        keras.layers.Flatten(),
    ]
    return keras.Sequential([keras.Input((SIZE, SIZE, 3)), *layers, keras.layers.Dense(16)])


def small_resnet():
    return encoders.ResNet(10, width=1 / 64, stem="cifar")


@every_value(
    encoder={"small encoder": small_encoder, "ResNet": small_resnet},
    micro_batch_size=[4, None],
    policy=["float32", "mixed_bfloat16"],
)
def test_pretraining_and_its_evaluation(batches, encoder, micro_batch_size, policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = ContrastiveModel(
            encoder(),
            ProjectionHead(16, hidden_units=(32,), batch_norm=True),
            augmenter=augmentation.SimAugment((SIZE, SIZE), seed=0),
            micro_batch_size=micro_batch_size,
        )
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile(
        optimizer=optimizers.LARS(schedule(), weight_decay=1e-4),
        loss=SupConLoss(),
        jit_compile=True,
    )
    history = model.fit(without_weights(batches), epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert np.isfinite(model.evaluate(without_weights(batches), verbose=0))


def test_the_linear_classifier_and_its_weighted_evaluation(batches):
    augmenter = augmentation.RandomResizedCrop((SIZE, SIZE), seed=0)
    classifier = LinearClassifier(small_encoder(), 4, augmenter=augmenter)
    rate = optimizers.WarmUp(
        keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.97, staircase=True), warmup_steps=1
    )
    classifier.compile(
        optimizer=keras.optimizers.RMSprop(rate, rho=0.9, momentum=0.9, epsilon=1e-3),
        loss="sparse_categorical_crossentropy",
        weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        jit_compile=True,
    )
    classifier.fit(without_weights(batches), epochs=1, verbose=0)
    compiled = classifier.evaluate(batches, verbose=0, return_dict=True)
    classifier.compile(
        loss="sparse_categorical_crossentropy",
        weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        jit_compile=False,
    )
    assert (
        compiled["accuracy"]
        == classifier.evaluate(batches, verbose=0, return_dict=True)["accuracy"]
    )


def test_cross_entropy(batches):
    augmenter = augmentation.RandomResizedCrop((SIZE, SIZE), seed=0)
    model = keras.Sequential([augmenter, small_encoder(), keras.layers.Dense(4)])
    model.compile(
        optimizer=optimizers.LARS(
            schedule(), nesterov=True, classic_momentum=False, exclude_from_adaptation=(".",)
        ),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=True,
    )
    history = model.fit(without_weights(batches), epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()

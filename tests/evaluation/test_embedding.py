import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon import ContrastiveModel, LinearClassifier, ProjectionHead
from keras_supcon.augmentation import MultiView, SimAugment
from keras_supcon.encoders import ResNet
from keras_supcon.evaluation import embed

pytestmark = pytest.mark.neutral


def batches(images, labels, size=50):
    return [(images[i : i + size], labels[i : i + size]) for i in range(0, len(labels), size)]


def test_embeds_every_image_in_order_in_inference_mode(digits):
    images, labels = digits[0][:120], digits[1][:120]
    encoder = ResNet(depth=10, width=0.125, stem="cifar")
    embeddings, embedded_labels = embed(encoder, batches(images, labels))
    np.testing.assert_array_equal(embedded_labels, labels)
    expected = ops.convert_to_numpy(encoder(images.astype("float32"), training=False))
    np.testing.assert_allclose(embeddings, expected, rtol=1e-3, atol=1e-5)
    assert embeddings.dtype == "float32"


def test_models_embed_what_their_encoder_saw_in_training(digits):
    # This encoder tells pixel scales apart.
    encoder = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    augmenter = SimAugment(image_size=(8, 8))
    images = digits[0][:20]
    several = MultiView([augmenter, SimAugment(image_size=(8, 8), strength=0.1)])
    models = (
        ContrastiveModel(encoder, ProjectionHead(4, hidden_units=()), augmenter=augmenter),
        ContrastiveModel(encoder, ProjectionHead(4, hidden_units=()), augmenter=several),
        LinearClassifier(encoder, 10, augmenter=augmenter),
        LinearClassifier(encoder, 10),
    )
    for model in models:
        embeddings, _ = embed(model, batches(images, digits[1][:20]))
        np.testing.assert_allclose(embeddings, images.reshape(20, 64), rtol=1e-5)


def test_arrays_give_what_their_batches_give(digits):
    images, labels = digits[0][:70], digits[1][:70]
    encoder = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(4)]
    )
    expected, expected_labels = embed(encoder, batches(images, labels, size=32))
    for arrays in (
        (images, labels),
        (ops.convert_to_tensor(images), ops.convert_to_tensor(labels)),
    ):
        embeddings, embedded_labels = embed(encoder, arrays, batch_size=32)
        np.testing.assert_array_equal(embeddings, expected)
        np.testing.assert_array_equal(embedded_labels, expected_labels)
    # Two batches are no pair of arrays, whatever holds them.
    np.testing.assert_array_equal(
        embed(encoder, tuple(batches(images, labels, size=35)))[1], labels
    )


def test_refuses_arrays_of_different_lengths(digits):
    with pytest.raises(
        ValueError,
        match=r"one length. Received: inputs of shape \(7, 8, 8, 1\), labels.shape=\(6,\)",
    ):
        embed(ResNet(18, width=0.125), (digits[0][:7], digits[1][:6]))


def test_refuses_an_empty_data_set():
    with pytest.raises(ValueError, match="`dataset` should yield at least one batch"):
        embed(ResNet(18, width=0.125), [])

"""Protocols leave an encoder bit for bit as it was, statistics and seeds included."""

import keras
import numpy as np
import pytest

from keras_supcon import ContrastiveModel, ProjectionHead
from keras_supcon import evaluation as E  # noqa: N812
from keras_supcon.augmentation import SimAugment

pytestmark = pytest.mark.neutral


def model_with_state():
    """Returns a model with batch statistics, dropout and an augmenter that draws."""
    encoder = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(12),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Dropout(0.2, seed=1),
        ]
    )
    model = ContrastiveModel(
        encoder,
        ProjectionHead(4, hidden_units=(), batch_norm=True),
        augmenter=SimAugment(image_size=(8, 8), seed=3),
    )
    model(np.zeros((2, 8, 8, 1), "uint8"))
    return model


def test_every_protocol_that_sees_the_encoder(digits):
    train = digits[0][:300], digits[1][:300]
    test = digits[0][300:500], digits[1][300:500]
    model = model_with_state()
    before = [keras.ops.convert_to_numpy(one).copy() for one in model.variables]
    trainable = [one.trainable for one in model.variables]

    embeddings = [*E.embed(model, train), *E.embed(model, test)]
    probe = E.linear_evaluation(*embeddings).probe
    E.corruption_robustness((model, probe), *test, names=("fog",))
    E.projection_head_analysis(model, train, test, transformations=("rotation",))
    sets = [E.TransferDataset("digits", lambda split: [train if split == "train" else test])]
    assert E.transfer_evaluation(model, sets).failed == {}
    E.fine_tune(model.encoder, train, test, steps=3, learning_rates=(0.1,), weight_decays=(0.0,))
    E.classify(keras.Sequential([model.encoder, keras.layers.Softmax()]), test)

    assert [one.trainable for one in model.variables] == trainable
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(variable), value, err_msg=variable.path
        )

import keras
import numpy as np
import pytest

from keras_supcon import ContrastiveModel, ProjectionHead, SupConLoss
from keras_supcon.augmentation import RandomResizedCrop


@pytest.mark.slow
def test_a_keras_applications_network_is_an_encoder(digits):
    images = np.repeat(np.pad(digits[0][:4], ((0, 0), (12, 12), (12, 12), (0, 0))), 3, axis=-1)
    encoder = keras.applications.MobileNetV3Small(include_top=False, pooling="avg", weights=None, input_shape=(32, 32, 3))
    model = ContrastiveModel(encoder, ProjectionHead(8, (16,)), RandomResizedCrop((32, 32)))
    model.compile(optimizer="sgd", loss=SupConLoss())
    model.fit(images, digits[1][:4], verbose=0)
    assert model.embed(images).shape == (4, 576)

"""keras-cv layers as augmenter."""

import keras
import numpy as np
import pytest

from keras_supcon import ContrastiveModel, LinearClassifier, ProjectionHead, SupConLoss


def augmenters() -> dict[str, keras.layers.Layer]:
    import keras_cv

    def jitter():
        return keras_cv.layers.RandomBrightness(0.5, value_range=(0, 255), seed=1)

    return {
        "layer": jitter(),
        "sequential": keras.Sequential([keras.layers.RandomFlip(), jitter()]),
        "pipeline": keras.layers.Pipeline([keras.layers.RandomFlip(), jitter()]),
    }


@pytest.mark.parametrize("form", ["layer", "sequential", "pipeline"])
def test_augments_in_fit_and_not_in_predict(rng, form):
    augmenter = augmenters()[form]
    encoder = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(6)])
    images = rng.integers(0, 256, (8, 8, 8, 3)).astype("float32")
    model = ContrastiveModel(encoder, ProjectionHead(4, ()), augmenter=augmenter)
    model.compile(optimizer="sgd", loss=SupConLoss())
    model.fit(images, np.arange(8) % 2, verbose=0)
    first, second = (model.predict(images, verbose=0) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    views = model(images, training=True).numpy()
    assert not np.allclose(views[:, 0], views[:, 1], atol=1e-4)

    classifier = LinearClassifier(encoder, 2, augmenter=augmenter)
    first, second = (classifier.predict(images, verbose=0) for _ in range(2))
    np.testing.assert_array_equal(first, second)

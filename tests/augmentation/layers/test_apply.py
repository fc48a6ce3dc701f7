import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon.augmentation import Invert, RandomApply, RandomResizedCrop, SimAugment

pytestmark = pytest.mark.neutral


def test_the_layer_changes_the_stated_fraction_of_the_images(rng):
    images = rng.integers(0, 256, (4000, 2, 2, 3)).astype("uint8")
    applied = ops.convert_to_numpy(
        RandomApply(Invert(), probability=0.3, seed=1)(images, training=True)
    )
    changed = np.all(applied == 255 - images.astype("float32"), axis=(1, 2, 3))
    np.testing.assert_array_equal(applied[~changed], images[~changed])
    assert abs(changed.mean() - 0.3) < 0.03


def test_layers_of_one_seed_do_not_share_their_draws():
    """With one layer in the other, 0.5 of 0.5 of the images change."""
    layer = RandomApply(Invert(probability=0.5, seed=7), probability=0.5, seed=7)
    fraction = np.mean(
        ops.convert_to_numpy(layer(np.zeros((4000, 1, 1, 1), "uint8"), training=True)) == 255
    )
    assert abs(fraction - 0.25) < 0.03


def test_takes_layers_of_keras(rng):
    images = rng.integers(0, 256, (64, 4, 4, 3)).astype("uint8")
    layer = RandomApply(keras.layers.RandomInvert(factor=1.0), probability=0.5, seed=1)
    applied = ops.convert_to_numpy(layer(images, training=True))
    changed = np.all(applied == 255 - images.astype("float32"), axis=(1, 2, 3))
    assert 0 < changed.sum() < 64
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(images, training=False)), images)


def test_refuses_what_is_no_layer_and_layers_that_change_the_shape():
    with pytest.raises(ValueError, match="`layer` should be a Keras layer. Received: layer=<"):
        RandomApply(lambda images: images)
    with pytest.raises(
        ValueError, match="`probability` should be between 0 and 1. Received: probability=1.5"
    ):
        RandomApply(Invert(), probability=1.5)
    with pytest.raises(
        ValueError,
        match="`layer` should give images of the shape that it takes. Received: layer=smaller",
    ):
        RandomApply(RandomResizedCrop((4, 4), name="smaller"))(
            np.zeros((2, 8, 8, 3), "uint8"), training=True
        )
    with pytest.raises(ValueError, match="`layer` should give images of the range that it takes"):
        RandomApply(SimAugment((8, 8)))

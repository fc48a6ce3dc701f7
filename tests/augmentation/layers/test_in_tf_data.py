"""The layers inside `tf.data.Dataset.map`."""

import functools
import warnings

import numpy as np
import pytest

from tests.augmentation.layers.test_every_layer import make
from tests.covering import representatives
from tests.public_classes import AUGMENTATIONS, same_images

# One of each family of operations.
FAMILIES = [
    "SimAugment",
    "AutoAugment",
    "RandomResizedCrop",
    "RandomGaussianBlur",
    "RandomWarp",
    "Rotate",
    "Equalize",
    "Color",
    "Cutout",
]


@pytest.mark.slow
@representatives("name", FAMILIES, [name for name in AUGMENTATIONS if name not in FAMILIES])
def test_maps_single_images(name):
    """`tests/package/test_every_class.py` maps dictionaries of batches through every layer."""
    import tensorflow as tf

    images, layer = same_images(), make(name, seed=1, dtype="mixed_bfloat16")
    dataset = tf.data.Dataset.from_tensor_slices(images).map(
        lambda image: layer(image, training=True)
    )
    views = list(dataset)
    assert views[0].dtype == tf.bfloat16
    assert views[0].shape == tuple(layer.compute_output_shape(images.shape[1:]))
    assert len({view.numpy().tobytes() for view in views}) > 1


def test_sharpness_of_single_images_of_every_size(rng):
    """The inner pixels are those of an image of known size."""
    import tensorflow as tf

    from keras_supcon.augmentation import Sharpness

    layer = Sharpness(0.0)
    for size in ((1, 1), (2, 5), (3, 3), (6, 4)):
        image = rng.integers(0, 256, (*size, 3)).astype("uint8")
        files = tf.data.Dataset.from_generator(
            lambda image=image: [image], output_signature=tf.TensorSpec((None, None, 3), tf.uint8)
        )
        augment = functools.partial(layer, training=True)
        np.testing.assert_allclose(next(iter(files.map(augment))), augment(image), atol=1e-3)


def test_single_images_of_every_size_give_one_size(rng):
    """The size of decoded files is unknown before the map runs."""
    import tensorflow as tf

    from keras_supcon.augmentation import AutoAugment, CenterCropResize, SimAugment

    def images():
        for size in ((7, 300), (64, 48), (200, 90), (1, 1)):
            yield rng.integers(0, 256, (*size, 3)).astype("uint8")

    files = tf.data.Dataset.from_generator(
        images, output_signature=tf.TensorSpec((None, None, 3), tf.uint8)
    )
    for layer in (SimAugment((24, 20)), AutoAugment((24, 20)), CenterCropResize((24, 20))):
        views = next(
            iter(files.map(lambda image, layer=layer: layer(image, training=True)).batch(4))
        )
        assert views.shape == (4, 24, 20, 3)
        assert 0 <= float(tf.reduce_min(views)) <= float(tf.reduce_max(views)) <= 1.0001


def test_a_map_that_does_not_say_training_leaves_images_alone_and_warns():
    import tensorflow as tf

    from keras_supcon.augmentation import CenterCropResize, MultiView, SimAugment

    images, told = tf.data.Dataset.from_tensors(same_images()), make("Invert")
    for layer in (make("Invert"), MultiView(SimAugment((16, 16)))):
        plain = next(iter(images.map(functools.partial(layer, training=False))))
        with pytest.warns(
            UserWarning,
            match=r"does not augment in this map of `tf.data`.*layer\(images, training=True\)",
        ) as caught:
            untold = images.map(layer)
        assert [warning.filename for warning in caught] == [__file__]
        np.testing.assert_array_equal(next(iter(untold)), plain)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images.map(CenterCropResize((8, 8)))  # the same with and without training
        for training in (True, False):
            images.map(functools.partial(told, training=training))
        tf.function(told)(same_images())

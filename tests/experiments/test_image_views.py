"""Views of whole images, and of crops that the host has decoded."""

import keras
import numpy as np
import pytest

from keras_supcon import recipes
from keras_supcon.experiments.image_views import ViewsInModel, ViewsOnHost
from keras_supcon.models import PretrainingModel

SIZE = (24, 24)


class Seen(keras.layers.Layer):
    """Features that are the pixels of the encoder."""

    def call(self, images, training=False):
        return keras.ops.reshape(images, (-1, images.shape[1] * images.shape[2] * images.shape[3]))


def training_views(views: ViewsInModel, samples: np.ndarray) -> np.ndarray:
    """The views `(batch, views, h, w, c)` that the encoder of pre-training gets."""
    model = PretrainingModel(
        keras.Sequential([keras.Input((*SIZE, 3)), Seen()]),
        augmenter=views.pretraining_augmenter(),
        num_views=2,
    )
    model.build((None, *views.pretraining_shape))
    seen = keras.ops.convert_to_numpy(model(samples, training=True))
    return seen.reshape(len(samples), 2, *SIZE, 3)


@pytest.fixture(scope="module")
def image():
    """A colorful image of 48 x 48 pixels, encoded, whose crops have all about one mean."""
    import tensorflow as tf

    pixels = np.random.default_rng(0).integers(0, 256, (48, 48, 3)).astype("uint8")
    return pixels, tf.io.encode_png(pixels)


@pytest.mark.parametrize("recipe", ["simclrv1_imagenet_resnet50", "byol_imagenet_resnet50"])
def test_the_encoder_sees_crops_of_the_host_in_the_range_of_whole_images(recipe, image):
    import tensorflow as tf

    recipe, (pixels, encoded) = recipes.get(recipe), image
    arguments = (recipe, "imagenet2012", SIZE, 0)
    on_host, in_model = ViewsOnHost(*arguments), ViewsInModel(*arguments)
    crop = on_host.map_image(recipe.training, 2)
    samples = np.stack([crop(encoded, tf.constant([1, number])).numpy() for number in range(16)])
    assert samples.shape == (16, 48, 24, 3)
    assert samples.dtype == "uint8"
    views = training_views(on_host, samples)
    whole = training_views(in_model, np.repeat(pixels[None], 16, axis=0))
    for seen in (views, whole):
        assert 0 <= seen.min() <= seen.max() <= 255.01
        assert seen.mean() == pytest.approx(pixels.mean(), rel=0.2)
        assert seen.std() > 10
    # Each view is of its own crop, and has its own colors.
    ours, others = views[:, 0].reshape(16, -1), views[:, 1].reshape(16, -1)
    assert all(abs(np.corrcoef(a, b)[0, 1]) < 0.9 for a, b in zip(ours, others, strict=True))
    colors = views.mean(axis=(2, 3))
    assert np.abs(colors[:, 0] - colors[:, 1]).max(axis=1).min() > 0.1


def test_a_crop_for_a_classifier_is_an_image(image):
    import tensorflow as tf

    recipe = recipes.get("moco_imagenet_resnet50")
    views = ViewsOnHost(recipe, "imagenet2012", SIZE, 0)
    crop = views.map_image(recipe.linear_classifier, 1)(image[1], tf.constant([1, 2]))
    assert crop.shape == (*SIZE, 3)


def test_crops_of_one_sample_differ_only_by_their_place_in_the_sample():
    from keras_supcon.experiments.image_views import TakeCrop

    samples = np.arange(2 * 6 * 2 * 3).reshape(2, 6, 2, 3).astype("uint8")
    for place in range(3):
        taken = TakeCrop(place, height=2)(samples)
        np.testing.assert_array_equal(taken, samples[:, 2 * place : 2 * place + 2])
    assert TakeCrop.from_config(TakeCrop(1, height=2).get_config()).place == 1

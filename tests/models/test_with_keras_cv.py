"""Layers of keras-cv as augmenter."""

import json

import keras
import numpy as np
import pytest

from keras_supcon import ContrastiveModel, LinearClassifier, ProjectionHead, SupConLoss
from keras_supcon.augmentation import RandomApply
from keras_supcon.augmentation.any_layer import as_augmenter, call_augmenter, deserialize_augmenter
from tests.covering import every_value


def flip_and_scale() -> list[keras.layers.Layer]:
    from keras_cv import layers

    return [layers.RandomFlip(), layers.RandomBrightness(0.5), keras.layers.Rescaling(1 / 255)]


def augmenter_of_the_form(form: str) -> keras.layers.Layer:
    from keras_cv import layers

    brightness = layers.RandomBrightness(0.5)
    return {
        "layer": lambda: brightness,
        "layer that sets the size": lambda: layers.RandomCropAndResize(
            (8, 8), (0.3, 1.0), (0.8, 1.2)
        ),
        "Sequential": lambda: keras.Sequential(flip_and_scale()),
        "Pipeline": lambda: keras.layers.Pipeline(flip_and_scale()),
        "Augmenter": lambda: layers.Augmenter(flip_and_scale()),
        "RandomAugmentationPipeline": lambda: layers.RandomAugmentationPipeline(
            [brightness, layers.RandomFlip()], 1
        ),
        "RandomApply": lambda: layers.RandomApply(brightness, rate=0.9),
        "RandomChoice": lambda: layers.RandomChoice([brightness, layers.RandomFlip()]),
        "our RandomApply": lambda: RandomApply(brightness, probability=0.9),
    }[form]()


FORMS = [
    "layer",
    "layer that sets the size",
    "Sequential",
    "Pipeline",
    "Augmenter",
    "RandomAugmentationPipeline",
    "RandomApply",
    "RandomChoice",
    "our RandomApply",
]
SCALING = {"Sequential", "Pipeline", "Augmenter"}


def flat_encoder() -> keras.Model:
    return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(6)])


@pytest.mark.slow
@every_value(form=FORMS, is_traced=[True, False])
def test_augments_in_training_and_not_elsewhere_and_comes_back_from_a_file(
    rng, tmp_path, form, is_traced
):
    images = rng.integers(0, 256, (8, 8, 8, 3)).astype("uint8")
    labels = np.arange(8) % 2
    model = ContrastiveModel(
        flat_encoder(), ProjectionHead(4, hidden_units=()), augmenter=augmenter_of_the_form(form)
    )
    if is_traced:
        model.compile(optimizer="sgd", loss=SupConLoss())
        model.fit(images, labels, verbose=0)
    views = np.asarray(model(images, training=True))
    assert not np.allclose(views[:, 0], views[:, 1], atol=1e-4)

    expected = model.predict(images, verbose=0) if is_traced else np.asarray(model(images))
    plain = images / 255 if form in SCALING else images.astype("float32")
    np.testing.assert_allclose(
        model.projection_head(model.encoder(plain)), expected[:, 0], rtol=1e-4, atol=1e-5
    )

    model.save(tmp_path / "model.keras")
    reloaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(reloaded(images), expected, rtol=1e-4, atol=1e-5)
    views = np.asarray(reloaded(images, training=True))
    assert not np.allclose(views[:, 0], views[:, 1], atol=1e-4)


@pytest.mark.parametrize("form", ["Augmenter", "RandomApply"])
def test_a_classifier_augments_in_fit_only_too(rng, tmp_path, form):
    images = rng.integers(0, 256, (8, 8, 8, 3)).astype("uint8")
    labels = np.arange(8) % 2
    classifier = LinearClassifier(
        flat_encoder(), 2, augmenter=augmenter_of_the_form(form), classifier_activation=None
    )
    classifier.compile(
        optimizer="sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    classifier.fit(images, labels, verbose=0)
    plain = images / 255 if form in SCALING else images.astype("float32")
    logits = classifier.head(classifier.encoder(plain))
    np.testing.assert_allclose(classifier.predict(images, verbose=0), logits, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        classifier.evaluate(images, labels, verbose=0), classifier.loss(labels, logits), rtol=1e-4
    )
    assert not np.allclose(classifier(images, training=True), logits, atol=1e-3)
    classifier.save(tmp_path / "model.keras")
    np.testing.assert_allclose(
        keras.saving.load_model(tmp_path / "model.keras")(images), logits, rtol=1e-4, atol=1e-4
    )


def test_an_augmenter_becomes_a_pipeline_that_does_the_same(rng):
    from keras_cv import layers

    parts = [layers.Grayscale(3), layers.Rescaling(0.5), keras.layers.Rescaling(2.0, 1.0)]
    images = rng.integers(0, 256, (2, 8, 8, 3)).astype("float32")
    expected = layers.Augmenter(parts)(images)
    pipeline = as_augmenter(layers.Augmenter([parts[0], layers.Augmenter(parts[1:])]))
    for training in (True, False):  # nothing here is random
        np.testing.assert_array_equal(call_augmenter(pipeline, images, training), expected)


def test_containers_of_keras_cv_within_each_other_come_back_with_their_layers(rng):
    from keras_cv import layers

    inner = layers.RandomApply(layers.RandomChoice([layers.Rescaling(0.5)]), rate=1.0)
    augmenter = keras.layers.Pipeline(
        [layers.RandomAugmentationPipeline([layers.RandomChoice([inner])], 1)]
    )
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(augmenter)))
    images = rng.uniform(size=(2, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(deserialize_augmenter(config)(images), images / 2, rtol=1e-6)


def test_layers_of_the_user_that_extend_keras_cv_are_left_out_at_inference(rng):
    from keras_cv import layers

    class AddOne(layers.BaseImageAugmentationLayer):
        def augment_image(self, image, transformation, **kwargs):
            return image + 1.0

    images = rng.uniform(size=(2, 8, 8, 3)).astype("float32")
    for augmenter in (AddOne(), keras.layers.Pipeline([keras.layers.Pipeline([AddOne()])])):
        np.testing.assert_allclose(call_augmenter(augmenter, images, training=True), images + 1)
        np.testing.assert_array_equal(call_augmenter(augmenter, images, training=False), images)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        (
            "RandomCropAndResize",
            {
                "target_size": (6, 5),
                "crop_area_factor": (0.3, 1),
                "aspect_ratio_factor": (0.8, 1.2),
            },
        ),
        ("RandomCrop", {"height": 6, "width": 5}),
        ("JitteredResize", {"target_size": (6, 5), "scale_factor": (0.8, 1.2)}),
        ("Resizing", {"height": 6, "width": 5}),
    ],
)
def test_layers_that_set_the_size_set_it_at_inference_too(name, arguments):
    from keras_cv import layers

    ramp = np.broadcast_to(
        np.linspace(0, 11, 12, dtype="float32")[None, :, None, None], (2, 12, 10, 3)
    )
    out = np.asarray(call_augmenter(getattr(layers, name)(**arguments), ramp, training=False))
    assert out.shape == (2, 6, 5, 3)
    assert out[0, 0, 0, 0] < 1
    assert out[0, -1, 0, 0] > 10  # the whole image, first to last row


def test_views_and_layers_of_a_compiled_step_are_independent_though_a_global_seed_is_set():
    import tensorflow as tf
    from keras_cv import layers

    class DarkenOneChannel(layers.RandomBrightness):
        def __init__(self, channel):
            super().__init__((-1.0, 0.0))
            self.channel = tf.one_hot(channel, 3)

        def augment_images(self, images, transformations, **kwargs):
            return images + transformations * self.channel

    keras.utils.set_random_seed(7)
    pipeline = [
        layers.RandomAugmentationPipeline([DarkenOneChannel(channel)], 1) for channel in range(3)
    ]
    augmenter = keras.layers.Pipeline(pipeline)
    black = np.zeros((200, 1, 1, 3), "float32")

    def two_views(images):
        return [call_augmenter(augmenter, images, training=True) for _ in range(2)]

    views = tf.function(two_views, autograph=False)(black)
    draws = np.concatenate([np.asarray(view)[:, 0, 0] for view in views], axis=1)
    correlations = np.corrcoef(draws.T)[np.triu_indices(6, 1)]
    assert np.abs(correlations).max() < 0.3  # four standard errors


def test_xla_is_left_off_where_keras_would_turn_it_on():
    model = ContrastiveModel(
        flat_encoder(),
        ProjectionHead(4, hidden_units=()),
        augmenter=augmenter_of_the_form("layer that sets the size"),
    )
    with pytest.warns(UserWarning, match="doesn't support `jit_compile=True`"):
        model.compile(optimizer="sgd", loss=SupConLoss(), jit_compile=True)

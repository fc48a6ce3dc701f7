"""Pixels reach the encoder as they come, in every stage, whatever their dtype."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_supcon import (
    ContrastiveModel,
    LinearClassifier,
    NTXentLoss,
    ProjectionHead,
    SupConLoss,
    evaluation,
)
from keras_supcon.augmentation import (
    CenterCropResize,
    Invert,
    MultiView,
    RandomResizedCrop,
    SimAugment,
)
from tests.covering import every_pair

pytestmark = [
    pytest.mark.neutral,
    pytest.mark.filterwarnings("ignore:.*has nothing before it that scales"),
]

QUIET = {"image_size": (4, 4), "crop_area": (1.0, 1.0), "flip_probability": 0.0, "seed": 1}


@keras.saving.register_keras_serializable(package="tests")
class Brightest(layers.Layer):
    """Gives the largest and the smallest pixel, and keeps what it saw in training."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seen = self.add_weight(shape=(2,), initializer="zeros", trainable=False)

    def call(self, images, training=False):
        flat = ops.reshape(images, (-1, int(np.prod(images.shape[1:]))))
        extremes = ops.stack([ops.max(flat, axis=1), ops.min(flat, axis=1)], axis=1)
        if training:
            self.seen.assign(ops.stack([ops.max(extremes), ops.min(extremes)]))
        return extremes

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 2)


def quiet_policies(value_range):
    jitter = {"strength": 0.0, "blur_probability": 0.0, "grayscale_probability": 0.0, **QUIET}
    quiet = {"SimAugment": SimAugment(value_range=value_range, **jitter)}
    quiet["CenterCropResize"] = CenterCropResize(
        (4, 4), method="crop_then_resize", crop_padding=0, value_range=value_range
    )
    quiet["MultiView"] = MultiView(SimAugment(value_range=value_range, **jitter))
    quiet["in a Sequential"] = keras.Sequential([SimAugment(value_range=value_range, **jitter)])
    quiet["RandomResizedCrop"] = RandomResizedCrop(**QUIET)
    quiet["of Keras"] = layers.RandomFlip(seed=1)
    quiet["none"] = None
    return quiet


@every_pair(
    name=[
        "SimAugment",
        "CenterCropResize",
        "MultiView",
        "in a Sequential",
        "RandomResizedCrop",
        "of Keras",
        "none",
    ],
    value_range=[(0, 255), (0, 1), (-1, 1)],
    dtype=["uint8", "float32", "int64"],
)
def test_every_stage_sees_the_range_that_comes_in(name, value_range, dtype):
    low, high = value_range
    if value_range != (0, 255):
        dtype = "float32"
    images = np.full((4, 4, 4, 3), high, dtype)
    images[:, 1:3, 1:3] = low
    encoder = Brightest()
    model = ContrastiveModel(
        encoder,
        ProjectionHead(2, hidden_units=()),
        augmenter=quiet_policies(value_range)[name],
    )
    # Tracing would take most of the time.
    model.compile(
        optimizer=keras.optimizers.SGD(0.0),
        loss=SupConLoss(),
        run_eagerly=keras.backend.backend() == "tensorflow",
    )
    model.fit(images, np.arange(4) % 2, verbose=0)
    np.testing.assert_allclose(
        ops.convert_to_numpy(encoder.seen), [high, low], atol=1e-5 * (high - low)
    )
    expected = np.tile(np.array([[high, low]], "float32"), (4, 1))
    classifier = LinearClassifier(encoder, 2)
    with_augmenter = LinearClassifier(encoder, 2, augmenter=model.augmenter)
    for one in (model, classifier, with_augmenter, encoder):
        embeddings, _ = evaluation.embed(one, (images, np.zeros(4)))
        np.testing.assert_allclose(embeddings, expected, atol=1e-5 * (high - low))
    np.testing.assert_allclose(
        ops.convert_to_numpy(model.embed(images)), expected, atol=1e-5 * (high - low)
    )


@pytest.mark.slow
@pytest.mark.parametrize("micro_batch_size", [None, 2])
def test_the_cached_step_sees_it_as_well(micro_batch_size):
    images = np.full((4, 4, 4, 3), 255, "uint8")
    encoder = Brightest()
    model = ContrastiveModel(
        encoder, augmenter=quiet_policies((0, 255))["SimAugment"], micro_batch_size=micro_batch_size
    )
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss=NTXentLoss())
    model.fit(images, batch_size=4, verbose=0)
    assert (
        float(encoder.seen[0]) == pytest.approx(255, rel=1e-5) or micro_batch_size
    )  # the cached step averages the states
    if micro_batch_size:
        assert float(encoder.seen[0]) > 1


@pytest.mark.parametrize("layer", ["Resizing", "RandomBrightness", "CenterCrop"])
def test_layers_of_keras_give_integers_what_they_give_floats(layer, rng):
    images = rng.integers(0, 256, (3, 5, 5, 1)).astype("uint8")
    augmenter = {
        "Resizing": lambda: layers.Resizing(3, 3),
        "RandomBrightness": lambda: layers.RandomBrightness(0.3, seed=1),
        "CenterCrop": lambda: layers.CenterCrop(3, 3),
    }[layer]()
    model = ContrastiveModel(keras.Sequential([layers.Flatten()]), augmenter=augmenter)
    integers, floats = (
        ops.convert_to_numpy(model.embed(form)) for form in (images, images.astype("float32"))
    )
    np.testing.assert_array_equal(integers, floats)


def test_views_made_before_keep_their_range():
    encoder = keras.Sequential([keras.Input((2, 2, 1)), layers.Flatten()])
    model = ContrastiveModel(
        encoder, ProjectionHead(4, hidden_units=()), augmenter=SimAugment(image_size=(2, 2))
    )
    views = np.linspace(0, 1, 3 * 2 * 4, dtype="float32").reshape(3, 2, 2, 2, 1)
    expected = ops.convert_to_numpy(model.projection_head(views[:, 1].reshape(3, 4)))
    np.testing.assert_allclose(ops.convert_to_numpy(model(views))[:, 1], expected, rtol=1e-5)


def test_views_of_different_ranges_are_refused():
    policy, operation = SimAugment(image_size=(4, 4), seed=1), RandomResizedCrop((4, 4), seed=2)
    with pytest.raises(
        ValueError, match="`augmenter` should give pixels of one range in every view"
    ):
        ContrastiveModel(Brightest(), augmenter=MultiView([policy, operation]))
    # Of [0, 1] both keep the range.
    policy = SimAugment(image_size=(4, 4), seed=1, value_range=(0, 1))
    ContrastiveModel(Brightest(), augmenter=MultiView([policy, RandomResizedCrop((4, 4), seed=2)]))


READERS = {
    "convolution": ([layers.Conv2D(2, 3)], "conv2d"),
    "padding first": ([layers.ZeroPadding2D(1), layers.Flatten(), layers.Dense(2)], "dense"),
    "rescaling first": ([layers.Rescaling(1 / 255), layers.Conv2D(2, 3)], None),
    "normalization first": ([layers.BatchNormalization(), layers.Conv2D(2, 3)], None),
    "a layer of the user": ([Brightest()], None),
}


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize("case", READERS)
def test_warns_of_weights_that_read_unscaled_pixels(case, recwarn):
    parts, reader = READERS[case]
    encoder = keras.Sequential(
        [keras.Input((8, 8, 3)), *[type(part).from_config(part.get_config()) for part in parts]]
    )
    if len(encoder.output_shape) == 4:
        encoder.add(layers.GlobalAveragePooling2D())
    model = ContrastiveModel(encoder, augmenter=SimAugment(image_size=(8, 8)))
    model.build((None, 8, 8, 3))
    classifier = LinearClassifier(encoder, 3)
    classifier(np.zeros((2, 8, 8, 3), "uint8"))
    messages = [
        str(one.message)
        for one in recwarn
        if "has nothing before it that scales" in str(one.message)
    ]
    assert len(messages) == (2 if reader else 0)
    if reader:
        assert all(part in messages[0] for part in ("from 0 to 255", reader, "Rescaling(1 / 255)"))


@pytest.mark.filterwarnings("always")
def test_does_not_warn_of_what_is_not_known_to_be_wide(recwarn):
    encoder = keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(3)])
    ContrastiveModel(encoder, augmenter=SimAugment(image_size=(8, 8), value_range=(0, 1))).build(
        (None, 8, 8, 3)
    )
    LinearClassifier(encoder, 3)(np.zeros((2, 8, 8, 3), "float32"))
    ContrastiveModel(keras.Sequential([keras.Input((8,)), layers.Dense(3)]))(
        np.zeros((2, 8), "int32")
    )
    assert not [one for one in recwarn if "scales" in str(one.message)]


def test_warns_of_an_augmenter_that_scales_for_one_stage_alone():
    augmenter = keras.Sequential([layers.RandomFlip(), layers.Rescaling(1 / 255)])
    with pytest.warns(UserWarning, match="Move the scaling to the beginning of the encoder"):
        model = ContrastiveModel(Brightest(), augmenter=augmenter)
    images = np.full((2, 4, 4, 3), 255, "uint8")
    # It is the range that the user chose, and nothing is added to it.
    np.testing.assert_allclose(ops.convert_to_numpy(model.embed(images)), 1.0, rtol=1e-6)


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize("stage", ["contrastive", "classifier"])
def test_warns_of_a_file_of_the_version_that_scaled(stage, recwarn):
    encoder = keras.Sequential(
        [keras.Input((4, 4, 3)), layers.Rescaling(0.1), layers.Flatten(), layers.Dense(3)]
    )
    model = ContrastiveModel(encoder) if stage == "contrastive" else LinearClassifier(encoder, 3)
    model.build((None, 4, 4, 3))
    config = keras.saving.serialize_keras_object(model)
    keras.saving.deserialize_keras_object(config)
    assert not [one for one in recwarn if "was saved by a version" in str(one.message)]
    del config["build_config"]["input_dtype"]
    with pytest.warns(UserWarning, match=r"was saved by a version .* that scaled"):
        keras.saving.deserialize_keras_object(config)


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a SavedModel is TensorFlow's")
@pytest.mark.parametrize("stage", ["contrastive", "classifier"])
def test_what_is_served_is_what_was_evaluated(stage, rng, tmp_path):
    import tensorflow as tf

    images, labels = rng.integers(0, 256, (32, 8, 8, 3)).astype("uint8"), np.arange(32) % 4
    encoder = keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(16, "relu")])
    if stage == "contrastive":
        model = ContrastiveModel(
            encoder,
            ProjectionHead(4, hidden_units=()),
            augmenter=SimAugment(image_size=(8, 8), seed=1),
        )
        model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=SupConLoss())
    else:
        model = LinearClassifier(encoder, 4)
        model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    model.fit(images, labels, verbose=0)
    expected = model.predict(images, verbose=0)
    np.testing.assert_array_equal(model.predict(images.astype("float32"), verbose=0), expected)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for one in (model, again):  # a loaded model need not be called before
        one.export(tmp_path / "floats", verbose=False)
        served = tf.saved_model.load(tmp_path / "floats")
        np.testing.assert_allclose(
            served.serve(images.astype("float32")), expected, rtol=1e-5, atol=1e-6
        )
        signature = [keras.InputSpec(shape=(None, 8, 8, 3), dtype="uint8")]
        one.export(tmp_path / "integers", verbose=False, input_signature=signature)
        served = tf.saved_model.load(tmp_path / "integers")
        np.testing.assert_allclose(served.serve(images), expected, rtol=1e-5, atol=1e-6)


def chain(*parts):
    return layers.Pipeline(
        [SimAugment(image_size=(4, 4), strength=0.0, crop_area=(1.0, 1.0), seed=1), *parts]
    )


CHAINS = {
    "a flip after the policy": (lambda: chain(layers.RandomFlip()), 255.0),
    "noise after the policy": (lambda: chain(layers.GaussianNoise(0.0)), 255.0),
    "resizing before the policy": (
        lambda: layers.Pipeline([layers.Resizing(4, 4), *chain().layers]),
        255.0,
    ),
    "scaling after the policy": (lambda: chain(layers.Rescaling(2.0)), 2.0),
    "unknown after the policy": (lambda: chain(layers.Lambda(lambda images: images * 2.0)), 2.0),
}


@pytest.mark.parametrize("case", CHAINS)
@pytest.mark.filterwarnings("ignore:`augmenter` holds")
def test_only_what_keeps_the_range_may_follow_a_policy(case):
    make, expected = CHAINS[case]
    images = np.full((2, 4, 4, 3), 255, "uint8")
    model = ContrastiveModel(Brightest(), augmenter=make())
    for training in (False, True):
        seen = ops.convert_to_numpy(
            model.encode(model._views(images, training)[:, 0], training=False)
        )
        np.testing.assert_allclose(seen, expected, rtol=1e-5)


def test_keras_layers_beside_ours_get_integers_as_floats_too(rng):
    images = rng.integers(0, 256, (3, 11, 11, 3)).astype("uint8")
    augmenter = layers.Pipeline([layers.Resizing(8, 8), SimAugment(image_size=(8, 8))])
    model = ContrastiveModel(keras.Sequential([layers.Flatten()]), augmenter=augmenter)
    integers, floats = (
        ops.convert_to_numpy(model.embed(form)) for form in (images, images.astype("float32"))
    )
    np.testing.assert_array_equal(integers, floats)


class Wrapped(layers.Layer):
    """A user's layer around a policy, which models know nothing of; without `training` it is left
    out at inference.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.policy = SimAugment(image_size=(4, 4))

    def call(self, images):
        return self.policy(images)


def test_what_is_left_out_at_inference_is_not_stretched():
    with pytest.warns(
        UserWarning, match="pixels of a range that other models of the same encoder do not see"
    ):
        model = ContrastiveModel(Brightest(), augmenter=Wrapped())
    for dtype in ("uint8", "float32"):
        assert float(ops.max(model.embed(np.full((2, 4, 4, 3), 255, dtype)))) == 255


def test_an_encoder_that_declares_integers_gets_rounded_views():
    encoder = keras.Sequential([keras.Input((4, 4, 3), dtype="uint8"), layers.Flatten()])
    model = ContrastiveModel(encoder, augmenter=SimAugment(image_size=(4, 4)))
    images = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 3)).astype("uint8")
    views = ops.convert_to_numpy(model._views(images, True))[:, 0].reshape(8, -1)
    features = ops.convert_to_numpy(
        model.encode(ops.convert_to_tensor(views.reshape(8, 4, 4, 3)), training=False)
    )
    assert np.abs(features.astype("float32") - views).max() <= 0.5 + 1e-4


class Divides(keras.Model):
    def __init__(self):
        super().__init__()
        self.convolution = layers.Conv2D(2, 3)

    def call(self, images):
        return ops.mean(self.convolution(images / 255), axis=(1, 2))


@pytest.mark.filterwarnings("default")
def test_does_not_warn_of_encoders_of_which_nothing_is_known(recwarn):
    LinearClassifier(Divides(), 3)(np.zeros((2, 8, 8, 3), "uint8"))
    boards = keras.Sequential([keras.Input((8, 8, 12)), layers.Flatten(), layers.Dense(3)])
    LinearClassifier(boards, 3)(np.zeros((2, 8, 8, 12), "uint8"))
    image, table = keras.Input((4, 4, 3), name="images"), keras.Input((5,), name="table")
    merged = layers.Concatenate()(
        [layers.Flatten()(layers.Rescaling(1 / 255)(image)), layers.Dense(3)(table)]
    )
    both = keras.Model({"images": image, "table": table}, merged)
    model = ContrastiveModel(both, augmenter=SimAugment(image_size=(4, 4)))
    model({"images": np.zeros((2, 4, 4, 3), "uint8"), "table": np.zeros((2, 5), "float32")})
    assert not [one for one in recwarn if "scales" in str(one.message)]


@pytest.mark.slow
def test_fit_warns_of_floats_up_to_1_for_a_policy_of_0_to_255(rng):
    images, labels = rng.uniform(size=(8, 4, 4, 1)).astype("float32"), np.arange(8) % 2
    encoder = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    for value_range, warns in (((0, 255), True), ((0, 1), False)):
        policy = SimAugment(image_size=(4, 4), value_range=value_range, name="mine")
        model = ContrastiveModel(encoder, ProjectionHead(2, hidden_units=()), augmenter=policy)
        model.compile(optimizer="sgd", loss=SupConLoss(), jit_compile=False)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(images, labels, verbose=0)
        assert (
            any(
                "`mine` takes its pixels for 0 to 255" in str(warning.message) for warning in caught
            )
            == warns
        )


def test_fit_warns_once_of_what_layers_see_too_and_at_its_own_line(rng):
    images, labels = rng.uniform(size=(8, 4, 4, 1)).astype("float32"), np.arange(8) % 2
    encoder = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    policies = [SimAugment(image_size=(4, 4)) for _ in range(3)]
    bright = [keras.layers.Rescaling(255.0), policies[2]]
    picture = keras.Input((4, 4, 1))
    drawn = keras.Model(
        picture, SimAugment(image_size=(4, 4))(keras.layers.Rescaling(255.0)(picture))
    )
    for model, loss, files in (
        (
            ContrastiveModel(
                encoder, ProjectionHead(2, hidden_units=()), augmenter=MultiView(policies[:2])
            ),
            SupConLoss(),
            [__file__],
        ),
        (
            LinearClassifier(encoder, 2, augmenter=Invert()),
            "sparse_categorical_crossentropy",
            [__file__],
        ),
        (
            LinearClassifier(encoder, 2, augmenter=keras.Sequential(bright)),
            "sparse_categorical_crossentropy",
            [],
        ),
        (LinearClassifier(encoder, 2, augmenter=drawn), "sparse_categorical_crossentropy", []),
    ):
        model.compile(optimizer="sgd", loss=loss, run_eagerly=True)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(2):
                model.fit(images, labels, verbose=0)
        assert [
            warning.filename for warning in caught if "takes its pixels" in str(warning.message)
        ] == files

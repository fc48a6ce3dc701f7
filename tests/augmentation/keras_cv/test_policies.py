"""The policies of keras-cv layers, and our layers within keras-cv's containers."""

import functools
import json

import keras
import numpy as np
import pytest

from keras_supcon import ContrastiveModel, ProjectionHead, SupConLoss
from keras_supcon.augmentation import (
    RandomColorJitter,
    RandomGrayscale,
    RandomResizedCrop,
    SimAugment,
)
from keras_supcon.augmentation.any_layer import as_augmenter
from keras_supcon.augmentation.keras_cv import KerasCVRandAugment, KerasCVSimAugment
from tests.covering import every_value, representatives
from tests.public_classes import same_images

POLICIES = {
    "SimAugment": (
        KerasCVSimAugment,
        {"image_size": (12, 10), "strength": 0.7, "blur_probability": 0.3},
    ),
    "RandAugment": (
        KerasCVRandAugment,
        {"image_size": (12, 10), "num_ops": 1, "crop_area": (0.3, 0.9)},
    ),
}
every_policy = pytest.mark.parametrize(("policy", "arguments"), POLICIES.values(), ids=POLICIES)
# For the laws of the class that both policies extend.
one_policy = representatives(
    "policy_and_arguments", [POLICIES["RandAugment"]], [POLICIES["SimAugment"]]
)


def in_the_form(form: str, images: np.ndarray, labels: np.ndarray):
    return {"images": images, "labels": labels} if form == "dictionary" else images


def number_of_different(images) -> int:
    return len({np.asarray(image).tobytes() for image in images})


@every_value(policy_and_arguments=POLICIES, value_range=[(0, 255), (-1, 1)])
def test_gives_images_between_0_and_1_that_differ_within_a_batch_and_between_calls(
    policy_and_arguments, value_range
):
    policy, arguments = policy_and_arguments
    low, high = value_range
    images = same_images(number=3).astype("float32") / 255 * (high - low) + low
    layer = policy(**arguments, value_range=value_range, seed=2)
    views = np.asarray(layer(images, training=True))
    assert views.shape == layer.compute_output_shape(images.shape) == (3, 12, 10, 3)
    assert views.dtype == "float32"
    assert views.min() >= 0
    assert 0.3 < views.max() <= 1.0001
    assert number_of_different([*views, layer(images[0], training=True)]) == 4


@every_policy
def test_when_not_training_it_does_what_our_policy_does(photographs, policy, arguments):
    images = np.stack(photographs)
    ours = np.asarray(SimAugment(arguments["image_size"])(images, training=False))
    np.testing.assert_allclose(
        np.asarray(policy(**arguments)(images, training=False)), ours, atol=1e-5
    )


@pytest.mark.slow
@every_value(policy_and_arguments=POLICIES, form=["single", "dictionary"])
def test_maps_data_sets_and_keeps_labels_that_float32_cannot_hold(policy_and_arguments, form):
    policy, arguments = policy_and_arguments
    import tensorflow as tf

    labels = 2**24 + 1 + np.arange(8)
    dataset = tf.data.Dataset.from_tensor_slices(in_the_form(form, same_images(), labels))
    dataset = dataset if form == "single" else dataset.batch(8)
    out = list(dataset.map(functools.partial(policy(**arguments), training=True)))
    if form == "dictionary":
        assert out[0]["labels"].dtype == tf.int64
        np.testing.assert_array_equal(out[0]["labels"], labels)
    views = out[0]["images"] if form == "dictionary" else np.stack(out)
    assert views.shape == (8, 12, 10, 3)
    assert number_of_different(views) == 8


@pytest.mark.slow
@one_policy
def test_a_seed_repeats_the_views_and_every_pass_over_a_data_set_gives_new_ones(
    policy_and_arguments,
):
    policy, arguments = policy_and_arguments
    import tensorflow as tf

    images = tf.data.Dataset.from_tensors(same_images())
    first, second = (
        images.map(functools.partial(policy(**arguments, seed=1), training=True)) for _ in range(2)
    )
    views = next(iter(first)).numpy()
    np.testing.assert_array_equal(next(iter(second)).numpy(), views)
    assert number_of_different([*views, *next(iter(first))]) == 16


@every_policy
def test_draws_of_one_crop_and_of_two_views_are_independent(policy, arguments):
    import tensorflow as tf

    crop = policy(**arguments, seed=3).pipeline.layers[0]

    def boxes():
        return tf.map_fn(lambda _: tf.stack([*crop.get_random_transformation()[0]]), tf.zeros(400))

    (top, left, bottom, right), others = (
        np.asarray(view).T for view in tf.function(lambda: (boxes(), boxes()))()
    )
    height, width = bottom - top, right - left
    inside = (height < 1) & (width < 1)  # the others were cut off
    assert abs(np.corrcoef((height * width)[inside], (width / height)[inside])[0, 1]) < 0.3
    assert abs(np.corrcoef(height, others[2] - others[0])[0, 1]) < 0.2  # four standard errors


@every_policy
def test_round_trips(tmp_path, policy, arguments):
    layer = policy(**arguments, seed=5, name="mine")
    config = layer.get_config()
    assert all(config[name] == value for name, value in arguments.items())
    again = keras.saving.deserialize_keras_object(
        json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    )
    assert again.get_config() == config
    model = keras.Sequential([keras.Input((16, 16, 3)), layer])
    model.save(tmp_path / "model.keras")
    reloaded, images = keras.saving.load_model(tmp_path / "model.keras"), same_images()
    np.testing.assert_array_equal(
        reloaded.predict(images, verbose=0), model.predict(images, verbose=0)
    )


@every_policy
def test_pixels_that_are_not_finite_stay_in_their_image(policy, arguments):
    images = same_images(number=4).astype("float32")
    images[1, 3, 3], images[2] = np.inf, np.nan
    views = np.asarray(policy(**arguments, seed=0)(images, training=True))
    assert np.isnan(views).all(axis=(1, 2, 3)).tolist() == [False, True, True, False]
    assert np.all(np.isfinite(views[[0, 3]]))


@every_policy
def test_mixed_precision(policy, arguments):
    dtype_policy = "mixed_float16"
    keras.config.set_dtype_policy(dtype_policy)
    try:
        views = policy(**arguments)(same_images(number=2), training=True)
        assert keras.config.dtype_policy().name == dtype_policy
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(views.dtype) == "float16"
    assert np.all(np.isfinite(keras.ops.convert_to_numpy(keras.ops.cast(views, "float32"))))


@pytest.mark.slow
@one_policy
def test_trains_in_a_model_that_is_asked_for_xla(policy_and_arguments):
    policy, arguments = policy_and_arguments
    encoder = keras.Sequential(
        [keras.Input((12, 10, 3)), keras.layers.Flatten(), keras.layers.Dense(6)]
    )
    model = ContrastiveModel(
        encoder, ProjectionHead(4, hidden_units=()), augmenter=policy(**arguments), num_views=1
    )
    with pytest.warns(UserWarning, match="doesn't support `jit_compile=True`"):
        model.compile(optimizer="sgd", loss=SupConLoss(), jit_compile=True)
    images = same_images()  # of another size than the encoder's
    model.fit(images, np.arange(8) % 2, verbose=0)
    resized = SimAugment((12, 10))(images, training=False)
    np.testing.assert_allclose(model.embed(images), encoder(255 * resized), rtol=1e-4, atol=1e-3)


def test_each_part_of_the_policy_changes_the_stated_fraction_of_the_images():
    import tensorflow as tf

    keras.utils.set_random_seed(3)
    images = np.zeros((400, 20, 20, 3), "float32")  # colored stripes
    images[..., 0], images[:, :, ::3, 1] = 200.0, 60.0
    augment = KerasCVSimAugment(
        (20, 20), grayscale_probability=0.3, blur_probability=0.6, flip_probability=0.4, seed=1
    )
    _, flip, jitter, gray, blur = augment.pipeline.layers
    for part, expected in ((flip, 0.4), (jitter, 0.8), (gray, 0.3), (blur, 0.6)):
        changed = np.any(tf.function(part)(images) != images, axis=(1, 2, 3))
        assert abs(changed.mean() - expected) < 0.1  # four standard errors


def test_the_jitter_draws_from_the_stated_ranges():
    jitter = KerasCVSimAugment(strength=1.0, seed=1).pipeline.layers[2].layers[0]
    saturation = jitter.random_saturation.factor((4000,))
    draws = {
        (-0.2, 0.2): jitter.random_hue.get_random_transformation_batch(4000),
        (0.2, 1.8): saturation / (1 - saturation),
        (0.2, 1.8, "contrast"): jitter.random_contrast.factor((4000,)),
        (-0.8, 0.8): jitter.random_brightness.factor((4000,)),
    }
    for (low, high, *_), values in draws.items():
        values = np.asarray(values)
        assert low - 1e-5 <= values.min() < low + 0.01
        assert high - 0.01 < values.max() <= high + 1e-5


@pytest.mark.parametrize(
    ("policy", "arguments", "message"),
    [
        (
            KerasCVSimAugment,
            {"strength": 1.3},
            "`strength` should be between 0 and 1.25. Received: strength=1.3",
        ),
        (
            KerasCVSimAugment,
            {"crop_area": (0, 1)},
            "`crop_area` should be two numbers above 0 and at most 1",
        ),
        (
            KerasCVSimAugment,
            {"blur_probability": -0.1},
            "`blur_probability` should be between 0 and 1",
        ),
        (
            KerasCVSimAugment,
            {"grayscale_probability": 2},
            "`grayscale_probability` should be between 0 and 1",
        ),
        (KerasCVRandAugment, {"image_size": (0, 4)}, "`image_size` should be"),
        (
            KerasCVRandAugment,
            {"num_ops": 0},
            "`num_ops` should be a whole number of at least 1. Received: num_ops=0",
        ),
        (
            KerasCVRandAugment,
            {"magnitude": 1.5},
            "`magnitude` should be between 0 and 1. Received: magnitude=1.5",
        ),
    ],
)
def test_refuses_impossible_arguments(policy, arguments, message):
    with pytest.raises(ValueError, match=message):
        policy(**arguments)


@every_policy
def test_refuses_images_without_color(policy, arguments):
    with pytest.raises(ValueError, match=r"RGB images.* Received: images.shape=\(2, 8, 8, 1\)"):
        policy(**arguments)(np.zeros((2, 8, 8, 1), "uint8"))


def our_layers() -> list[keras.layers.Layer]:
    return [
        RandomResizedCrop((16, 16)),
        RandomColorJitter(probability=1.0),
        RandomGrayscale(0.5),
        SimAugment((16, 16)),
    ]


def container_of(layers: list[keras.layers.Layer], name: str):
    import keras_cv

    if name == "RandomApply":
        return keras_cv.layers.RandomApply(keras.layers.Pipeline(layers), rate=0.8)
    arguments = {"augmentations_per_image": 2} if name == "RandomAugmentationPipeline" else {}
    return as_augmenter(getattr(keras_cv.layers, name)(layers, **arguments))


@pytest.mark.slow
@every_value(
    name=["RandomAugmentationPipeline", "RandomApply", "RandomChoice", "Augmenter"],
    place=["eager", "tf.data"],
    form=["images", "dictionary"],
)
def test_our_layers_work_in_the_containers_of_keras_cv(name, place, form):
    import tensorflow as tf

    images, labels = same_images(), 2**24 + 1 + np.arange(8)
    data = tf.nest.map_structure(tf.constant, in_the_form(form, images, labels))
    layer = container_of(our_layers(), name)
    out = (
        layer(data)
        if place == "eager"
        else next(iter(tf.data.Dataset.from_tensors(data).map(layer)))
    )
    if form == "dictionary":
        assert set(out) == {"images", "labels"}
        assert out["labels"].dtype == tf.int64
        np.testing.assert_array_equal(out["labels"], labels)
        out = out["images"]
    assert out.shape == images.shape
    assert number_of_different(out) > 1


@every_value(
    ours=["RandomResizedCrop", "RandomColorJitter", "RandomGrayscale", "SimAugment"],
    name=["RandomChoice", "Augmenter"],
)
def test_our_layers_work_beside_those_of_keras_cv(ours, name):
    import keras_cv
    import tensorflow as tf

    layer = {type(layer).__name__: layer for layer in our_layers()}[ours]
    labels = np.arange(
        24, dtype="float32"
    )  # keras-cv casts others to float, and its branches must agree
    data = {"images": tf.constant(same_images(number=24)), "labels": tf.constant(labels)}
    out = container_of([layer, keras_cv.layers.RandomFlip(), layer], name)(data)
    np.testing.assert_array_equal(out["labels"], labels)
    assert number_of_different(out["images"]) > 1
    assert np.any(np.asarray(out["images"]) != data["images"])


def test_the_old_name_of_the_base_still_works():
    from keras_supcon.augmentation import keras_cv
    from keras_supcon.augmentation.keras_cv.keras_cv_policy import KerasCVPolicy

    with pytest.warns(DeprecationWarning, match="`.*KerasCVRecipe` is now `.*KerasCVPolicy`"):
        assert keras_cv.KerasCVRecipe is KerasCVPolicy

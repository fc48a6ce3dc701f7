"""The laws of all augmentation layers, beside those of all layers."""

import warnings

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon import augmentation
from tests.covering import every_value
from tests.harness import outputs_or_their_shape
from tests.public_classes import AUGMENTATIONS, same_images

pytestmark = pytest.mark.neutral

# Policies whose output is in [0, 1].
UNIT_RANGE = (
    augmentation.SimAugment,
    augmentation.AutoAugment,
    augmentation.RandAugment,
)
every_layer = pytest.mark.parametrize("name", AUGMENTATIONS)


def make(name: str, **options) -> keras.layers.Layer:
    return getattr(augmentation, name)(**AUGMENTATIONS[name], **options)


@pytest.mark.slow
@every_layer
def test_samples_of_a_batch_and_calls_differ_and_a_seed_repeats_them(name):
    images = same_images()

    def two_calls(layer):
        return np.stack([ops.convert_to_numpy(layer(images, training=True)) for _ in range(2)])

    layer = make(name, seed=3)
    first, second = two_calls(layer), two_calls(layer)
    assert max(len({view.tobytes() for view in views}) for views in first) > 1
    assert len({views.tobytes() for views in first}) > 1
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(two_calls(make(name, seed=3)), first)
    assert not np.array_equal(two_calls(make(name, seed=4)), first)


@every_value(name=list(AUGMENTATIONS), channels=[1, 3])
def test_augments_within_the_range_when_told_that_it_is_training(name, channels):
    # Equalize does not change images of fewer pixels than levels.
    images = same_images(channels, size=20)
    layer = make(name)
    high = 1 if isinstance(layer, UNIT_RANGE) else 255
    inference, training, default = (
        ops.convert_to_numpy(layer(images, **mode))
        for mode in ({"training": False}, {"training": True}, {})
    )
    assert len({view.tobytes() for view in inference}) == 1
    changes_gray = name not in ("RandomGrayscale", "Color")
    if channels == 3 or changes_gray:
        assert not np.array_equal(training, inference)
    np.testing.assert_array_equal(default, inference)
    for views in (inference, training):
        assert views.min() >= 0
        assert views.max() <= high * 1.0001


def test_models_and_containers_augment_when_told_and_not_when_called_directly():
    images = same_images(size=8)
    layer = augmentation.RandomSolarize(probability=0.5)
    inputs = keras.Input((8, 8, 3))
    containers = {
        "functional": keras.Model(inputs, layer(inputs)),
        "sequential": keras.Sequential([keras.Input((8, 8, 3)), layer]),
        "applied": augmentation.RandomApply(layer, probability=0.9),
        "applied layer of Keras": augmentation.RandomApply(
            keras.layers.RandomInvert(factor=1.0), probability=0.5
        ),
        "views": augmentation.MultiView(layer),
        "views of Keras": augmentation.MultiView(keras.layers.RandomInvert(factor=0.5)),
    }
    for name, container in containers.items():
        called, told, untold = (
            ops.convert_to_numpy(container(images, **mode))
            for mode in ({}, {"training": True}, {"training": False})
        )
        np.testing.assert_array_equal(called, untold, err_msg=name)
        assert not np.array_equal(told, untold), name


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="exports a SavedModel")
def test_an_exported_model_serves_what_predict_gives(tmp_path):
    import tensorflow as tf

    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, augmentation.SimAugment((6, 6))(inputs))
    model.export(tmp_path, verbose=False)
    images = same_images(size=8).astype("float32")
    served = tf.saved_model.load(tmp_path).serve(images)
    np.testing.assert_allclose(served, model.predict(images, verbose=0), rtol=1e-6)


def draws_again(layer, images):
    for part in layer._flatten_layers():
        for generator in part._seed_generators:
            generator.state.assign([7, 0])
    return ops.convert_to_numpy(layer(images, training=True))


@pytest.mark.slow
@every_value(name=[*AUGMENTATIONS, "CenterCropResize"], value=[np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_finite_become_nan_in_their_image_alone(rng, name, value):
    """NaN as an index into a table of levels would be any number."""
    images = rng.integers(0, 256, (6, 16, 16, 3)).astype("float32")
    damaged = images.copy()
    damaged[2, 5:9, 5:9, 0], damaged[4] = value, value
    layer = (
        augmentation.CenterCropResize((12, 10))
        if name == "CenterCropResize"
        else make(name, seed=5)
    )
    expected, actual = draws_again(layer, images), draws_again(layer, damaged)
    others = [0, 1, 3, 5]
    np.testing.assert_array_equal(actual[others], expected[others])
    assert np.all(np.isnan(actual[4]))
    assert np.any(np.isnan(actual[2]))


@pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="PyTorch does not rewrite arithmetic"
)
@pytest.mark.parametrize("name", ["Equalize", "RandomGrayscale"])
def test_compilers_do_not_take_the_difference_of_a_pixel_and_itself_for_0(rng, name):
    images = rng.integers(0, 256, (3, 16, 16, 3)).astype("float32")
    images[1, 3:13, 3:13] = np.inf
    layer = make(name, seed=5)
    draws = layer.get_random_transformation(ops.convert_to_tensor(images))
    if name == "Equalize":
        draws["choice"] = 0 * draws["choice"]

    def transform(images):
        return layer.transform_images(images, draws)

    if keras.backend.backend() == "jax":
        import jax

        compiled = [jax.jit(transform)]
    else:
        import tensorflow as tf

        compiled = [tf.function(transform), tf.function(transform, jit_compile=True)]
    for program in compiled:
        views = ops.convert_to_numpy(program(ops.convert_to_tensor(images)))
        assert np.isnan(views).any(axis=(1, 2, 3)).tolist() == [False, True, False]


@pytest.mark.slow
@pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="PyTorch does not rewrite arithmetic"
)
def test_compiled_policies_keep_nan(rng):
    """The fast minimum of XLA returns numbers for NaN."""
    images = rng.integers(0, 256, (32, 8, 8, 3)).astype("float32")
    images[::2] = np.nan
    layer = augmentation.RandAugment((8, 8), seed=1)
    if keras.backend.backend() == "jax":
        import jax

        program = jax.jit(lambda images, draws: layer.transform_images(images, draws))
    else:
        import tensorflow as tf

        program = tf.function(
            lambda images, draws: layer.transform_images(images, draws), jit_compile=True
        )
    images = ops.convert_to_tensor(images)
    for _ in range(3):
        views = ops.convert_to_numpy(program(images, layer.get_random_transformation(images)))
        assert np.isnan(views).all(axis=(1, 2, 3)).tolist() == [True, False] * 16


def test_floats_up_to_1_in_a_range_up_to_255_are_warned_of_once(rng):
    images = rng.uniform(size=(2, 8, 8, 3)).astype("float32")
    for layer in (
        augmentation.SimAugment((8, 8)),
        augmentation.Equalize(),
        augmentation.CenterCropResize((8, 8)),
    ):
        layer(np.zeros_like(images))  # the range of black images is unknown
        with pytest.warns(
            UserWarning,
            match=r"takes its pixels for 0 to 255, and got floats .*`value_range=\(0, 1\)`",
        ):
            layer(images)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            layer(images)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        augmentation.Equalize()(images * 255)
        augmentation.Equalize()((images * 2).astype("uint8"))
        augmentation.Equalize(value_range=(0, 1))(images)
        augmentation.RandomResizedCrop((8, 8))(images)  # does not depend on the range


def test_one_input_is_warned_of_once_and_at_the_line_of_the_user(rng):
    images = rng.uniform(size=(2, 8, 8, 3)).astype("float32")
    policies = [augmentation.SimAugment((8, 8)) for _ in range(2)]
    calls = {
        "a dictionary": lambda: augmentation.Invert()({"images": images}, training=True),
        "one image": lambda: augmentation.Invert()(ops.convert_to_tensor(images[0]), training=True),
        "views": lambda: augmentation.MultiView(policies)(images, training=True),
        "views of one image": lambda: augmentation.MultiView(augmentation.Equalize())(
            images[0], training=True
        ),
        "applied": lambda: augmentation.RandomApply(augmentation.Invert())(images, training=True),
        "a pipeline": lambda: keras.layers.Pipeline(
            [augmentation.Color(), augmentation.Posterize()]
        )(images, training=True),
        "a model": lambda: keras.Sequential([augmentation.Color(), augmentation.Contrast()])(
            images, training=True
        ),
    }
    for name, call in calls.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
        assert [
            warning.filename for warning in caught if "takes its pixels" in str(warning.message)
        ] == [__file__], name


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="exports a program of PyTorch")
def test_torch_exports_the_inference_form(rng):
    """Augmentation cannot be exported: Keras seeds PyTorch's generators by known numbers."""
    import torch

    # Keras' layers take any arguments, of which PyTorch does not know the shapes.
    class Inference(torch.nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def forward(self, images):
            return self.layer(images)

    images = torch.from_numpy(rng.integers(0, 256, (3, 16, 16, 3)).astype("float32"))
    inputs = keras.Input((16, 16, 3))
    for layer in (
        augmentation.SimAugment((12, 10)),
        augmentation.CenterCropResize((12, 10)),
        augmentation.Equalize(),
        keras.Model(inputs, augmentation.SimAugment((12, 10))(inputs)),
    ):
        batch = torch.export.Dim("batch")
        program = torch.export.export(
            Inference(layer), (images[:2],), dynamic_shapes=({0: batch},), strict=False
        )
        np.testing.assert_array_equal(program.module()(images), layer(images), err_msg=layer.name)


@every_layer
def test_one_image_gives_one_view(name):
    """`tests/package/test_every_class.py` has the shapes of batches."""
    image, layer = same_images()[0], make(name)
    assert tuple(outputs_or_their_shape(layer, image, training=True).shape) == tuple(
        layer.compute_output_shape(image.shape)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": 1.5}, "`seed` should be a whole number, or None. Received: seed=1.5"),
        ({"seed": "a"}, "`seed` should be a whole number, or None. Received: seed='a'"),
        ({"value_range": ("0", "1")}, "`value_range` should be two numbers, lowest first"),
        ({"value_range": (1, 1)}, "`value_range` should be two numbers, lowest first"),
    ],
)
def test_refuses_impossible_seeds_and_ranges(arguments, message):
    with pytest.raises(ValueError, match=message):
        augmentation.Invert(**arguments)


@pytest.mark.parametrize("seed", [-3, 2**40, np.int64(3)])
def test_takes_any_whole_number_for_a_seed(seed):
    images = np.zeros((64, 1, 1, 1), "uint8")
    first, second = (
        ops.convert_to_numpy(augmentation.Invert(0.5, seed=seed)(images, training=True))
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


@every_layer
def test_dictionaries_keep_their_labels_and_are_not_written_to(name):
    data = {"images": same_images(), "labels": np.arange(8)}
    before = data["images"]
    out = make(name)(data, training=False)
    assert tuple(out["images"].shape[:1]) == (8,)
    np.testing.assert_array_equal(ops.convert_to_numpy(out["labels"]), np.arange(8))
    assert data["images"] is before


@every_layer
@pytest.mark.parametrize("shape", [(8, 8), (2, 2, 8, 8, 3)])
def test_refuses_other_ranks(name, shape):
    with pytest.raises(ValueError, match="rank 3|shape"):
        make(name)(np.zeros(shape, "uint8"))


@every_layer
@pytest.mark.parametrize("channels", [2, 4])
def test_refuses_other_numbers_of_channels(name, channels):
    with pytest.raises(ValueError, match=r"1 or 3 channels. Received: images.shape=\(2, 8, 8, "):
        make(name)(np.zeros((2, 8, 8, channels), "uint8"))
    with pytest.raises(ValueError, match=r"1 or 3 channels. Received: images.shape=\(None, 8, 8, "):
        make(name)(keras.Input((8, 8, channels)))
    layer = make(name)
    layer(np.zeros((8, 16, 16, 3), "uint8"), training=False)
    with pytest.raises(ValueError, match=r"1 or 3 channels"):
        layer(np.zeros((2, 8, 8, channels), "uint8"), training=False)

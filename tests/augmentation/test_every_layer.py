"""What holds for every augmentation layer."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon import augmentation

pytestmark = pytest.mark.neutral

VIEWS = {"image_size": (12, 10), "crop_area": (0.2, 0.9), "flip_probability": 0.3}
ARGUMENTS = {
    "RandomResizedCrop": VIEWS,
    "RandomColorJitter": {"brightness": 0.5, "hue": 0.2, "probability": 1.0},
    "RandomGrayscale": {"probability": 0.5},
    "RandomGaussianBlur": {"sigma": (0.5, 3.0), "kernel_size": 5, "probability": 0.9},
    "RandomSolarize": {"threshold": 0.4, "probability": 0.5},
    "RandomWarp": {"max_length": 0.2, "grid_size": 3, "probability": 0.9},
    "RandomApply": {"layer": augmentation.Invert(), "probability": 0.5},
    **{name: {"magnitude": 0.8, "probability": 0.7} for name in ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")},
    **{name: {"probability": 0.6} for name in ("AutoContrast", "Equalize", "Invert")},
    **{name: {"magnitude": 0.3, "probability": 0.6} for name in ("Posterize", "Solarize", "SolarizeAdd")},
    **{name: {"magnitude": 0.9, "probability": 0.6} for name in ("Color", "Contrast", "Brightness", "Sharpness")},
    "Cutout": {"magnitude": 1.0, "probability": 0.8},
    "SimAugment": {**VIEWS, "strength": 0.7, "grayscale_probability": 0.3, "blur_probability": 0.4, "warp_probability": 0.6},
    "AutoAugment": {**VIEWS, "policy": (((("Rotate", 0.5, 0.3), ("Equalize", 0.8, None))), (("Color", 1.0, 0.9),))},
    "RandAugment": {**VIEWS, "num_ops": 3, "magnitude": 0.7},
    "StackedRandAugment": {**VIEWS, "num_ops": 1, "magnitude": 0.9, "strength": 0.6, "blur_probability": 0.4},
}
LAYERS = {name: (getattr(augmentation, name), arguments) for name, arguments in ARGUMENTS.items()}
TESTED_ON_THEIR_OWN = {"CenterCropResize", "MultiView", "keras_cv"}
UNIT_RANGE = (augmentation.SimAugment, augmentation.AutoAugment, augmentation.RandAugment)  # what they give
every_layer = pytest.mark.parametrize(("layer_class", "arguments"), LAYERS.values(), ids=LAYERS)


def batch(rng, channels=3, size=16, number=8) -> np.ndarray:
    """The same image several times, so that differences come from the layer."""
    return np.repeat(rng.integers(0, 256, (1, size, size, channels)).astype("uint8"), number, axis=0)


def shape_of(layer, images) -> tuple[int, ...]:
    """The shape of what the layer gives. On JAX, where a trace tells it, nothing is compiled for this shape of images alone."""
    if keras.backend.backend() != "jax":
        return tuple(layer(images).shape)
    import jax

    with keras.StatelessScope():
        return jax.eval_shape(layer, jax.ShapeDtypeStruct(images.shape, images.dtype)).shape


def test_the_table_has_every_layer():
    assert set(augmentation.__all__) - TESTED_ON_THEIR_OWN == set(LAYERS)


@pytest.mark.slow
@every_layer
def test_samples_of_a_batch_and_calls_differ_and_a_seed_repeats_them(rng, layer_class, arguments):
    images = batch(rng)

    def two_calls(layer):
        return np.stack([ops.convert_to_numpy(layer(images)) for _ in range(2)])

    layer = layer_class(**arguments, seed=3)
    first, second = two_calls(layer), two_calls(layer)
    assert max(len({view.tobytes() for view in views}) for views in first) > 1
    assert len({views.tobytes() for views in first}) > 1
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(two_calls(layer_class(**arguments, seed=3)), first)
    assert not np.array_equal(two_calls(layer_class(**arguments, seed=4)), first)


@every_layer
@pytest.mark.parametrize("channels", [1, 3])
def test_gives_float_images_within_the_range_and_the_declared_shape(rng, layer_class, arguments, channels):
    images = batch(rng, channels)
    layer = layer_class(**arguments)
    high = 1 if issubclass(layer_class, UNIT_RANGE) else 255
    for training in (True, False):
        views = layer(images, training=training)
        assert keras.backend.standardize_dtype(views.dtype) == "float32"
        assert tuple(views.shape) == tuple(layer.compute_output_shape(images.shape))
        views = ops.convert_to_numpy(views)
        assert views.min() >= 0
        assert views.max() <= high * 1.0001
    assert shape_of(layer, images[0]) == views.shape[1:]


@every_layer
def test_augments_unless_told_that_it_is_not_training(rng, layer_class, arguments):
    images = batch(rng)
    layer = layer_class(**arguments)
    inference = ops.convert_to_numpy(layer(images, training=False))
    assert len({view.tobytes() for view in inference}) == 1
    assert not np.array_equal(ops.convert_to_numpy(layer(images)), inference)
    assert not np.array_equal(ops.convert_to_numpy(layer(images, training=True)), inference)


@every_layer
def test_no_images_give_no_images(layer_class, arguments):
    layer = layer_class(**arguments)
    images = np.zeros((0, 16, 16, 3), "uint8")
    assert shape_of(layer, images) == tuple(layer.compute_output_shape(images.shape))


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
    first, second = (ops.convert_to_numpy(augmentation.Invert(0.5, seed=seed)(images)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@every_layer
def test_dictionaries_keep_their_labels_and_are_not_written_to(rng, layer_class, arguments):
    data = {"images": batch(rng), "labels": np.arange(8)}
    before = data["images"]
    out = layer_class(**arguments)(data)
    assert tuple(out["images"].shape[:1]) == (8,)
    np.testing.assert_array_equal(ops.convert_to_numpy(out["labels"]), np.arange(8))
    assert data["images"] is before


@every_layer
def test_round_trips(rng, tmp_path, layer_class, arguments):
    layer = layer_class(**arguments, seed=5, name="mine")
    config = layer.get_config()
    assert set(arguments) | {"seed", "name", "dtype", "value_range"} <= set(config)
    for name, value in arguments.items():
        assert config[name]["class_name"] == "Invert" if name == "layer" else config[name] == value
    again = keras.saving.deserialize_keras_object(json.loads(json.dumps(keras.saving.serialize_keras_object(layer))))
    if "layer" in config:
        assert again.layer.get_config() == layer.layer.get_config()
        again_config = {**again.get_config(), "layer": config["layer"]}
    else:
        again_config = again.get_config()
    assert again_config == config
    model = keras.Sequential([keras.Input((16, 16, 3)), layer])
    model.save(tmp_path / "model.keras")
    reloaded = keras.saving.load_model(tmp_path / "model.keras")
    images = batch(rng)
    np.testing.assert_array_equal(reloaded.predict(images, verbose=0), model.predict(images, verbose=0))


@every_layer
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(rng, layer_class, arguments, policy):
    images = batch(rng)
    views = layer_class(**arguments, dtype=policy)(images)
    assert keras.backend.standardize_dtype(views.dtype) == policy.removeprefix("mixed_")
    assert np.all(np.isfinite(ops.convert_to_numpy(ops.cast(views, "float32"))))


# All but the recipes one after the other: a program for each layer would take twice as long to compile.
RECIPES = ("SimAugment", "AutoAugment", "RandAugment", "StackedRandAugment")


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [
        pytest.param([name for name in LAYERS if name not in RECIPES], marks=pytest.mark.slow, id="layers"),
        *(pytest.param([name], marks=[] if name == "SimAugment" else pytest.mark.slow, id=name) for name in RECIPES),
    ],
)
def test_trains_inside_a_compiled_model(rng, names):
    layers = [layer_class(**arguments) for layer_class, arguments in map(LAYERS.get, names)]
    model = keras.Sequential([keras.Input((16, 16, 3)), *layers, keras.layers.GlobalAveragePooling2D()])
    model.add(keras.layers.Dense(1))
    jit_compile = keras.backend.backend() != "torch"  # Keras compiles torch by torch.compile, which is another matter
    model.compile(optimizer="sgd", loss="mse", jit_compile=jit_compile)
    model.fit(batch(rng), np.zeros((8, 1)), verbose=0)


@every_layer
@pytest.mark.parametrize("shape", [(8, 8), (2, 2, 8, 8, 3)])
def test_refuses_other_ranks(layer_class, arguments, shape):
    with pytest.raises(ValueError, match="rank 3|shape"):
        layer_class(**arguments)(np.zeros(shape, "uint8"))


@every_layer
@pytest.mark.parametrize("channels", [2, 4])
def test_refuses_other_numbers_of_channels(layer_class, arguments, channels):
    with pytest.raises(ValueError, match=r"1 or 3 channels. Received: images.shape=\(2, 8, 8, "):
        layer_class(**arguments)(np.zeros((2, 8, 8, channels), "uint8"))
    with pytest.raises(ValueError, match=r"1 or 3 channels. Received: images.shape=\(None, 8, 8, "):
        layer_class(**arguments)(keras.Input((8, 8, channels)))
    layer = layer_class(**arguments)
    layer(np.zeros((8, 16, 16, 3), "uint8"), training=False)
    with pytest.raises(ValueError, match=r"1 or 3 channels"):
        layer(np.zeros((2, 8, 8, channels), "uint8"), training=False)

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon.encoders import ImageStandardization, ResNet
from tests.covering import representatives

pytestmark = pytest.mark.neutral


def test_a_new_block_starts_as_its_shortcut(rng):
    encoder = ResNet(depth=18, width=0.25, stem="cifar")
    encoder.build((None, 8, 8, 3))
    block = encoder.blocks[0]
    assert block.shortcut is None
    x = np.abs(rng.normal(size=(2, 8, 8, 16))).astype("float32")
    np.testing.assert_allclose(ops.convert_to_numpy(block(x, training=True)), x, rtol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_scale_of_the_pixels_does_not_matter(rng, channels):
    encoder = ResNet(depth=10, width=0.125, stem="cifar")
    images = rng.integers(0, 256, (3, 12, 12, channels)).astype("uint8")
    features = ops.convert_to_numpy(encoder(images))
    np.testing.assert_allclose(
        ops.convert_to_numpy(encoder(images.astype("float32"))), features, rtol=1e-3, atol=1e-5
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(encoder(images / np.float32(255))), features, rtol=1e-3, atol=1e-5
    )


def test_standardized_images_have_mean_0_and_deviation_1_and_flat_ones_are_zero(rng):
    images = rng.integers(0, 256, (3, 9, 7, 3)).astype("float32")
    images[2] = 77
    standardized = ops.convert_to_numpy(ImageStandardization()(images))
    np.testing.assert_allclose(standardized[:2].mean(axis=(1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(standardized[:2].std(axis=(1, 2, 3)), 1, rtol=1e-4)
    np.testing.assert_allclose(standardized[2], 0, atol=1e-2)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(ImageStandardization()(np.zeros((1, 4, 4, 1), "uint8"))), 0
    )


@pytest.mark.slow
def test_moving_averages_are_near_the_truth_after_fifty_steps_unlike_those_of_keras_default(rng):
    images = rng.normal(size=(32, 8, 8, 1)).astype("float32")

    def relative_difference_of_inference(momentum: float) -> float:
        encoder = ResNet(depth=10, width=0.125, stem="cifar", batch_norm_momentum=momentum)
        for _ in range(50):
            training = ops.convert_to_numpy(encoder(images, training=True))
        inference = ops.convert_to_numpy(encoder(images, training=False))
        return np.linalg.norm(inference - training) / np.linalg.norm(training)

    assert relative_difference_of_inference(0.9) < 0.05
    assert relative_difference_of_inference(0.99) > 0.2


@representatives("depth", [50], [10])
def test_every_layer_computes_in_the_dtype_of_the_encoder_also_after_a_round_trip(depth):
    encoder = ResNet(depth=depth, width=0.125, dtype="mixed_bfloat16")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(encoder))
    for network in (encoder, again):
        features = network(np.zeros((1, 32, 32, 3), "uint8"))
        assert keras.backend.standardize_dtype(features.dtype) == "bfloat16"
        assert {layer.compute_dtype for layer in network._flatten_layers()} == {"bfloat16"}
        assert {variable.dtype for variable in network.trainable_variables} == {"float32"}


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="Keras synchronizes over replicas on TensorFlow alone",
)
def test_synchronized_batch_normalization_reaches_every_layer():
    encoder = ResNet(depth=10, width=1 / 64, synchronized_batch_norm=True)
    encoder.build((None, 16, 16, 3))
    normalizations = [
        layer
        for layer in encoder._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert len(normalizations) > 8
    assert all(layer.synchronized for layer in normalizations)


@pytest.mark.slow
def test_bottlenecks_come_back_from_a_file_with_their_weights(tmp_path, rng):
    """`tests/package/test_every_class.py` has basic blocks."""
    encoder = ResNet(depth=50, width=1 / 16, batch_norm_momentum=0.8)
    images = rng.integers(0, 256, (2, 16, 16, 3)).astype("uint8")
    encoder(images, training=True)
    encoder.save(tmp_path / "encoder.keras")
    again = keras.saving.load_model(tmp_path / "encoder.keras")
    assert again.get_config() == encoder.get_config()
    np.testing.assert_array_equal(
        ops.convert_to_numpy(again(images)), ops.convert_to_numpy(encoder(images))
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"depth": 20},
            r"`depth` should be one of \(10, 18, 34, 50, 101, 152, 200\). Received: depth=20",
        ),
        ({"stem": "small"}, "`stem` should be one of"),
        ({"width": 0}, "`width` should be at least 1/64"),
        ({"width": float("nan")}, "`width` should be at least 1/64"),
        ({"width": "1"}, "`width` should be at least 1/64"),
        ({"depth": [18]}, "`depth` should be one of"),
        ({"batch_norm_momentum": 1}, "`batch_norm_momentum` should be"),
    ],
)
def test_refuses_networks_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        ResNet(**arguments)


@pytest.mark.filterwarnings(
    "ignore:Layer .* does not have a `quantize` method"
)  # Keras quantizes dense layers alone
@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
def test_quantizes_after_build_and_after_loading(rng, tmp_path, stem):
    encoder = ResNet(10, width=0.125, stem=stem)
    encoder.build((None, 16, 16, 3))
    assert [layer.name for layer in encoder._flatten_layers() if not layer.built] == []
    encoder.save(tmp_path / "encoder.keras")
    images = rng.integers(0, 256, (2, 16, 16, 3)).astype("uint8")
    expected = ops.convert_to_numpy(encoder(images))
    for one in (encoder, keras.saving.load_model(tmp_path / "encoder.keras")):
        one.quantize("int8")
        np.testing.assert_allclose(
            ops.convert_to_numpy(one(images)), expected, rtol=1e-4, atol=1e-5
        )

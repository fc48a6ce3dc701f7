"""The network that our training step is compared with is our network."""

import pathlib

import keras
import numpy as np
import pytest

import keras_supcon

pytestmark = [
    pytest.mark.neutral,
    pytest.mark.skipif(
        keras.backend.backend() != "torch",
        reason="compared once, where Keras computes with torch too",
    ),
]
torch = pytest.importorskip("torch")
BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"


# Kernels `(height, width, in, out)` to `(out, in, height, width)`, those of dense layers `(in,
# out)` to `(out, in)`.
AXES_IN_TORCH = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}


def copy_weights(parameters, variables, rng):
    """Gives parameters and variables the same random values."""
    for parameter, variable in zip(parameters, variables, strict=True):
        # Not as they start: a scale of zero would hide its block.
        value = rng.normal(size=variable.shape).astype("float32") * (
            0.1 if len(variable.shape) > 1 else 1.0
        )
        variable.assign(value)
        with torch.no_grad():
            parameter.copy_(torch.tensor(value.transpose(AXES_IN_TORCH[value.ndim])))


@pytest.mark.parametrize(
    ("depth", "stem", "features"),
    [(10, "cifar", 64), pytest.param(50, "imagenet", 256, marks=pytest.mark.slow)],
)
def test_the_torch_network_projects_as_ours_does(monkeypatch, rng, depth, stem, features):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from torch_resnet import ContrastiveNetwork

    model = keras_supcon.ContrastiveModel(
        keras_supcon.encoders.ResNet(depth, 0.125, stem),
        keras_supcon.ProjectionHead(128, hidden_units=(features,)),
    )
    views = rng.random((2, 2, 32, 32, 3)).astype("float32")
    model.build(views.shape)
    network = ContrastiveNetwork(depth, 0.125, stem, hidden_units=features)
    copy_weights(network.parameters(), model.trainable_variables, rng)
    images = torch.tensor(views.reshape(4, 32, 32, 3)).permute(0, 3, 1, 2)
    theirs = network(images).detach().numpy().reshape(2, 2, 128)
    ours = keras.ops.convert_to_numpy(keras.ops.stop_gradient(model(views, training=True)))
    np.testing.assert_allclose(theirs, ours, atol=1e-4)


def test_heads_with_batch_normalization_predict_as_ours_do(monkeypatch, rng):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from torch_resnet import projection_head

    head = keras_supcon.layers.PredictionHead(4, hidden_units=(7,))
    rows = rng.normal(size=(9, 5)).astype("float32")
    head.build(rows.shape)
    network = projection_head(5, 7, 4, batch_norm=True)
    copy_weights(network.parameters(), head.trainable_variables, rng)
    theirs = network(torch.tensor(rows)).detach().numpy()
    ours = keras.ops.convert_to_numpy(keras.ops.stop_gradient(head(rows, training=True)))
    np.testing.assert_allclose(theirs, ours, atol=1e-5)


def test_images_may_have_one_channel(monkeypatch, rng):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from torch_resnet import ResNet

    encoder = keras_supcon.encoders.ResNet(10, 0.125, "cifar")
    images = rng.random((3, 28, 28, 1)).astype("float32")
    encoder(images)
    network = ResNet(10, 0.125, "cifar", image_channels=1)
    copy_weights(network.parameters(), encoder.trainable_variables, rng)
    theirs = network(torch.tensor(images).permute(0, 3, 1, 2)).detach().numpy()
    ours = keras.ops.convert_to_numpy(keras.ops.stop_gradient(encoder(images, training=True)))
    np.testing.assert_allclose(theirs, ours, atol=1e-4)

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
    parameters = list(network.parameters())
    assert len(parameters) == len(model.trainable_variables)
    for parameter, variable in zip(parameters, model.trainable_variables, strict=True):
        # Not as they start: a scale of zero would hide its block.
        value = rng.normal(size=variable.shape).astype("float32") * (
            0.1 if len(variable.shape) > 1 else 1.0
        )
        variable.assign(value)
        with torch.no_grad():
            parameter.copy_(torch.tensor(value.transpose(AXES_IN_TORCH[value.ndim])))
    images = torch.tensor(views.reshape(4, 32, 32, 3)).permute(0, 3, 1, 2)
    theirs = network(images).detach().numpy().reshape(2, 2, 128)
    ours = keras.ops.convert_to_numpy(keras.ops.stop_gradient(model(views, training=True)))
    np.testing.assert_allclose(theirs, ours, atol=1e-4)

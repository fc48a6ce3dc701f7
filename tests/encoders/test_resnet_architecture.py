"""Shapes and counts, which do not depend on the backend: TensorFlow alone is enough."""

import numpy as np
import pytest

from keras_supcon.encoders import ResNet
from tests.covering import every_value, representatives


def count(variables) -> int:
    return sum(int(np.prod(variable.shape)) for variable in variables)


# Trainable parameters without the classifier, as counted from the architecture tables of He et al.
# (torchvision's models less their last layer have the same numbers).
@pytest.mark.parametrize(
    ("depth", "parameters"), [(18, 11_176_512), (34, 21_284_672), (50, 23_508_032)]
)
def test_has_as_many_parameters_as_the_published_network(depth, parameters):
    encoder = ResNet(depth=depth)
    encoder.build((None, 64, 64, 3))
    assert count(encoder.trainable_variables) == parameters


@pytest.mark.slow
@representatives("depth", [200], [101, 152])
def test_deeper_networks_have_depth_weighted_layers(depth):
    encoder = ResNet(depth=depth, width=1 / 64)
    encoder.build((None, 32, 32, 3))
    kernels = [variable for variable in encoder.trainable_variables if len(variable.shape) == 4]
    # convolutions that the count in the name leaves out; the name counts the classifier instead
    shortcuts = 4
    assert len(kernels) - shortcuts + 1 == depth


@pytest.mark.slow
@every_value(
    network=[(10, 0.25, 128), (18, 1 / 64, 8), (50, 0.125, 256), (18, 0.5, 256)],
    stem=["imagenet", "cifar"],
)
def test_maps_images_of_any_size_to_pooled_features(network, stem):
    depth, width, features = network
    encoder = ResNet(depth=depth, width=width, stem=stem)
    assert encoder(np.zeros((2, 40, 33, 3), "float32")).shape == (2, features)
    assert encoder(np.zeros((1, 8, 8, 3), "float32")).shape == (1, features)
    assert encoder.compute_output_shape((None, 40, 33, 3)) == (None, features)


def test_stems_shrink_as_the_papers_say():
    assert ResNet(18, stem="imagenet").stem_layers[0].compute_output_shape((1, 224, 224, 3)) == (
        1,
        112,
        112,
        64,
    )
    assert ResNet(18, stem="cifar").stem_layers[0].compute_output_shape((1, 32, 32, 3)) == (
        1,
        32,
        32,
        64,
    )

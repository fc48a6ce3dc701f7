"""Probes before and after the head tell what it throws away."""

import keras
import numpy as np
import pytest

from keras_supcon import ContrastiveModel, ProjectionHead
from keras_supcon.evaluation import projection_head_analysis
from keras_supcon.evaluation.protocols.head_analysis import TRANSFORMATIONS

pytestmark = pytest.mark.neutral


@pytest.fixture
def splits(rng):
    """Images whose upper part is bright or dark by class, in colors."""

    def draw(number):
        labels = np.arange(number) % 2
        images = rng.integers(0, 100, (number, 8, 8, 3))
        images[:, :4] += 100 * labels[:, None, None, None]
        images[:, :, 0] += 50  # so that rotation can be seen
        images[..., 0] += 30
        return images.astype("uint8"), labels

    return draw(160), draw(80)


def model_with_head(output_dim):
    encoder = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    model = ContrastiveModel(encoder, ProjectionHead(output_dim, hidden_units=(), normalize=False))
    model(np.zeros((1, 8, 8, 3), "uint8"))
    return model


def test_a_head_that_keeps_everything_loses_nothing_and_a_narrow_one_does(splits):
    model = model_with_head(192)
    model.projection_head.weights[0].assign(np.eye(192, dtype="float32"))
    result = projection_head_analysis(model, *splits)
    assert [probe.name for probe in result.probes] == ["class", *TRANSFORMATIONS]
    for probe in result.probes:
        assert probe.before == pytest.approx(probe.after, abs=0.02), probe.name
        assert probe.before > probe.chance + 0.1, probe.name
    assert result["rotation"].chance == 0.25

    blind = model_with_head(2)
    blind.projection_head.weights[0].assign(np.zeros((192, 2), "float32"))
    lost = projection_head_analysis(blind, *splits, transformations=("rotation",))
    assert lost["class"].after <= 0.5
    assert lost["rotation"].after <= 0.3
    assert lost.plot().axes


def test_weights_and_seeds_stay_what_they_were(splits):
    model = model_with_head(4)
    before = [keras.ops.convert_to_numpy(one) for one in model.variables]
    one = projection_head_analysis(model, *splits, transformations=("sobel",))
    other = projection_head_analysis(model, *splits, transformations=("sobel",))
    assert one.probes == other.probes
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value)


def test_a_network_may_be_the_probe(splits):
    result = projection_head_analysis(model_with_head(8), *splits, transformations=(), probe="mlp")
    assert result["class"].before > 0.9


def test_images_that_a_transformation_does_not_suit(splits):
    gray = [(images[:, :, :6, :1], labels) for images, labels in splits]
    model = ContrastiveModel(
        keras.Sequential([keras.Input((8, 6, 1)), keras.layers.Flatten()]),
        ProjectionHead(4, hidden_units=()),
    )
    result = projection_head_analysis(model, *gray)
    assert [probe.name for probe in result.probes] == ["class", "gaussian_noise", "sobel"]
    with pytest.raises(ValueError, match="grayscale needs three channels"):
        projection_head_analysis(model, *gray, transformations=("grayscale",))
    with pytest.raises(ValueError, match="rotation needs square images"):
        projection_head_analysis(model, *gray, transformations=("rotation",))


def test_refuses_wrong_input(splits):
    model = model_with_head(4)
    with pytest.raises(ValueError, match="should be a model with a projection head"):
        projection_head_analysis(model.encoder, *splits)
    with pytest.raises(ValueError, match="`transformations` should be one of"):
        projection_head_analysis(model, *splits, transformations=("blur",))
    with pytest.raises(ValueError, match="`probe` should be one of"):
        projection_head_analysis(model, *splits, probe="tree")
    with pytest.raises(ValueError, match=r"`train\[0\]` should be uint8 images"):
        projection_head_analysis(model, (splits[0][0] / 255, splits[0][1]), splits[1])

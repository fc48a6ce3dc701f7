import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon import ProjectionHead

pytestmark = pytest.mark.neutral


def test_without_hidden_layers_it_is_a_normalized_linear_map(rng):
    features = rng.normal(size=(5, 6)).astype("float32")
    head = ProjectionHead(output_dim=3, hidden_units=())
    projections = ops.convert_to_numpy(head(features))
    (kernel,) = head.get_weights()
    expected = features @ kernel
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(projections, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("batch_norm", "num_weights"), [(False, 5), (True, 11)])
def test_has_the_layers_that_its_arguments_say(batch_norm, num_weights):
    head = ProjectionHead(output_dim=4, hidden_units=(8, 16), batch_norm=batch_norm)
    head.build((None, 6))
    # kernels 6x8, 8x16, 16x4; biases of the hidden layers, or four vectors of each batch
    # normalization
    assert len(head.weights) == num_weights
    assert [tuple(w.shape) for w in head.weights if len(w.shape) == 2] == [(6, 8), (8, 16), (16, 4)]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_projects_to_float32_unit_vectors_under_mixed_precision(rng, policy):
    head = ProjectionHead(output_dim=4, hidden_units=(8,), dtype=policy)
    projections = head(rng.normal(size=(5, 6)).astype("float32"))
    assert keras.backend.standardize_dtype(projections.dtype) == "float32"
    np.testing.assert_allclose(
        np.linalg.norm(ops.convert_to_numpy(projections), axis=1), 1, rtol=1e-5
    )


def test_batch_normalization_uses_the_batch_only_in_training(rng):
    head = ProjectionHead(output_dim=4, hidden_units=(8,), batch_norm=True)
    features = rng.normal(size=(6, 5)).astype("float32")
    inference = ops.convert_to_numpy(head(features, training=False))
    training = ops.convert_to_numpy(head(features, training=True))
    assert not np.allclose(inference, training, atol=1e-3)
    alone = ops.convert_to_numpy(head(features[:1], training=False))
    assert not np.allclose(alone, inference[:1], atol=1e-3)  # the training call moved the averages


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"output_dim": 0},
            "`output_dim` should be a whole number of at least 1. Received: output_dim=0",
        ),
        (
            {"hidden_units": (4, -1)},
            "`hidden_units` should be a whole number of at least 1. Received: hidden_units=-1",
        ),
        ({"hidden_units": 128}, "`hidden_units` should be a sequence"),
        ({"hidden_units": None}, "`hidden_units` should be a sequence"),
    ],
)
def test_refuses_impossible_widths(arguments, message):
    with pytest.raises(ValueError, match=message):
        ProjectionHead(**arguments)


def test_refuses_features_that_are_not_pooled():
    with pytest.raises(
        ValueError, match=r"shape \(batch, features\). Received: input_shape=\(2, 4, 4, 8\)"
    ):
        ProjectionHead()(np.zeros((2, 4, 4, 8), "float32"))

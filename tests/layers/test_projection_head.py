"""A projection head is the dense layers, normalizations and scaling of its arguments."""

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


# Kernels of 6x8, 8x16 and 16x4; two biases, or four vectors of each batch normalization, of which
# the last one of SimCLR has no offset.
@pytest.mark.parametrize(
    ("arguments", "num_weights"),
    [
        ({}, 5),
        ({"output_bias": True}, 6),
        ({"batch_norm": True}, 11),
        ({"batch_norm": "hidden", "output_bias": True}, 12),
        ({"batch_norm": "all"}, 14),
        ({"batch_norm": "all", "output_bias": True}, 15),
    ],
)
def test_has_the_layers_that_its_arguments_say(arguments, num_weights):
    head = ProjectionHead(output_dim=4, hidden_units=(8, 16), **arguments)
    head.build((None, 6))
    assert len(head.weights) == num_weights
    assert [tuple(w.shape) for w in head.weights if len(w.shape) == 2] == [(6, 8), (8, 16), (16, 4)]


def test_every_layer_standardizes_its_batch_with_batch_norm_of_all(rng):
    """Written out for the form of SimCLR: dense, standardize, ReLU, dense, standardize, scale."""
    features = rng.normal(size=(16, 6)).astype("float32")
    head = ProjectionHead(output_dim=4, hidden_units=(8,), batch_norm="all", normalize=False)
    actual = ops.convert_to_numpy(head(features, training=True))

    def standardized(rows):
        return (rows - rows.mean(axis=0)) / np.sqrt(rows.var(axis=0) + 1e-5)

    hidden, last = (ops.convert_to_numpy(w) for w in head.weights if len(w.shape) == 2)
    expected = standardized(np.maximum(standardized(features @ hidden), 0) @ last)
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)
    unit = ProjectionHead(output_dim=4, hidden_units=(8,), batch_norm="all")
    unit.build((None, 6))
    unit.set_weights(head.get_weights())
    head_rows = ops.convert_to_numpy(head(features))
    np.testing.assert_allclose(
        ops.convert_to_numpy(unit(features)),
        head_rows / np.linalg.norm(head_rows, axis=1, keepdims=True),
        rtol=1e-4,
        atol=1e-6,
    )


def test_without_normalization_projections_keep_their_length(rng):
    features = rng.normal(size=(5, 6)).astype("float32")
    head = ProjectionHead(output_dim=3, hidden_units=(), output_bias=True, normalize=False)
    head.build((None, 6))
    kernel, bias = head.get_weights()
    head.set_weights([kernel, bias + 2])
    np.testing.assert_allclose(
        ops.convert_to_numpy(head(features)), features @ kernel + 2, rtol=1e-4, atol=1e-5
    )


def test_a_config_of_the_version_before_gives_the_same_head():
    """It had no `normalize`, `output_bias` and `synchronized_batch_norm`."""
    old = {"output_dim": 4, "hidden_units": [8], "batch_norm": True}
    head = ProjectionHead.from_config(old)
    head.build((None, 6))
    assert [w.name for w in head.weights] == [
        "kernel",
        "gamma",
        "beta",
        "moving_mean",
        "moving_variance",
        "kernel",
    ]
    assert head.normalize


def test_old_positional_arguments_work_with_a_warning():
    with pytest.warns(DeprecationWarning, match="`hidden_units`, `batch_norm` of `ProjectionHead`"):
        head = ProjectionHead(4, (8,), True)
    assert (head.output_dim, head.hidden_units, head.batch_norm) == (4, (8,), True)


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
        (
            {"batch_norm": "last"},
            r"`batch_norm` should be one of \(False, True, 'hidden', 'all'\). Received: "
            "batch_norm='last'",
        ),
    ],
)
def test_refuses_impossible_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ProjectionHead(**arguments)


def test_refuses_features_that_are_not_pooled():
    with pytest.raises(
        ValueError, match=r"shape \(batch, features\). Received: input_shape=\(2, 4, 4, 8\)"
    ):
        ProjectionHead()(np.zeros((2, 4, 4, 8), "float32"))

"""Half precision trains as float32 does, and never gives NaN."""

import keras
import numpy as np
import pytest

from keras_supcon import ContrastiveModel, ProjectionHead, SupConLoss
from tests.covering import every_pair

pytestmark = pytest.mark.neutral


def losses_in(policy, wrapper=None):
    """Losses of ten steps on one batch of views, with the policy of the encoder and of the model
    around it.
    """
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 4, 32)
    views = rng.normal(size=(32, 2, 10)) + 2.0 * np.eye(10)[labels][:, None]
    keras.utils.set_random_seed(0)
    encoder = keras.Sequential(
        [
            keras.Input((10,)),
            keras.layers.Dense(32, activation="relu", dtype=policy),
            keras.layers.BatchNormalization(dtype=policy),
            keras.layers.Dense(16, dtype=policy),
        ],
    )
    head = ProjectionHead(8, hidden_units=(16,), dtype=policy)
    model = ContrastiveModel(encoder, head, **({} if wrapper is None else {"dtype": wrapper}))
    model.compile(optimizer=keras.optimizers.SGD(0.2, momentum=0.9), loss=SupConLoss())
    views = views.astype("float32")
    losses = []
    for _ in range(10):
        losses.append(float(model.train_on_batch(views, labels)))
        model.reset_metrics()
    return model, np.array(losses)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_the_loss_falls_as_in_float32(policy):
    _, expected = losses_in("float32")
    model, actual = losses_in(policy)
    assert expected[-1] < 0.8 * expected[0]
    assert np.isfinite(actual).all()
    if (
        actual[1] == actual[0]
    ):  # Keras' first scale of the loss was too large for float16: it skips the step and halves it
        actual, expected = actual[1:], expected[:-1]
    np.testing.assert_allclose(actual, expected, rtol=0.05)
    for weight in model.weights:
        assert np.isfinite(keras.ops.convert_to_numpy(weight).astype("float32")).all()


@pytest.mark.slow
def test_an_encoder_in_float16_has_its_loss_scaled():
    """Keras looks at the policy of the outermost model, which the encoder's own does not change."""
    model, _ = losses_in("mixed_float16")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    model, _ = losses_in("mixed_bfloat16")
    assert not isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)


def test_the_policy_of_the_model_may_be_given():
    model, _ = losses_in("mixed_float16", wrapper="float32")
    assert model.dtype_policy.name == "float32"


@pytest.mark.slow
@every_pair(scale=[1e4, 1e-4, 0.0], policy=["mixed_float16", "mixed_bfloat16"])
def test_extreme_images_give_no_nan(policy, scale):
    keras.utils.set_random_seed(0)
    encoder = keras.Sequential([keras.Input((10,)), keras.layers.Dense(16, dtype=policy)])
    model = ContrastiveModel(encoder, ProjectionHead(8, hidden_units=(16,), dtype=policy))
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss=SupConLoss(temperature=0.01))
    views = (scale * np.random.default_rng(0).normal(size=(8, 2, 10))).astype("float32")
    assert np.isfinite(model.train_on_batch(views, np.arange(8) % 2))
    for weight in model.weights:
        assert np.isfinite(keras.ops.convert_to_numpy(weight).astype("float32")).all()

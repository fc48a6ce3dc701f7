"""A quantized model predicts the same after it is loaded."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_supcon import ContrastiveModel, LinearClassifier, ProjectionHead

pytestmark = pytest.mark.neutral


def encoder() -> keras.Model:
    return keras.Sequential([keras.Input((8,)), layers.Dense(16)])


MODELS = {
    "head": lambda: keras.Sequential([keras.Input((8,)), ProjectionHead(4, hidden_units=(6,))]),
    "head with batch normalization": lambda: keras.Sequential(
        [keras.Input((8,)), ProjectionHead(4, hidden_units=(6, 5), batch_norm="all")]
    ),
    "contrastive": lambda: ContrastiveModel(encoder(), ProjectionHead(4, hidden_units=(6,))),
    "classifier": lambda: LinearClassifier(encoder(), 3),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
@pytest.mark.parametrize("name", MODELS)
def test_a_quantized_model_comes_back_from_its_file(name, rng, tmp_path):
    model, x = MODELS[name](), rng.normal(size=(16, 8)).astype("float32")
    plain = model.predict(x, verbose=0)
    model.quantize("int8")
    quantized = model.predict(x, verbose=0)
    assert 0 < np.abs(quantized - plain).max() < 0.1
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), quantized)
    again.save(tmp_path / "again.keras")
    np.testing.assert_array_equal(
        keras.saving.load_model(tmp_path / "again.keras").predict(x, verbose=0), quantized
    )

"""An encoder with the first layers of its head."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_supcon
from keras_supcon.models import encoder_with_head
from tests.models.methods import FEATURES, dense_encoder

pytestmark = pytest.mark.neutral


def trained(rng, **options):
    head = keras_supcon.ProjectionHead(4, hidden_units=(7, 6), **options)
    model = keras_supcon.ContrastiveModel(dense_encoder(), head)
    model.compile("adam", keras_supcon.SupConLoss())
    model.fit(rng.normal(size=(8, 2, FEATURES)).astype("float32"), np.arange(8) % 3, verbose=0)
    return model


@pytest.mark.parametrize("batch_norm", [False, True, "all"])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_it_is_the_head_cut_after_a_hidden_layer(rng, batch_norm, num_layers):
    model = trained(rng, batch_norm=batch_norm, normalize=False)
    x = rng.normal(size=(5, FEATURES)).astype("float32")
    deeper = encoder_with_head(model.encoder, model.projection_head, num_layers)
    cut = deeper(x)
    assert tuple(cut.shape) == (5, (7, 6)[num_layers - 1])
    assert ops.convert_to_numpy(ops.min(cut)) == 0  # after the activation
    rest = model.projection_head.quantizable_parts()
    rest = rest[len(model.projection_head.first_layers(num_layers)) :]
    for layer in rest:
        cut = layer(cut)
    expected = model.projection_head(model.encoder(x))
    np.testing.assert_allclose(
        ops.convert_to_numpy(cut), ops.convert_to_numpy(expected), rtol=1e-5, atol=1e-6
    )


def test_fine_tuning_changes_the_layers_of_the_model(rng, tmp_path):
    model = trained(rng)
    deeper = encoder_with_head(model.encoder, model.projection_head)
    classifier = keras_supcon.LinearClassifier(deeper, 3, trainable_encoder=True)
    classifier.compile("adam", "sparse_categorical_crossentropy")
    before = model.projection_head.hidden_layers[0].get_weights()[0].copy()
    x = rng.normal(size=(8, FEATURES)).astype("float32")
    classifier.fit(x, np.arange(8) % 3, verbose=0)
    assert np.abs(model.projection_head.hidden_layers[0].get_weights()[0] - before).max() > 1e-5
    classifier.save(tmp_path / "classifier.keras")
    loaded = keras.saving.load_model(tmp_path / "classifier.keras")
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), classifier.predict(x, verbose=0), rtol=1e-6
    )


def test_ids_stay_whole_in_half_precision():
    """2,049 is no number of float16."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        embedding = keras.layers.Embedding(3000, 4)
        layers = [embedding, keras.layers.GlobalAveragePooling1D()]
        encoder = keras.Sequential([keras.Input((1,), dtype="int32"), *layers])
        head = keras_supcon.ProjectionHead(4, hidden_units=(7,))
    finally:
        keras.config.set_dtype_policy("float32")
    head.build((None, 4))
    deeper = encoder_with_head(encoder, head)
    ids = np.array([[2048], [2049]], "int32")
    first, second = ops.convert_to_numpy(ops.cast(deeper(ids), "float32"))
    assert np.abs(first - second).max() > 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"num_layers": 3}, "`num_layers` should be at most .* 2. Received: num_layers=3"),
        ({"num_layers": 0}, "`num_layers` should be a whole number of at least 1"),
        ({"projection_head": keras.layers.Dense(3)}, "`projection_head` should be a `Projection"),
    ],
)
def test_other_arguments_are_refused(arguments, sentence):
    head = keras_supcon.ProjectionHead(4, hidden_units=(7, 6))
    with pytest.raises(ValueError, match=sentence):
        encoder_with_head(dense_encoder(), **{"projection_head": head, **arguments})

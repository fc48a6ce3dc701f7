import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon import LinearClassifier
from keras_supcon.augmentation import SimAugment
from keras_supcon.models.seed_states import SavesSeedStates, seed_states

pytestmark = pytest.mark.neutral


@keras.saving.register_keras_serializable(package="tests")
class Noisy(SavesSeedStates, keras.Model):
    """Dropout below a part of a part, noise in a part, and a variable of its own."""

    def __init__(self, noise: bool = True, **kwargs) -> None:
        super().__init__(**kwargs)
        self.encoder = keras.Sequential(
            [keras.Sequential([keras.layers.Dense(5), keras.layers.Dropout(0.5, seed=1)])]
        )
        self.noise = keras.layers.GaussianNoise(1.0) if noise else None
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def build(self, input_shape) -> None:
        self.encoder.build(input_shape)
        self.built = True

    def call(self, x, training=False):
        x = self.encoder(x, training=training)
        return self.scale * (x if self.noise is None else self.noise(x, training=training))

    def get_config(self):
        return {**super().get_config(), "noise": self.noise is not None}


class WithoutSeedStates(Noisy):
    """As the files were before."""

    def save_own_variables(self, store) -> None:
        keras.Model.save_own_variables(self, store)


def used(kind=Noisy, times: int = 3, **options) -> Noisy:
    model = kind(**options)
    model.build((None, 4))
    model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
    for _ in range(times):
        model.train_on_batch(np.ones((2, 4)), np.ones((2, 5)))
    return model


def values(model: keras.Model) -> list[np.ndarray]:
    return [ops.convert_to_numpy(state) for state in seed_states(model)]


def test_finds_each_seed_state_once_and_nothing_else():
    model = used()
    assert len(values(model)) == 2
    assert all(value.shape == (2,) and value[1] == 3 for value in values(model))
    assert not {id(state) for state in seed_states(model)} & {
        id(weight) for weight in model.weights
    }


def test_a_loaded_model_draws_what_the_saved_one_would_have_drawn(tmp_path):
    model = used()
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    loaded, other = keras.saving.load_model(tmp_path / "model.keras"), used(times=1)
    other.load_weights(tmp_path / "model.weights.h5")
    x = np.ones((3, 4), "float32")
    expected = ops.convert_to_numpy(model(x, training=True))
    for again in (loaded, other):
        np.testing.assert_array_equal(ops.convert_to_numpy(again(x, training=True)), expected)


def test_a_file_without_seed_states_loads_and_leaves_them(tmp_path):
    old, new = used(WithoutSeedStates), used(times=1)
    before = values(new)
    old.save_weights(tmp_path / "old.weights.h5")
    new.load_weights(tmp_path / "old.weights.h5")
    np.testing.assert_array_equal(values(new), before)
    np.testing.assert_array_equal(new.get_weights()[0], old.get_weights()[0])


def test_refuses_a_file_with_another_number_of_generators(tmp_path):
    used(noise=False).save_weights(tmp_path / "one.weights.h5")
    with pytest.raises(ValueError, match="has 2. Received: a file with the states of 1"):
        used().load_weights(tmp_path / "one.weights.h5")


def test_the_classifier_saves_the_seed_states_of_its_augmenter(tmp_path, digits):
    def classifier(seed: int) -> LinearClassifier:
        encoder = keras.Sequential(
            [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dropout(0.5)]
        )
        model = LinearClassifier(
            encoder, num_classes=10, augmenter=SimAugment(image_size=(8, 8), seed=seed)
        )
        model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
        model.build((None, 8, 8, 1))
        return model

    model, other = classifier(1), classifier(2)
    model.fit(digits[0][:64], digits[1][:64], epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    for again in (keras.saving.load_model(tmp_path / "model.keras"), other):
        assert len(values(model)) > 2
        np.testing.assert_array_equal(values(again), values(model))

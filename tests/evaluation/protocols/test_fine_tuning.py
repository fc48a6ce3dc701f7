"""Fine-tuning trains encoder and classifier, and gives the encoder its weights back."""

import keras
import numpy as np
import pytest

from keras_supcon.evaluation import fine_tune
from keras_supcon.evaluation.protocols.fine_tuning import LEARNING_RATES, WEIGHT_DECAYS

pytestmark = pytest.mark.neutral


def encoder_with_dropout():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(32),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Dropout(0.1, seed=0),
        ]
    )


@pytest.fixture
def splits(digits):
    from keras_supcon.data import load_arrays

    images, labels = load_arrays("digits", "test")
    return (digits[0][:400], digits[1][:400]), (images, labels)


def test_the_grid_is_that_of_the_paper():
    assert len(LEARNING_RATES) == 7
    assert len(WEIGHT_DECAYS) == 8
    np.testing.assert_allclose([LEARNING_RATES[0], LEARNING_RATES[-1]], [1e-4, 1e-1])
    np.testing.assert_allclose([WEIGHT_DECAYS[1], WEIGHT_DECAYS[-1]], [1e-6, 1e-3])


@pytest.mark.slow
def test_chooses_on_validation_images_and_leaves_the_encoder_as_it_was(splits):
    encoder = encoder_with_dropout()
    before = [keras.ops.convert_to_numpy(one) for one in encoder.variables]
    momentum = encoder.layers[3].momentum
    told = []
    result = fine_tune(
        encoder,
        *splits,
        steps=60,
        batch_size=64,
        learning_rates=(1e-4, 0.1),
        weight_decays=(0.0, 1e-4),
        on_progress=lambda done, total: told.append((done, total)),
    )
    for variable, value in zip(encoder.variables, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value)
    assert encoder.layers[3].momentum == momentum
    assert encoder.trainable
    assert told == [(i, 5) for i in range(1, 6)]
    assert result.accuracy > 0.8
    assert result.chosen.learning_rate == 0.1  # the other one hardly moves
    assert result.chosen.accuracy == max(one.accuracy for one in result.tried)
    assert result.plot().axes
    assert result.rows()[0]["learning rate"] == "0.1"


def test_a_large_weight_decay_shrinks_the_weights(splits, monkeypatch):
    norms = []

    def spy(model, *arguments, **options):
        history = fit(model, *arguments, **options)
        norms.append(float(keras.ops.norm(model.head.kernel)))
        return history

    from keras_supcon.models import LinearClassifier

    fit = LinearClassifier.fit
    monkeypatch.setattr(LinearClassifier, "fit", spy)
    for decay in (0.0, 1e-2):
        fine_tune(
            encoder_with_dropout(),
            *splits,
            steps=30,
            batch_size=64,
            learning_rates=(0.05,),
            weight_decays=(decay,),
        )
    assert norms[2] < 0.8 * norms[0]


def test_a_setting_that_diverges_is_not_chosen(splits):
    options = {"steps": 20, "batch_size": 64, "weight_decays": (1e-3,)}
    encoder = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    encoder.add(keras.layers.Dense(8))
    result = fine_tune(encoder, *splits, learning_rates=(1e30, 1e-4), **options)
    assert result.tried[0].accuracy == 0
    assert result.chosen.learning_rate == 1e-4
    with pytest.raises(ValueError, match="should have one with which training does not diverge"):
        fine_tune(encoder, *splits, learning_rates=(1e30,), **options)


def test_the_seeds_of_an_augmenter_are_given_back(splits):
    augmenter = keras.layers.GaussianNoise(0.9, seed=3)
    before = [keras.ops.convert_to_numpy(one) for one in augmenter.variables]
    options = {"steps": 5, "batch_size": 64, "learning_rates": (0.05,), "weight_decays": (0.0,)}
    fine_tune(encoder_with_dropout(), *splits, augmenter=augmenter, **options)
    for variable, value in zip(augmenter.variables, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "`steps` should be a whole number of at least 1"),
        ({"learning_rates": (0,)}, "`learning_rates` should be .* positive numbers"),
        ({"learning_rates": ()}, "`learning_rates` should be a sequence of one or more"),
        ({"learning_rates": 0.1}, "`learning_rates` should be a sequence"),
        ({"weight_decays": (-1,)}, "`weight_decays` should be .* numbers of at least 0"),
        ({"validation": (np.zeros((2, 8, 7, 1)), [0, 1])}, "shape of those of `train`.*8x7x1"),
        ({"validation": 2}, "`validation` should be a share .* or a pair"),
        ({"validation": "x"}, "`validation` should be a pair"),
    ],
)
def test_refuses_wrong_input(splits, change, message):
    with pytest.raises(ValueError, match=message):
        fine_tune(encoder_with_dropout(), *splits, **change)
    (images, labels), test = splits
    with pytest.raises(ValueError, match="no image of class 9"):
        fine_tune(encoder_with_dropout(), (images[labels < 9], labels[labels < 9]), test)
    with pytest.raises(ValueError, match="`test` should have images of the shape"):
        fine_tune(encoder_with_dropout(), splits[0], ({"image": test[0]}, test[1]))
    damaged = test[0].astype("float32")
    damaged[5] = np.nan
    for wrong, message in (
        (damaged, "finite images"),
        (None, "images as arrays.*NoneType"),
        (test[0][:2].tolist(), "images as arrays.*list"),
    ):
        with pytest.raises(ValueError, match=f"`test` should have {message}"):
            fine_tune(encoder_with_dropout(), splits[0], (wrong, test[1]))
    frozen = encoder_with_dropout()
    frozen.trainable = False
    with pytest.raises(ValueError, match="`encoder` should be trainable"):
        fine_tune(frozen, *splits)

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon import LinearClassifier, augmentation
from keras_supcon.augmentation import SimAugment
from tests.models.test_contrastive import small_encoder

pytestmark = pytest.mark.neutral


def compiled_classifier(encoder, **options) -> LinearClassifier:
    classifier = LinearClassifier(encoder, num_classes=10, **options)
    classifier.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return classifier


def test_fit_moves_the_head_and_leaves_the_encoder_bit_for_bit(digits):
    encoder = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    )
    encoder.add(keras.layers.BatchNormalization())
    encoder.add(keras.layers.Dense(32))
    classifier = compiled_classifier(encoder)
    classifier.build((None, 8, 8, 1))
    before = [ops.convert_to_numpy(variable) for variable in encoder.variables]
    head_before = classifier.head.get_weights()
    history = classifier.fit(digits[0], digits[1], batch_size=64, epochs=4, verbose=0).history
    assert history["accuracy"][-1] > 0.8  # a random linear map of the pixels is enough for that
    for variable, value in zip(encoder.variables, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), value)
    assert not np.array_equal(classifier.head.get_weights()[0], head_before[0])


def test_only_the_head_is_trainable_and_the_encoder_stays_trainable_for_its_owner():
    encoder = small_encoder()
    classifier = compiled_classifier(encoder)
    classifier.build((None, 8, 8, 1))
    assert [v.path for v in classifier.trainable_variables] == [
        v.path for v in classifier.head.trainable_variables
    ]
    assert len(classifier.trainable_weights) == 2
    assert len(classifier.non_trainable_weights) == len(encoder.weights)
    assert len(encoder.trainable_variables) > 2
    classifier.trainable = False
    assert classifier.trainable_variables == []


def test_is_softmax_regression_on_the_features_in_inference_mode(digits):
    encoder = small_encoder()
    encoder(digits[0][:32], training=True)  # moves the averages away from their start
    classifier = LinearClassifier(encoder, num_classes=10)
    images = digits[0][:6]
    for training in (False, True):
        probabilities = ops.convert_to_numpy(classifier(images, training=training))
        kernel, bias = classifier.head.get_weights()
        logits = (
            ops.convert_to_numpy(encoder(images.astype("float32"), training=False)) @ kernel + bias
        )
        expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(probabilities, expected, rtol=1e-3)


def test_without_activation_gives_logits(digits):
    classifier = LinearClassifier(small_encoder(), num_classes=10, classifier_activation=None)
    probabilities = LinearClassifier(classifier.encoder, num_classes=10)
    for model in (classifier, probabilities):
        model.build((None, 8, 8, 1))
    probabilities.head.set_weights(classifier.head.get_weights())
    logits = classifier(digits[0][:4])
    np.testing.assert_allclose(
        ops.convert_to_numpy(ops.softmax(logits)),
        ops.convert_to_numpy(probabilities(digits[0][:4])),
        rtol=1e-4,
    )


def test_augments_in_training_only(digits):
    classifier = LinearClassifier(small_encoder(), 10, augmenter=SimAugment(image_size=(8, 8)))
    images = digits[0][:4]
    plain, first, second = (
        ops.convert_to_numpy(classifier(images, training=mode)) for mode in (False, True, True)
    )
    assert not np.allclose(first, second, atol=1e-4)
    unaugmented = LinearClassifier(classifier.encoder, 10)
    unaugmented.build((None, 8, 8, 1))
    unaugmented.head.set_weights(classifier.head.get_weights())
    np.testing.assert_allclose(plain, ops.convert_to_numpy(unaugmented(images)), rtol=1e-3)


def test_takes_the_augmenter_of_a_model_with_several_views(digits):
    """Of a `MultiView` its first policy: one view for each image and label."""
    encoder = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    weak, strong = augmentation.SimAugment((8, 8), strength=0.2), augmentation.SimAugment((8, 8))
    classifier = LinearClassifier(encoder, 10, augmenter=augmentation.MultiView([weak, strong]))
    assert classifier.augmenter is weak
    assert classifier(digits[0][:4], training=True).shape == (4, 10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"num_classes": 1},
            "`num_classes` should be a whole number of at least 2. Received: num_classes=1",
        ),
        ({"num_classes": "10"}, "`num_classes` should be"),
        ({"encoder": None}, "`encoder` should be a Keras model or layer"),
        ({"augmenter": 1}, "`augmenter` should be a Keras layer"),
    ],
)
def test_refuses_arguments_of_another_kind(arguments, message):
    with pytest.raises(ValueError, match=message):
        LinearClassifier(**{"encoder": small_encoder(), "num_classes": 10, **arguments})


def test_refuses_an_encoder_that_does_not_pool():
    classifier = LinearClassifier(keras.layers.Conv2D(4, 3), 10)
    with pytest.raises(
        ValueError, match=r"shape \(batch, features\).*Received: .*\(None, 6, 6, 4\)"
    ):
        classifier(np.zeros((2, 8, 8, 1)))

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_supcon import ContrastiveModel, LinearClassifier, ProjectionHead, SupConLoss
from keras_supcon.encoders import ResNet
from keras_supcon.models.fine_tuning import trained_weights
from tests.covering import every_value

pytestmark = pytest.mark.neutral


def small_encoder(**options) -> keras.Model:
    parts = [
        layers.Flatten(),
        layers.Dense(16, "relu"),
        layers.BatchNormalization(),
        layers.Dropout(0.5, seed=1),
        layers.Dense(8),
    ]
    return keras.Sequential([keras.Input((8, 8, 1)), layers.Rescaling(1 / 255), *parts], **options)


def compiled(encoder, **options) -> LinearClassifier:
    classifier = LinearClassifier(encoder, 10, **options)
    classifier.compile(optimizer=keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy")
    return classifier


def moved(model, run) -> list[str]:
    """Names of the weights that change while `run` runs."""
    before = [ops.convert_to_numpy(ops.copy(weight)) for weight in model.weights]
    run()
    pairs = zip(model.weights, before, strict=True)
    return [
        weight.path
        for weight, value in pairs
        if not np.array_equal(ops.convert_to_numpy(weight), value)
    ]


@pytest.mark.slow
@every_value(trainable_encoder=[False, True, 1, 2, 3], encoder_training_mode=[False])
def test_fit_moves_what_is_said_to_be_trained_and_nothing_else(
    trainable_encoder, encoder_training_mode, digits
):
    encoder = small_encoder()
    classifier = compiled(encoder, trainable_encoder=trainable_encoder)
    dense, normalization, last = encoder.layers[2], encoder.layers[3], encoder.layers[5]
    blocks = [dense, normalization, last]
    first = {"False": 3, "True": 0}.get(str(trainable_encoder), -int(trainable_encoder))
    kept = blocks[first:]
    expected = [
        weight for block in kept for weight in block.trainable_variables
    ] + classifier.head.trainable_variables
    assert [id(one) for one in classifier.trainable_variables] == [id(one) for one in expected]
    classifier.build((None, 8, 8, 1))
    names = moved(classifier, lambda: classifier.fit(digits[0][:64], digits[1][:64], verbose=0))
    expected = [weight.path for block in kept for weight in block.trainable_variables]
    # Statistics stay those of pre-training.
    assert sorted(names) == sorted(expected + [weight.path for weight in classifier.head.weights])


@pytest.mark.slow
def test_training_mode_moves_the_statistics_and_drops(digits):
    encoder = small_encoder()
    classifier = compiled(encoder, trainable_encoder=True, encoder_training_mode=True)
    images = digits[0][:32]
    first, second = (ops.convert_to_numpy(classifier(images, training=True)) for _ in range(2))
    assert not np.allclose(first, second)
    names = moved(classifier, lambda: classifier.fit(images, digits[1][:32], verbose=0))
    assert sum("moving" in name for name in names) == 2
    classifier.trainable_encoder = 2  # or frozen, or in part: no statistics move
    np.testing.assert_array_equal(
        *(ops.convert_to_numpy(classifier(images, training=mode)) for mode in (True, False))
    )
    plain = compiled(encoder, trainable_encoder=True)
    np.testing.assert_array_equal(
        *(ops.convert_to_numpy(plain(images, training=mode)) for mode in (True, False))
    )


@pytest.mark.slow
@pytest.mark.parametrize("fits_before", [False, True])
def test_setting_trainable_of_the_encoder_works(fits_before, digits):
    encoder = small_encoder()
    classifier = compiled(encoder)
    images, labels = digits[0][:32], digits[1][:32]
    classifier.build((None, 8, 8, 1))
    if fits_before:
        names = moved(classifier, lambda: classifier.fit(images, labels, verbose=0))
        assert all("head" in name for name in names)
    assert classifier.trainable_encoder is False
    classifier.encoder.trainable = True
    assert classifier.trainable_encoder is True
    classifier.compile(optimizer=keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy")
    names = moved(encoder, lambda: classifier.fit(images, labels, verbose=0))
    assert len(names) == 6
    # As anyone who fine-tunes with Keras would.
    encoder.layers[2].trainable = False
    classifier.compile(optimizer=keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy")
    assert len(moved(encoder, lambda: classifier.fit(images, labels, verbose=0))) == 4


@pytest.mark.parametrize("is_built", [False, True])
def test_the_encoder_is_the_same_for_all_others(is_built, tmp_path):
    encoder = ResNet(depth=10, width=0.125, stem="cifar")
    if is_built:
        encoder.build((None, 8, 8, 3))
    classifier = LinearClassifier(encoder, 10)
    assert encoder.trainable == True  # noqa: E712
    assert isinstance(encoder.trainable, bool)
    config = encoder.get_config()
    assert config["trainable"] is True
    assert ResNet.from_config(config).trainable is True
    assert (
        keras.saving.deserialize_keras_object(
            keras.saving.serialize_keras_object(classifier)
        ).trainable_encoder
        is False
    )
    classifier.build((None, 8, 8, 3))
    assert len(classifier.trainable_variables) == 2
    encoder.save(tmp_path / "encoder.keras")
    again = keras.saving.load_model(tmp_path / "encoder.keras")
    assert len(again.trainable_variables) == len(encoder.trainable_variables) > 10


@pytest.mark.parametrize("builds_first", [False, True])
def test_setting_trainable_before_anything_is_built_works(builds_first):
    encoder = ResNet(depth=10, width=0.125, stem="cifar")
    classifier = LinearClassifier(encoder, 10)
    if builds_first:
        encoder.build((None, 8, 8, 3))
    classifier.encoder.trainable = True
    assert classifier.trainable_encoder is True
    classifier.build((None, 8, 8, 3))
    assert len(classifier.trainable_variables) == len(encoder.trainable_variables) + 2
    # Another classifier on it begins frozen, and the first goes on.
    other = LinearClassifier(encoder, 10)
    other.build((None, 8, 8, 3))
    assert len(other.trainable_variables) == 2
    assert len(classifier.trainable_variables) > 10
    assert (
        keras.models.clone_model(keras.Sequential([keras.Input((8, 8, 3)), encoder]))
        .layers[0]
        .trainable
        is True
    )


@keras.saving.register_keras_serializable(package="tests")
class WithoutConfig(layers.Layer):
    """Keras keeps the arguments of a layer that has no `get_config`."""

    def __init__(self, dim=8, activation="relu", **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(dim, activation)

    def call(self, x):
        return self.dense(x)


@pytest.mark.slow
def test_files_keep_the_arguments_of_the_encoder(rng, tmp_path):
    x = rng.normal(size=(8, 5)).astype("float32")
    for model in (
        compiled(WithoutConfig(16, "tanh")),
        ContrastiveModel(compiled(WithoutConfig(16, "tanh")).encoder),
    ):
        expected = model.predict(x, verbose=0)
        model.save(tmp_path / "model.keras")
        np.testing.assert_allclose(
            keras.saving.load_model(tmp_path / "model.keras").predict(x, verbose=0),
            expected,
            rtol=1e-6,
        )


def test_a_second_classifier_leaves_the_first_as_it_was():
    encoder = small_encoder()
    first = compiled(encoder)
    first.encoder.trainable = True
    second = compiled(encoder)
    assert (first.trainable_encoder, second.trainable_encoder) == (True, False)
    third = compiled(encoder)
    assert (first.trainable_encoder, second.trainable_encoder, third.trainable_encoder) == (
        True,
        False,
        False,
    )


@pytest.mark.slow
def test_it_can_be_frozen_again(digits):
    images, labels = digits[0][:32], digits[1][:32]
    classifier = compiled(small_encoder())
    for freeze in (
        lambda: setattr(classifier.encoder, "trainable", False),
        lambda: setattr(classifier, "trainable_encoder", False),
    ):
        classifier.encoder.trainable = True
        classifier.compile(
            optimizer=keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy"
        )
        with pytest.warns(
            UserWarning, match="trains its encoder too, since `encoder.trainable` was set to True"
        ):
            assert moved(classifier.encoder, lambda: classifier.fit(images, labels, verbose=0))
        freeze()
        classifier.compile(
            optimizer=keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy"
        )
        assert not moved(classifier.encoder, lambda: classifier.fit(images, labels, verbose=0))
    classifier.trainable_encoder = 1
    assert len(classifier.trainable_variables) == 4


@pytest.mark.slow
def test_a_change_without_compiling_again_is_refused(digits):
    classifier = compiled(small_encoder())
    classifier.fit(digits[0][:32], digits[1][:32], verbose=0)
    classifier.encoder.trainable = True
    with pytest.raises(
        ValueError, match="`compile` should be called again after a change of the trained weights"
    ):
        classifier.fit(digits[0][:32], digits[1][:32], verbose=0)


def test_an_encoder_that_was_frozen_by_its_user_is_refused(digits):
    encoder = small_encoder()
    encoder.trainable = False
    classifier = compiled(encoder, trainable_encoder=True)
    classifier.build((None, 8, 8, 1))
    with pytest.raises(
        ValueError, match=r"should have trainable weights.* encoder.trainable=False"
    ):
        classifier.fit(digits[0][:32], digits[1][:32], verbose=0)


def test_the_trainable_flag_of_the_classifier_is_that_of_its_head():
    encoder = small_encoder()
    classifier = compiled(encoder)
    classifier.trainable = False
    assert classifier.trainable_variables == []
    assert encoder.trainable  # for its owner
    classifier.trainable = True
    assert classifier.trainable_encoder is False
    classifier.build((None, 8, 8, 1))
    assert len(classifier.trainable_variables) == 2


@pytest.mark.slow
def test_pre_training_goes_on_beside_it(digits):
    images, labels = digits[0][:32], digits[1][:32]
    model = ContrastiveModel(small_encoder(), ProjectionHead(4, hidden_units=()))
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss=SupConLoss())
    classifier = compiled(model.encoder)
    assert len(moved(model.encoder, lambda: model.fit(images, labels, verbose=0))) == 8
    assert moved(model.encoder, lambda: classifier.fit(images, labels, verbose=0)) == []


@pytest.mark.slow
def test_the_choice_comes_back_from_a_file(tmp_path, digits):
    for options in (
        {"trainable_encoder": 2},
        {"trainable_encoder": True, "encoder_training_mode": True},
        {},
    ):
        classifier = compiled(small_encoder(), **options)
        classifier.fit(digits[0][:32], digits[1][:32], verbose=0)
        classifier.save(tmp_path / "classifier.keras")
        again = keras.saving.load_model(tmp_path / "classifier.keras")
        assert (again.trainable_encoder, again.encoder_training_mode) == (
            options.get("trainable_encoder", False),
            options.get("encoder_training_mode", False),
        )
        assert len(again.trainable_variables) == len(classifier.trainable_variables)
        again.fit(digits[0][:32], digits[1][:32], verbose=0)  # its optimizer came with it


def test_blocks_of_a_resnet_are_its_residual_blocks():
    encoder = ResNet(depth=18, width=0.125, stem="cifar")
    encoder.build((None, 8, 8, 3))
    weights = trained_weights(encoder, 1)
    assert {weight.path.split("/")[1] for weight in weights} == {encoder.layers[-2].name}
    # An encoder that wraps another has the blocks of that one.
    wrapped = keras.Sequential([keras.Input((8, 8, 3)), encoder])
    assert [id(one) for one in trained_weights(wrapped, 1)] == [id(one) for one in weights]
    with pytest.raises(
        ValueError,
        match=r"`trainable_encoder` should be at most \d+, the number of layers with weights",
    ):
        trained_weights(encoder, 100)


@pytest.mark.parametrize("trainable_encoder", [0, -1, 1.5, "all", None])
def test_refuses_other_values(trainable_encoder):
    with pytest.raises(
        ValueError, match="`trainable_encoder` should be True, False, or a number of blocks"
    ):
        LinearClassifier(small_encoder(), 10, trainable_encoder=trainable_encoder)


@pytest.mark.parametrize("trainable_encoder", [False, 2])
def test_refuses_training_mode_of_frozen_blocks(trainable_encoder):
    with pytest.raises(
        ValueError,
        match="`encoder_training_mode` should be False unless `trainable_encoder` is True",
    ):
        LinearClassifier(
            small_encoder(), 10, trainable_encoder=trainable_encoder, encoder_training_mode=True
        )

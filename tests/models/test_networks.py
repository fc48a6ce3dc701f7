"""Networks that users have, through both stages, files and exports: whoever asks, the same numbers
for the same sample.
"""

import keras
import numpy as np
import pytest
from keras import layers, ops, tree

from keras_supcon import ContrastiveModel, LinearClassifier, ProjectionHead, SupConLoss, evaluation
from keras_supcon.augmentation import SimAugment
from keras_supcon.distribution.batch_normalization import batch_normalizations
from tests.covering import representatives

pytestmark = [pytest.mark.neutral, pytest.mark.slow]

SIZE = (32, 32, 3)
TOKENS = 10


def applications(name):
    return lambda: getattr(keras.applications, name)(
        include_top=False, pooling="avg", weights=None, input_shape=SIZE
    )


def resnet50():
    network = applications("ResNet50")()
    images = keras.Input(SIZE)
    return keras.Model(images, network(keras.applications.resnet50.preprocess_input(images)))


def keras_hub_images():
    import keras_hub

    backbone = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        image_shape=SIZE,
    )
    return keras.Sequential(
        [keras.Input(SIZE), layers.Rescaling(1 / 255), backbone, layers.GlobalAveragePooling2D()]
    )


def keras_hub_text():
    import keras_hub

    backbone = keras_hub.models.DistilBertBackbone(
        vocabulary_size=60,
        num_layers=1,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=TOKENS,
    )
    features = layers.GlobalAveragePooling1D()(
        backbone.output, mask=ops.cast(backbone.input["padding_mask"], "bool")
    )
    return keras.Model(backbone.input, features)


def tabular():
    table = keras.Input((64,))
    return keras.Model(
        table, layers.Dense(32, "relu")(layers.Dropout(0.2)(layers.BatchNormalization()(table)))
    )


def series():
    return keras.Sequential([keras.Input((8, 8)), layers.Dropout(0.1), layers.LSTM(16)])


def images(digits):
    pictures = np.repeat(np.pad(digits[0][:24], ((0, 0), (12, 12), (12, 12), (0, 0))), 3, axis=-1)
    return pictures, digits[1][:24]


def texts(digits):
    """Lines about weather and about food, as token ids."""
    words = [
        ["wet", "cold", "grey", "rain", "wind", "cloud"],
        ["warm", "fresh", "bread", "butter", "salt", "flour"],
    ]
    vocabulary = sorted({word for kind in words for word in kind})
    rng, rows, labels = np.random.default_rng(0), [], []
    for line in range(24):
        kind = line % 2
        length = rng.integers(4, TOKENS)
        chosen = rng.choice(words[kind], length)
        rows.append([vocabulary.index(word) + 1 for word in chosen] + [0] * (TOKENS - length))
        labels.append(kind)
    ids = np.array(rows, "int32")
    return {"token_ids": ids, "padding_mask": (ids > 0).astype("int32")}, np.array(labels)


def rows(digits):
    return digits[0][:24].reshape(24, 64), digits[1][:24]


def lines(digits):
    return digits[0][:24, ..., 0], digits[1][:24]


NETWORKS = {
    "EfficientNetV2B0": (applications("EfficientNetV2B0"), images),
    "MobileNetV3Small": (applications("MobileNetV3Small"), images),
    "ResNet50": (resnet50, images),
    "KerasHub images": (keras_hub_images, images),
    "KerasHub text": (keras_hub_text, texts),
    "table": (tabular, rows),
    "series": (series, lines),
}


# Each takes a minute to trace on TensorFlow and to compile on JAX; on torch all of them run always.
DEEP = {
    "tensorflow": ["EfficientNetV2B0", "MobileNetV3Small", "ResNet50"],
    "jax": ["EfficientNetV2B0", "MobileNetV3Small", "ResNet50"],
    "torch": [],
}[keras.backend.backend()]


@representatives("name", [name for name in NETWORKS if name not in DEEP], DEEP)
@pytest.mark.filterwarnings("ignore:.*has nothing before it that scales")
def test_all_ways_of_asking_agree(name, digits, tmp_path):
    make_encoder, make_data = NETWORKS[name]
    encoder, (x, y) = make_encoder(), make_data(digits)
    if name == "MobileNetV3Small":  # untrained, all samples would be the same to it, up to 1e-10
        for layer in batch_normalizations(encoder):
            layer.momentum = 0.0
    augmenter = SimAugment(image_size=SIZE[:2], seed=1) if make_data is images else None
    model = ContrastiveModel(encoder, ProjectionHead(8, hidden_units=(16,)), augmenter=augmenter)
    model.compile(optimizer=keras.optimizers.SGD(1e-3), loss=SupConLoss())
    assert np.isfinite(model.fit(x, y, batch_size=12, verbose=0).history["loss"]).all()
    classifier = LinearClassifier(model.encoder, 10)
    classifier.compile(
        optimizer=keras.optimizers.Adam(1e-2), loss="sparse_categorical_crossentropy"
    )
    classifier.fit(x, y, batch_size=12, verbose=0)

    floats = tree.map_structure(lambda array: array.astype("float32"), x)
    expected = ops.convert_to_numpy(
        encoder(floats if not isinstance(x, dict) else x, training=False)
    )
    assert expected.std(axis=0).max() > 1e-4  # samples differ
    forms = [x] if isinstance(x, dict) else [x, floats]
    close = {"rtol": 1e-4, "atol": 1e-4 * np.abs(expected).max()}
    model.save(tmp_path / "model.keras")
    classifier.save(tmp_path / "classifier.keras")
    again, classifier_again = (
        keras.saving.load_model(tmp_path / f"{one}.keras") for one in ("model", "classifier")
    )
    for form in forms:
        np.testing.assert_allclose(ops.convert_to_numpy(model.embed(form)), expected, **close)
        np.testing.assert_allclose(ops.convert_to_numpy(again.embed(form)), expected, **close)
    for place, stage in enumerate((model, classifier, encoder, again, classifier_again)):
        np.testing.assert_allclose(
            evaluation.embed(stage, (forms[place % len(forms)], y))[0], expected, **close
        )
    probabilities = ops.convert_to_numpy(classifier.head(expected))
    for form in forms:
        for stage in (classifier, classifier_again):
            np.testing.assert_allclose(
                stage.predict(form, verbose=0), probabilities, rtol=1e-3, atol=1e-5
            )
        np.testing.assert_allclose(
            again.predict(form, verbose=0), model.predict(form, verbose=0), rtol=1e-3, atol=1e-5
        )
    if keras.backend.backend() == "tensorflow":  # the other backends export by way of TensorFlow
        for stage in (classifier_again, again):
            check_exported(stage, x, floats, tmp_path / "served")


def check_exported(model, x, floats, folder):
    import tensorflow as tf

    model.export(folder, verbose=False)
    served = tf.saved_model.load(folder)
    given = tree.map_structure(tf.convert_to_tensor, x if isinstance(x, dict) else floats)
    np.testing.assert_allclose(
        served.serve(given).numpy(), model.predict(x, verbose=0), rtol=1e-3, atol=1e-5
    )

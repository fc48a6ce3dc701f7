import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon import ContrastiveModel, LinearClassifier, ProjectionHead
from keras_supcon.augmentation import MultiView, SimAugment
from keras_supcon.encoders import ResNet
from keras_supcon.evaluation import classify, embed

pytestmark = pytest.mark.neutral


def batches(images, labels, size=50):
    return [(images[i : i + size], labels[i : i + size]) for i in range(0, len(labels), size)]


def test_embeds_every_image_in_order_in_inference_mode(digits):
    images, labels = digits[0][:120], digits[1][:120]
    encoder = ResNet(depth=10, width=0.125, stem="cifar")
    embeddings, embedded_labels = embed(encoder, batches(images, labels))
    np.testing.assert_array_equal(embedded_labels, labels)
    expected = ops.convert_to_numpy(encoder(images.astype("float32"), training=False))
    np.testing.assert_allclose(embeddings, expected, rtol=1e-3, atol=1e-5)
    assert embeddings.dtype == "float32"


def test_models_embed_what_their_encoder_saw_in_training(digits):
    # This encoder tells pixel scales apart.
    encoder = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    augmenter = SimAugment(image_size=(8, 8))
    images = digits[0][:20]
    several = MultiView([augmenter, SimAugment(image_size=(8, 8), strength=0.1)])
    models = (
        ContrastiveModel(encoder, ProjectionHead(4, hidden_units=()), augmenter=augmenter),
        ContrastiveModel(encoder, ProjectionHead(4, hidden_units=()), augmenter=several),
        LinearClassifier(encoder, 10, augmenter=augmenter),
        LinearClassifier(encoder, 10),
    )
    for model in models:
        embeddings, _ = embed(model, batches(images, digits[1][:20]))
        np.testing.assert_allclose(embeddings, images.reshape(20, 64), rtol=1e-5)


def test_arrays_give_what_their_batches_give(digits):
    images, labels = digits[0][:70], digits[1][:70]
    encoder = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(4)]
    )
    expected, expected_labels = embed(encoder, batches(images, labels, size=32))
    for arrays in (
        (images, labels),
        (ops.convert_to_tensor(images), ops.convert_to_tensor(labels)),
    ):
        embeddings, embedded_labels = embed(encoder, arrays, batch_size=32)
        np.testing.assert_array_equal(embeddings, expected)
        np.testing.assert_array_equal(embedded_labels, expected_labels)
    # Two batches are no pair of arrays, whatever holds them.
    np.testing.assert_array_equal(
        embed(encoder, tuple(batches(images, labels, size=35)))[1], labels
    )


def test_refuses_arrays_of_different_lengths(digits):
    with pytest.raises(
        ValueError,
        match=r"one length. Received: inputs of shape \(7, 8, 8, 1\), labels.shape=\(6,\)",
    ):
        embed(ResNet(18, width=0.125), (digits[0][:7], digits[1][:6]))


def test_refuses_an_empty_data_set():
    with pytest.raises(ValueError, match="`dataset` should yield at least one batch"):
        embed(ResNet(18, width=0.125), [])


def flat_encoder():
    return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])


def test_files_and_memory_hold_the_same_rows(digits, tmp_path):
    arrays = digits[0][:90], digits[1][:90]
    expected, labels = embed(flat_encoder(), arrays, batch_size=32)
    assert not isinstance(expected, np.memmap)
    spilled, _ = embed(flat_encoder(), arrays, batch_size=32, memory_limit=5000)
    written, _ = embed(flat_encoder(), arrays, batch_size=32, output_dir=tmp_path / "new")
    for mapped in (spilled, written):
        assert isinstance(mapped, np.memmap)
        np.testing.assert_array_equal(mapped, expected)
    np.testing.assert_array_equal(np.load(tmp_path / "new" / "embeddings.npy"), expected)
    np.testing.assert_array_equal(np.load(tmp_path / "new" / "labels.npy"), labels)
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"embeddings.npy", "labels.npy"}


def test_embeddings_of_another_run_are_not_overwritten(digits, tmp_path):
    embed(flat_encoder(), (digits[0][:5], digits[1][:5]), output_dir=tmp_path)
    with pytest.raises(ValueError, match="should not hold the embeddings of another run"):
        embed(flat_encoder(), (digits[0][:9], digits[1][:9]), output_dir=tmp_path)
    assert len(np.load(tmp_path / "embeddings.npy")) == 5


def test_a_data_set_that_fails_midway_leaves_no_file(digits, tmp_path):
    def broken():
        yield digits[0][:5], digits[1][:5]
        raise RuntimeError("a damaged image")

    with pytest.raises(RuntimeError, match="a damaged image"):
        embed(flat_encoder(), broken(), output_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_pydatasets_end(digits):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return digits[0][10 * index : 10 * index + 10], digits[1][10 * index : 10 * index + 10]

    np.testing.assert_array_equal(embed(flat_encoder(), Batches())[1], digits[1][:30])


def test_weights_of_samples_are_left_out(digits):
    batch = digits[0][:5], digits[1][:5], np.ones(5)
    assert embed(flat_encoder(), [batch])[0].shape == (5, 64)


def test_a_classifier_is_no_encoder_and_the_reverse(digits):
    arrays = digits[0][:20], digits[1][:20]
    classifier = keras.Sequential([flat_encoder(), keras.layers.Dense(10, activation="softmax")])
    with pytest.raises(ValueError, match="`model` should be an encoder"):
        embed(classifier, arrays)
    with pytest.raises(ValueError, match="An encoder needs a classifier first"):
        classify(flat_encoder(), arrays)
    probabilities, labels = classify(classifier, arrays)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(labels, arrays[1])
    classifier.layers[-1].activation = keras.activations.linear
    np.testing.assert_allclose(
        classify(classifier, arrays, from_logits=True)[0], probabilities, rtol=1e-4, atol=1e-6
    )
    for function in (embed, classify):
        with pytest.raises(ValueError, match="should be a Keras model or layer"):
            function(len, arrays)


def test_a_linear_classifier_embeds_by_its_encoder_and_classifies_by_its_head(digits):
    model = LinearClassifier(flat_encoder(), 10)
    arrays = digits[0][:20], digits[1][:20]
    assert embed(model, arrays)[0].shape == (20, 64)
    assert classify(model, arrays)[0].shape == (20, 10)


@pytest.mark.parametrize("rows", [[[0, 1], [1, 0]], [[0.5, 0.5], [0.5, 0.5]]])
def test_features_that_add_up_to_one_by_chance_are_features(rows):
    rows = np.array(rows, "float32")
    np.testing.assert_array_equal(embed(keras.layers.Identity(), (rows, np.arange(2)))[0], rows)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ([np.ones((4, 8, 8, 1))], "should yield batches"),
        ([(np.ones((4, 8, 8, 1)), np.ones(3))], "should have a label for each image"),
    ],
)
def test_refuses_data_sets_without_labels(dataset, message):
    with pytest.raises(ValueError, match=message):
        embed(flat_encoder(), dataset)


def test_refuses_outputs_that_are_no_rows(digits):
    with pytest.raises(ValueError, match=r"should give outputs of shape \(batch, features\)"):
        embed(keras.layers.Rescaling(1.0), (digits[0][:5], digits[1][:5]))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of `tf.data`")
def test_refuses_data_sets_without_end(digits):
    import tensorflow as tf

    endless = tf.data.Dataset.from_tensors((digits[0][:5], digits[1][:5])).repeat()
    with pytest.raises(ValueError, match="`dataset` should end"):
        embed(flat_encoder(), endless)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of `tf.distribute`")
def test_the_scope_of_a_strategy_changes_nothing(digits, strategy):
    arrays = digits[0][:50], digits[1][:50]
    encoder = flat_encoder()
    expected, _ = embed(encoder, arrays)
    with strategy.scope():
        embeddings, labels = embed(encoder, arrays)
    np.testing.assert_array_equal(embeddings, expected)
    np.testing.assert_array_equal(labels, arrays[1])

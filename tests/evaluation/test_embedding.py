from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon import ContrastiveModel, LinearClassifier, ProjectionHead
from keras_supcon.augmentation import MultiView, SimAugment
from keras_supcon.encoders import ResNet
from keras_supcon.evaluation import classify, embed, expected_calibration_error
from keras_supcon.files import DirectoryLock

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
    empty = np.zeros((0, 8, 8, 1), "float32"), np.zeros(0, int)
    for data in ([], [empty, empty], empty):
        with pytest.raises(ValueError, match="`dataset` should yield at least one image"):
            embed(flat_encoder(), data)


def test_batches_that_a_filter_left_empty_are_passed_over(digits):
    images, labels = digits[0][:20], digits[1][:20]
    empty = images[:0], labels[:0]
    data = [empty, (images[:9], labels[:9]), empty, (images[9:], labels[9:]), empty]
    embeddings, embedded_labels = embed(flat_encoder(), data)
    np.testing.assert_allclose(embeddings, images.reshape(20, 64))
    np.testing.assert_array_equal(embedded_labels, labels)


def test_a_column_of_labels_is_one_label_each(digits):
    _, labels = embed(flat_encoder(), (digits[0][:9], digits[1][:9, None]))
    np.testing.assert_array_equal(labels, digits[1][:9])
    of_several = np.eye(10, dtype=int)[digits[1][:9]]
    np.testing.assert_array_equal(embed(flat_encoder(), (digits[0][:9], of_several))[1], of_several)


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
        embed(flat_encoder(), broken(), output_dir=tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_written", [True, False])
def test_a_file_that_is_missing_among_the_data_is_named(digits, tmp_path, is_written):
    def broken():
        yield digits[0][:5], digits[1][:5]
        (tmp_path / "image-7.png").read_bytes()

    with pytest.raises(FileNotFoundError, match=r"image-7\.png") as caught:
        embed(flat_encoder(), broken(), output_dir=tmp_path / "new" if is_written else None)
    assert "could not be written" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_another_process_writes_to_is_left_alone(digits, tmp_path):
    with DirectoryLock(tmp_path), ThreadPoolExecutor() as threads:
        written = threads.submit(
            embed, flat_encoder(), (digits[0][:5], digits[1][:5]), output_dir=tmp_path
        )
        with pytest.raises(RuntimeError, match="is in use"):
            written.result()
    assert list(tmp_path.iterdir()) == []


def test_pydatasets_end(digits):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return digits[0][10 * index : 10 * index + 10], digits[1][10 * index : 10 * index + 10]

    np.testing.assert_array_equal(embed(flat_encoder(), Batches())[1], digits[1][:30])

    class Endless(Batches):
        num_batches = None

    with pytest.raises(ValueError, match="`dataset` should end.*`num_batches` is None"):
        embed(flat_encoder(), Endless())


def test_texts_are_labels_that_numpy_loads(digits, tmp_path):
    texts = np.array(list("abcd"), dtype=object)
    _, labels = embed(flat_encoder(), (digits[0][:4], texts), output_dir=tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), texts.astype(str))
    assert labels.dtype.kind == "U"


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="of torch")
def test_a_data_loader_may_not_know_its_length(digits):
    import torch

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            yield from zip(digits[0][:20], digits[1][:20], strict=True)

    _, labels = embed(flat_encoder(), torch.utils.data.DataLoader(Stream(), batch_size=8))
    np.testing.assert_array_equal(labels, digits[1][:20])


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


@pytest.mark.parametrize(("batch_size", "equal"), [(1, 0), (4, 4), (4, 20), (7, 3)])
def test_a_classifier_is_told_by_its_later_batches_too(digits, batch_size, equal):
    classifier = keras.Sequential([flat_encoder(), keras.layers.Dense(10, activation="softmax")])
    images = np.concatenate([np.repeat(digits[0][:1], equal, axis=0), digits[0][:20]]) / 255
    with pytest.raises(ValueError, match="`model` should be an encoder"):
        embed(classifier, (images, np.zeros(len(images))), batch_size=batch_size)


@pytest.mark.parametrize("from_logits", [False, True])
def test_outputs_of_every_batch_are_finite(digits, from_logits):
    images = digits[0][:20].astype("float32") / 255
    images[15] = np.nan
    activation = None if from_logits else "softmax"
    classifier = keras.Sequential([flat_encoder(), keras.layers.Dense(10, activation=activation)])
    with pytest.raises(ValueError, match="finite numbers"):
        classify(classifier, (images, digits[1][:20]), batch_size=5, from_logits=from_logits)


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
        ([(np.ones((8, 8, 1)), 3), (np.ones((8, 8, 1)), 4)], "should be batches.*labels=3"),
        ((np.ones((4, 8, 8, 1)), None), "should be batches.*labels=None"),
        (([np.ones((8, 8, 1))] * 40, np.ones(40)), r"\(8, 8, 1\) and 35 more"),
        (
            [(np.ones((4, 8, 8, 1)), np.ones(4)), (np.ones((4, 8, 8, 1)), np.ones((4, 3)))],
            "labels of one shape",
        ),
        ((np.ones((2, 8, 8, 1)), np.array(["a", None])), "numbers or texts"),
    ],
)
def test_refuses_data_sets_without_labels(dataset, message):
    with pytest.raises(ValueError, match=message):
        embed(flat_encoder(), dataset)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_probabilities_in_half_precision_are_probabilities(rng, dtype):
    logits = rng.normal(size=(20, 300)).astype("float32")
    classifier = keras.layers.Softmax(dtype=dtype)
    probabilities, _ = classify(classifier, (logits, np.arange(20)))
    assert np.abs(probabilities.sum(axis=1) - 1).max() > 1e-5  # else this test says nothing
    assert 0 < expected_calibration_error(probabilities, np.arange(20)) < 1
    with pytest.raises(ValueError, match="`model` should be an encoder"):
        embed(classifier, (logits, np.arange(20)))


def test_refuses_a_model_of_several_outputs(digits):
    image = keras.Input((8, 8, 1))
    features = keras.layers.Flatten()(image)
    model = keras.Model(image, {"one": features, "other": features + 1})
    with pytest.raises(ValueError, match="should have one output. Received: a model with 2"):
        embed(model, (digits[0][:5], digits[1][:5]))
    single = keras.Model(image, {"one": features})
    assert embed(single, (digits[0][:5], digits[1][:5]))[0].shape == (5, 64)


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

"""What encoders take beside one tensor of images: ids, texts, tables, series, lists and
dictionaries of tensors.
"""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_supcon import ContrastiveModel, LinearClassifier, ProjectionHead, SupConLoss, evaluation
from keras_supcon.augmentation import MultiView, SimAugment

pytestmark = pytest.mark.neutral


def two_tables(structure=dict) -> keras.Model:
    """An encoder of two inputs with a dropout that tells views apart."""
    a, b = keras.Input((5,), name="a"), keras.Input((3,), name="b")
    features = layers.Dense(16)(layers.Dropout(0.2, seed=1)(layers.Concatenate()([a, b])))
    return keras.Model({"a": a, "b": b} if structure is dict else [a, b], features)


def two_arrays(rng, structure=dict, views=()):
    a, b = (rng.normal(size=(16, *views, size)).astype("float32") for size in (5, 3))
    return {"a": a, "b": b} if structure is dict else [a, b]


def compiled(encoder, **options) -> ContrastiveModel:
    model = ContrastiveModel(
        encoder, ProjectionHead(4, hidden_units=(), name="projection"), **options
    )
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss=SupConLoss())
    return model


@pytest.mark.slow
@pytest.mark.parametrize("structure", [dict, list])
def test_several_inputs_go_through_both_stages(structure, rng, tmp_path):
    x, y = two_arrays(rng, structure), np.arange(16) % 4
    model = compiled(two_tables(structure))
    assert np.isfinite(
        model.fit(x, y, batch_size=8, validation_data=(x, y), verbose=0).history["val_loss"]
    ).all()
    assert model.predict(x, verbose=0).shape == (16, 1, 4)
    classifier = LinearClassifier(model.encoder, 4)
    classifier.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    classifier.fit(x, y, batch_size=8, verbose=0)
    features = ops.convert_to_numpy(model.encoder(x, training=False))
    np.testing.assert_allclose(ops.convert_to_numpy(model.embed(x)), features, rtol=1e-5, atol=1e-6)
    for stage in (model, classifier, model.encoder):
        embeddings, labels = evaluation.embed(stage, (x, y), batch_size=5)
        np.testing.assert_allclose(embeddings, features, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(labels, y)
    classifier.save(tmp_path / "classifier.keras")
    again = keras.saving.load_model(tmp_path / "classifier.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), classifier.predict(x, verbose=0))


@pytest.mark.slow
@pytest.mark.parametrize("structure", [dict, list])
def test_views_of_several_inputs_may_be_made_before(structure, rng):
    model = compiled(two_tables(structure))
    views = two_arrays(rng, structure, views=(3,))
    projections = ops.convert_to_numpy(model(views))
    assert projections.shape == (16, 3, 4)
    last = (
        {key: one[:, 2] for key, one in views.items()}
        if structure is dict
        else [one[:, 2] for one in views]
    )
    expected = ops.convert_to_numpy(model.projection_head(model.encoder(last, training=False)))
    np.testing.assert_allclose(projections[:, 2], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("views", [(), (3,)])
def test_micro_batches_of_several_inputs_give_the_step_of_the_batch(views, rng):
    x, y = two_arrays(rng, dict, views), np.arange(16) % 4
    plain, cached = (
        compiled(two_tables_without_dropout(), micro_batch_size=size) for size in (None, 8)
    )
    plain(x), cached(x)
    cached.set_weights(plain.get_weights())
    for model in (plain, cached):
        model.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    for one, other in zip(cached.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def two_tables_without_dropout() -> keras.Model:
    a, b = keras.Input((5,), name="a"), keras.Input((3,), name="b")
    return keras.Model({"a": a, "b": b}, layers.Dense(16)(layers.Concatenate()([a, b])))


def test_a_dictionary_is_given_by_name_where_the_inputs_were_declared_in_a_list(rng):
    table, ids = keras.Input((3,), name="table"), keras.Input((3,), dtype="int32", name="ids")
    encoder = keras.Model(
        [table, ids],
        layers.Concatenate()(
            [table, layers.Lambda(lambda x: ops.cast(ops.mod(x, 7), "float32"))(ids)]
        ),
    )
    x = {
        "ids": 2**25 + rng.integers(0, 7, (8, 3)).astype("int32"),
        "table": rng.normal(size=(8, 3)).astype("float32"),
    }
    expected = np.concatenate([x["table"], x["ids"] % 7], axis=1)
    model = compiled(encoder)
    np.testing.assert_allclose(ops.convert_to_numpy(model.embed(x)), expected, rtol=1e-6)
    np.testing.assert_allclose(evaluation.embed(encoder, (x, np.zeros(8)))[0], expected, rtol=1e-6)
    model.fit(x, np.arange(8) % 2, verbose=0)
    image = keras.Input((4, 4, 1), name="image")
    ranks = keras.Model([table, image], layers.Concatenate()([table, layers.Flatten()(image)]))
    x = {"image": np.ones((8, 4, 4, 1), "float32"), "table": x["table"]}
    compiled(ranks).fit(x, np.arange(8) % 2, verbose=0)


@pytest.mark.slow
@pytest.mark.parametrize("micro_batch_size", [None, 4])
def test_images_and_a_table_in_several_views(micro_batch_size, rng):
    image, table = keras.Input((4, 4, 3), name="images"), keras.Input((5,), name="table")
    merged = layers.Concatenate()([layers.Flatten()(layers.Rescaling(1 / 255)(image)), table])
    encoder = keras.Model({"images": image, "table": table}, layers.Dense(6)(merged))
    policies = [SimAugment(image_size=(4, 4), seed=1), SimAugment(image_size=(4, 4), seed=2)]
    model = compiled(encoder, augmenter=MultiView(policies), micro_batch_size=micro_batch_size)
    x = {
        "images": rng.integers(0, 256, (8, 4, 4, 3)).astype("uint8"),
        "table": rng.normal(size=(8, 5)).astype("float32"),
    }
    assert np.isfinite(model.fit(x, np.arange(8) % 2, verbose=0).history["loss"]).all()
    assert np.isfinite(model.evaluate(x, np.arange(8) % 2, verbose=0))


def test_ids_beside_images_are_not_changed_by_augmenters_of_keras(rng):
    image, ids = keras.Input((4, 4, 3), name="images"), keras.Input((2,), dtype="int32", name="ids")
    rest = layers.Lambda(lambda x: ops.cast(ops.mod(x, 7), "float32"))(ids)
    encoder = keras.Model(
        {"images": image, "ids": ids}, layers.Concatenate()([layers.Flatten()(image), rest])
    )
    model = compiled(encoder, augmenter=layers.Pipeline([layers.RandomFlip(seed=1)]))
    x = {
        "images": np.zeros((4, 4, 4, 3), "uint8"),
        "ids": 2**25 + rng.integers(0, 7, (4, 2)).astype("int32"),
    }
    np.testing.assert_array_equal(ops.convert_to_numpy(model.embed(x))[:, -2:], x["ids"] % 7)


def test_one_output_in_a_dictionary_is_the_features(rng):
    table = keras.Input((5,))
    model = compiled(keras.Model(table, {"features": layers.Dense(4)(table)}))
    x = rng.normal(size=(8, 5)).astype("float32")
    model.fit(x, np.arange(8) % 2, verbose=0)
    assert evaluation.embed(model, (x, np.arange(8)))[0].shape == (8, 4)
    classifier = LinearClassifier(model.encoder, 2)
    assert classifier.predict(x, verbose=0).shape == (8, 2)


def test_a_dictionary_of_samples_and_views_is_refused(rng):
    x = {**two_arrays(rng), "b": two_arrays(rng, views=(2,))["b"]}
    with pytest.raises(ValueError, match="should all be of samples, or all of views"):
        compiled(two_tables())(x)


@pytest.mark.parametrize(
    "model_class", [ContrastiveModel, lambda encoder: LinearClassifier(encoder, 3)]
)
def test_several_outputs_are_refused(model_class):
    table = keras.Input((5,))
    encoder = keras.Model(
        table, {"a": layers.Dense(4)(table), "b": layers.Dense(8)(table)}, name="forked"
    )
    with pytest.raises(
        ValueError,
        match=r"one output .* `forked` has 2: choose one.* Received: .*\(None, 4\), \(None, 8\)",
    ):
        model_class(encoder)

    class Forked(keras.Model):
        def call(self, x):
            return x, x

        def compute_output_shape(self, input_shape):
            return input_shape, input_shape

    with pytest.raises(ValueError, match="one output .* has 2"):
        model_class(Forked())(np.ones((4, 5), "float32"))


class Ids(keras.Model):
    """A subclassed encoder, which declares nothing, of ids that floats do not hold."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = layers.Embedding(4, 8)

    def call(self, ids):
        return ops.mean(self.embedding(ops.mod(ids, 4)), axis=1)


def test_ids_reach_an_encoder_as_integers(rng):
    ids = 2**25 + rng.integers(0, 4, (16, 6)).astype("int32")
    encoder = Ids()
    model = compiled(encoder)
    classifier = LinearClassifier(encoder, 3)
    expected = ops.convert_to_numpy(encoder(ids))
    assert expected.std(axis=0).max() > 1e-3
    np.testing.assert_allclose(ops.convert_to_numpy(model.embed(ids)), expected, rtol=1e-6)
    for stage in (model, classifier, encoder):
        np.testing.assert_allclose(
            evaluation.embed(stage, (ids, np.zeros(16)))[0], expected, rtol=1e-5, atol=1e-7
        )
    model.fit(ids, np.arange(16) % 4, batch_size=8, verbose=0)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "int64", "bool", "float32"])
@pytest.mark.parametrize("shape", [(7,), (7, 5), (7, 5, 3)])
def test_numbers_that_are_no_pictures_keep_their_values(shape, dtype, rng):
    x = rng.integers(0, 2, (8, *shape)).astype(dtype)
    encoder = keras.Sequential([keras.Input(shape), layers.Flatten()])
    expected = x.reshape(8, -1).astype("float32")
    for model in (ContrastiveModel(encoder), LinearClassifier(encoder, 3), encoder):
        np.testing.assert_array_equal(evaluation.embed(model, (x, np.zeros(8)))[0], expected)


def test_counts_work_with_an_augmenter_of_keras(rng):
    counts = rng.poisson(3, (64, 10))
    model = compiled(
        keras.Sequential([keras.Input((10,)), layers.Dense(16)]),
        augmenter=layers.GaussianNoise(0.1, seed=1),
    )
    views = ops.convert_to_numpy(model(counts, training=True))
    assert not np.allclose(views[:, 0], views[:, 1])  # on integers the noise would be rounded away
    assert np.isfinite(model.fit(counts, np.arange(64) % 4, verbose=0).history["loss"]).all()


@keras.saving.register_keras_serializable(package="tests")
class HideTokens(layers.Layer):
    """A user's augmenter of token ids, which it wants as integers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed = keras.random.SeedGenerator(1)

    def call(self, ids, training=False):
        assert "int" in keras.backend.standardize_dtype(ids.dtype)
        hidden = keras.random.uniform(ops.shape(ids), seed=self.seed) < 0.5
        return ops.where(hidden, ops.zeros_like(ids), ids) if training else ids


def test_an_augmenter_of_the_user_gets_ids_as_they_are(rng):
    ids = rng.integers(1, 9, (8, 12)).astype("int32")
    encoder = keras.Sequential(
        [keras.Input((12,), dtype="int32"), layers.Embedding(9, 8), layers.GlobalAveragePooling1D()]
    )
    model = compiled(encoder, augmenter=HideTokens())
    np.testing.assert_allclose(
        ops.convert_to_numpy(model.embed(ids)), ops.convert_to_numpy(encoder(ids)), rtol=1e-6
    )
    views = ops.convert_to_numpy(model(ids, training=True))
    assert not np.allclose(views[:, 0], views[:, 1])


MADE_BEFORE = {
    "series, by its first layer": (lambda: keras.Sequential([layers.LSTM(8)]), (6, 4), None),
    "series, built": (
        lambda: keras.Sequential([layers.Conv1D(8, 3), layers.GlobalAveragePooling1D()]),
        (6, 4),
        (None, 6, 4),
    ),
    "table, built": (lambda: layers.Dense(8), (5,), (None, 5)),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", MADE_BEFORE)
def test_views_made_before_without_an_input(case, rng):
    make_encoder, shape, build = MADE_BEFORE[case]
    encoder = make_encoder()
    if build is not None:
        encoder.build(build)
    model = compiled(encoder)
    views = rng.normal(size=(8, 2, *shape)).astype("float32")
    assert np.isfinite(model.fit(views, np.arange(8) % 2, verbose=0).history["loss"]).all()
    assert model.predict(views, verbose=0).shape == (8, 2, 4)
    model.make_predict_function(force=True)
    assert model.predict(views[:, 0], verbose=0).shape == (8, 1, 4)
    assert model.embed(views[:, 0]).shape == (8, 8)


def test_views_that_cannot_be_told_from_samples_are_refused(rng):
    views = rng.normal(size=(8, 2, 5)).astype("float32")
    with pytest.raises(
        ValueError, match=r"views that were made before.* should say its input: by `keras.Input`"
    ):
        compiled(keras.Sequential([layers.Dense(8)]))(views)


def test_a_batch_of_another_rank_is_refused(rng):
    encoder = keras.Sequential([keras.Input((6,)), layers.Dense(4)])
    with pytest.raises(ValueError, match=r"rank 2 or 3. Received: input_shape=\(None, 2, 3, 6\)"):
        compiled(encoder)(np.ones((8, 2, 3, 6), "float32"))


LINES = [
    f"{weather} and {sky} all day"
    for weather in ("rain", "snow")
    for sky in ("grey", "white", "dark", "low")
]


@pytest.mark.slow
@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="only TensorFlow has tensors of strings"
)
@pytest.mark.parametrize("declares", [True, False])
def test_text_vectorization_in_the_encoder(declares, tmp_path):
    import tensorflow as tf

    vectorize = layers.TextVectorization(output_sequence_length=6)
    vectorize.adapt(LINES)
    inputs = [keras.Input((), dtype="string")] if declares else []
    encoder = keras.Sequential(
        [
            *inputs,
            vectorize,
            layers.Embedding(32, 8),
            layers.Dropout(0.1),
            layers.GlobalAveragePooling1D(),
        ]
    )
    lines, labels = tf.constant(LINES), np.arange(8) // 4
    dataset = tf.data.Dataset.from_tensor_slices((lines, labels)).batch(8)
    model = compiled(encoder)
    assert np.isfinite(model.fit(dataset, verbose=0).history["loss"]).all()
    expected = encoder(lines, training=False).numpy()
    assert expected.std(axis=0).max() > 1e-4
    classifier = LinearClassifier(encoder, 2)
    classifier.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    classifier.fit(dataset, verbose=0)
    classifier.save(tmp_path / "classifier.keras")
    again = keras.saving.load_model(tmp_path / "classifier.keras")
    for stage in (model, classifier, encoder, again):
        for form in (dataset, (lines, labels), (np.array(LINES), labels)):
            np.testing.assert_allclose(
                evaluation.embed(stage, form)[0], expected, rtol=1e-5, atol=1e-6
            )
    np.testing.assert_allclose(
        again.predict(dataset, verbose=0), classifier.predict(dataset, verbose=0), rtol=1e-6
    )
    for stage in (classifier, again):
        stage.export(tmp_path / "served", verbose=False)
        served = tf.saved_model.load(tmp_path / "served")
        np.testing.assert_allclose(
            served.serve(lines), classifier.predict(dataset, verbose=0), rtol=1e-5, atol=1e-6
        )

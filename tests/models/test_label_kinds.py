"""Models with labels of other kinds than class ids."""

import keras
import numpy as np
import pytest

import keras_supcon

pytestmark = pytest.mark.neutral

ROWS = np.random.default_rng(0).random((16, 6)).astype("float32")
SETS = (np.arange(16)[:, None] % [2, 3, 5] == 0).astype("float32")
LABELS = {
    "multi_label": SETS,
    "soft": (SETS + 0.1) / (SETS + 0.1).sum(axis=1, keepdims=True),
    "hierarchy": np.stack([np.arange(16) // 8, np.arange(16) // 4], axis=1),
}


def compiled(kind, **options):
    keras.utils.set_random_seed(1)
    encoder = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, activation="tanh")])
    head = keras_supcon.ProjectionHead(4, hidden_units=())
    model = keras_supcon.ContrastiveModel(encoder, head, **options)
    model.compile(keras.optimizers.SGD(0.1), keras_supcon.SupConLoss(positives=kind))
    return model


@pytest.mark.parametrize("kind", LABELS)
def test_a_model_has_the_loss_of_its_labels_and_trains_with_it(kind, tmp_path):
    model = compiled(kind)
    loss = model.evaluate(ROWS, LABELS[kind], batch_size=16, verbose=0)
    views = np.repeat(model.predict(ROWS, verbose=0), 2, axis=1)
    expected = keras_supcon.SupConLoss(positives=kind)(LABELS[kind], views)
    assert loss == pytest.approx(float(expected), rel=1e-5)
    model.fit(ROWS, LABELS[kind], batch_size=16, epochs=5, verbose=0)
    after = model.evaluate(ROWS, LABELS[kind], batch_size=16, verbose=0)
    assert after < loss
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.evaluate(ROWS, LABELS[kind], batch_size=16, verbose=0) == pytest.approx(after)


@pytest.mark.parametrize("kind", LABELS)
def test_micro_batches_have_the_loss_of_the_whole_batch(kind):
    losses = [
        compiled(kind, micro_batch_size=size)
        .fit(ROWS, LABELS[kind], batch_size=16, epochs=2, shuffle=False, verbose=0)
        .history["loss"]
        for size in (None, 4)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "labels", "message"),
    [
        ("multi_label", SETS / 2, "a 1 for each label"),
        ("soft", SETS, "sum to 1"),
        ("hierarchy", SETS[:, 0], r"shape \(batch, k\)"),
        ("multi_label", None, "positives='multi_label'"),
    ],
)
def test_labels_of_another_kind_are_refused_before_training(kind, labels, message):
    model = compiled(kind)
    with pytest.raises(ValueError, match=message):
        model.fit(ROWS, labels, verbose=0)


@pytest.mark.parametrize("kind", [keras_supcon.MoCo, keras_supcon.Co2L])
def test_models_that_keep_class_ids_refuse_other_labels(kind):
    encoder = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8)])
    model = kind(encoder, keras_supcon.ProjectionHead(4))
    with pytest.raises(ValueError, match="should have positives='class'"):
        model.compile("sgd", keras_supcon.SupConLoss(positives="soft"))

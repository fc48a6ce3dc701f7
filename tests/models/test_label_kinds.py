"""Models with labels of other kinds than class ids."""

import keras
import numpy as np
import pytest

import keras_supcon
from keras_supcon import metrics
from keras_supcon.metrics.batch_metric import BatchMetric
from tests.covering import name_of

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


def all_alike(own, others):
    return keras.ops.ones((own.shape[0], others.shape[0]))


def recompiled(model, kind, **options):
    model.compile("sgd", keras_supcon.SupConLoss(positives=kind), **options)
    return model


class OwnAccuracy(metrics.ContrastiveAccuracy):
    """A metric of a user, which is not registered."""


OF_CLASS_IDS = [
    metrics.Alignment(),
    metrics.AnchorsWithPositive(),
    metrics.ChanceLoss(),
    metrics.ContrastiveAccuracy(),
    metrics.PositivesPerAnchor(),
    metrics.RecallAtK(2),
    metrics.Uniformity(ignore_class=-1),
    OwnAccuracy(name="own"),
]
OF_ROWS = (metrics.Uniformity, metrics.EffectiveRank)


def test_the_lists_hold_every_metric():
    listed = {*map(type, OF_CLASS_IDS), *OF_ROWS} - {OwnAccuracy}
    rest = {getattr(metrics, name) for name in metrics.__all__} - listed
    assert not [one for one in rest if issubclass(one, BatchMetric)]


@pytest.mark.parametrize("metric", OF_CLASS_IDS, ids=lambda one: one.name)
@pytest.mark.parametrize("kind", [*LABELS, all_alike], ids=name_of)
def test_metrics_of_class_ids_are_refused_beside_other_labels(kind, metric):
    model, labels = compiled("class"), LABELS.get(kind, SETS)
    message = f"should not compare classes .*`{type(metric).__name__}` needs class ids.*"
    message += f"with '{metric.name}', for a loss with positives="
    for options in ({"metrics": [metric]}, {"weighted_metrics": {"projections": metric}}):
        recompiled(model, kind, **options)
        for method in (model.fit, model.evaluate):
            with pytest.raises(ValueError, match=f"`{next(iter(options))}` {message}"):
                method(ROWS, labels, verbose=0)
        for method in (model.train_on_batch, model.test_on_batch):
            with pytest.raises(ValueError, match=f"`{next(iter(options))}` {message}"):
                method(ROWS, labels)
    assert int(model.optimizer.iterations) == 0


def test_a_loaded_model_refuses_them_too(tmp_path):
    model = recompiled(compiled("class"), "soft", metrics=[metrics.ContrastiveAccuracy()])
    model.build((None, 6))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="`ContrastiveAccuracy` needs class ids"):
        again.evaluate(ROWS, LABELS["soft"], verbose=0)


@pytest.mark.parametrize("kind", LABELS)
def test_metrics_of_rows_alone_take_labels_of_any_kind(kind):
    values = [
        recompiled(compiled("class"), kind, metrics=[one() for one in OF_ROWS]).evaluate(
            ROWS, labels, batch_size=8, verbose=0, return_dict=True
        )
        for kind, labels in ((kind, LABELS[kind]), ("class", np.arange(16) % 3))
    ]
    for name in ("uniformity", "effective_rank"):
        assert values[0][name] == pytest.approx(values[1][name], rel=1e-5)
        assert abs(values[0][name]) > 0


def test_calibration_is_refused_beside_a_contrastive_loss():
    model = recompiled(compiled("class"), "class", metrics=[metrics.ExpectedCalibrationError()])
    with pytest.raises(ValueError, match="gives no scores of classes"):
        model.fit(ROWS, np.arange(16) % 3, verbose=0)


@pytest.mark.parametrize("kind", LABELS)
def test_a_classifier_is_refused_beside_labels_that_are_no_class_ids(kind):
    model = compiled(kind, classifier=3)
    message = f"`classifier` should be None for a loss with other `positives`.*kind '{kind}'"
    for method in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=message):
            method(ROWS, LABELS[kind], verbose=0)
        with pytest.raises(ValueError, match=message):
            method(OneBatch(), verbose=0)
    with pytest.raises(ValueError, match=message):
        model.train_on_batch(ROWS, LABELS[kind])
    assert int(model.optimizer.iterations) == 0


class OneBatch(keras.utils.PyDataset):
    """Is refused before it is read."""

    def __len__(self):
        return 1

    def __getitem__(self, number):
        raise AssertionError


def test_a_classifier_takes_class_ids_beside_a_function_of_them():
    def of_near_ids(own, others):
        return keras.ops.exp(
            -keras.ops.abs(keras.ops.cast(own - keras.ops.transpose(others), "float32"))
        )

    model, ids = compiled(of_near_ids, classifier=3), np.arange(16) % 3
    model.compile(keras.optimizers.SGD(0.5), model.loss)
    history = model.fit(ROWS, ids, batch_size=16, epochs=10, verbose=0).history
    assert history["classifier_loss"][-1] < history["classifier_loss"][0]
    with pytest.raises(ValueError, match="`classifier` should have class ids as labels, beside.*"):
        model.fit(ROWS, LABELS["soft"], verbose=0)

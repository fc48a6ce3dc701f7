"""Metrics equal counts over the pairs of their batches."""

import keras
import numpy as np
import pytest

from keras_supcon import ContrastiveModel, NTXentLoss, ProjectionHead, SupConLoss, metrics
from keras_supcon.augmentation import RandomResizedCrop

pytestmark = pytest.mark.neutral


def small_encoder() -> keras.Model:
    return keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(16, activation="relu")]
    )


CLASSES = [
    metrics.AnchorsWithPositive,
    metrics.ChanceLoss,
    metrics.ContrastiveAccuracy,
    metrics.PositivesPerAnchor,
]


def result_of(metric, *batches) -> float:
    for batch in batches:
        metric.update_state(*batch)
    return float(metric.result())


def test_contrastive_accuracy_is_that_of_the_nearest_neighbor(rng):
    class_ids, projections = rng.integers(-1, 4, 20), rng.normal(size=(20, 2, 3)).astype("float32")
    rows = projections.reshape(40, 3) / np.linalg.norm(
        projections.reshape(40, 3), axis=1, keepdims=True
    )
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -np.inf)
    nearest = cosines.argmax(axis=1)
    sample = np.arange(40) // 2
    labels = class_ids[sample]
    right = (sample == sample[nearest]) | ((labels == labels[nearest]) & (labels >= 0))
    assert result_of(metrics.ContrastiveAccuracy(), (class_ids, projections)) == pytest.approx(
        right.mean()
    )
    assert 0.02 < right.mean() < 0.9


def test_contrastive_accuracy_of_separate_classes_is_one_and_of_collapse_zero():
    class_ids = np.array([0, 0, 1, 1])
    apart = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], "float32")
    assert result_of(metrics.ContrastiveAccuracy(), (class_ids, apart)) == 1
    assert result_of(metrics.ContrastiveAccuracy(), (class_ids, np.ones((4, 2), "float32"))) == 0


def test_anchors_without_a_positive_do_not_enter_the_accuracy():
    apart = np.array([[1, 0], [1, 0], [0, 1], [0.1, 1]], "float32")
    assert result_of(metrics.ContrastiveAccuracy(), ([0, 0, 1, 2], apart)) == 1
    assert result_of(metrics.ContrastiveAccuracy(), ([0, 1, 2, 3], apart)) == 0


def test_accuracy_takes_sample_weights():
    rows = np.array([[1, 0.1], [1, 0], [0, 1], [1, 0.3]], "float32")
    assert result_of(metrics.ContrastiveAccuracy(), ([0, 0, 1, 1], rows, [1.0, 1.0, 1.0, 0.0])) == 1


def test_accuracy_of_rows_that_are_not_finite_is_not_a_number():
    projections = np.array([[1, 0], [1, 0.1], [0, np.nan]], "float32")
    assert np.isnan(result_of(metrics.ContrastiveAccuracy(), ([0, 0, 1], projections)))


@pytest.mark.slow
@pytest.mark.parametrize("metric_class", CLASSES)
def test_callbacks_that_monitor_know_which_way_is_better(metric_class, rng):
    model = keras.Sequential([keras.layers.Dense(4)])
    model.compile("sgd", SupConLoss(), metrics=[metric_class(name="figure")])
    x, y = rng.normal(size=(8, 3)).astype("float32"), np.arange(8) % 2
    stopping = keras.callbacks.EarlyStopping(monitor="val_figure")
    model.fit(x, y, validation_data=(x, y), callbacks=[stopping], verbose=0)
    assert stopping.monitor_op == (
        keras.ops.less if metric_class is metrics.ChanceLoss else keras.ops.greater
    )


def test_counts_of_positives():
    views = np.ones((5, 3, 2), "float32")
    class_ids = [0, 0, 0, 1, -1]  # 8, 8, 8, 2, 2
    assert result_of(metrics.PositivesPerAnchor(), (class_ids, views)) == pytest.approx(28 / 5)
    assert result_of(metrics.AnchorsWithPositive(), (class_ids, views)) == 1
    assert result_of(metrics.AnchorsWithPositive(), (class_ids, views[:, 0])) == pytest.approx(
        3 / 5
    )


@pytest.mark.parametrize("views", [1, 2, 3])
def test_chance_loss_is_the_loss_of_equal_rows(views):
    class_ids, alike = np.arange(12) % 3, np.ones((12, views, 4), "float32")
    chance = result_of(metrics.ChanceLoss(), (class_ids, alike))
    assert chance == pytest.approx(np.log(12 * views - 1), rel=1e-6)
    assert float(SupConLoss(temperature=0.07)(class_ids, alike)) == pytest.approx(chance, rel=1e-5)


def test_chance_is_near_the_loss_of_random_rows_at_a_high_temperature(rng):
    class_ids, projections = (
        rng.integers(0, 10, 256),
        rng.normal(size=(256, 2, 64)).astype("float32"),
    )
    chance = result_of(metrics.ChanceLoss(), (class_ids, projections))
    assert float(SupConLoss(temperature=1.0)(class_ids, projections)) == pytest.approx(
        chance, abs=0.05
    )


def test_chance_loss_counts_anchors_without_a_positive_as_the_loss_does():
    class_ids, alike = [0, 0, 1, 2], np.ones((4, 3), "float32")
    chance = result_of(metrics.ChanceLoss(), (class_ids, alike))
    assert chance == pytest.approx(float(SupConLoss()(class_ids, alike)), rel=1e-5)


@pytest.mark.slow
def test_compile_takes_them_and_a_contrastive_model_logs_them(digits, tmp_path):
    images, labels = digits[0][:96], digits[1][:96]
    model = ContrastiveModel(
        small_encoder(), ProjectionHead(8, hidden_units=(16,)), augmenter=RandomResizedCrop((8, 8))
    )
    model.compile(optimizer="adam", loss=SupConLoss(), metrics=[metric() for metric in CLASSES])
    history = model.fit(
        images, labels, batch_size=48, verbose=0, validation_data=(images, labels)
    ).history
    assert history["chance_loss"] == [pytest.approx(np.log(95), rel=1e-5)]
    assert history["anchors_with_positive"] == [1]
    assert 5 < history["positives_per_anchor"][0] < 15
    assert 0 < history["contrastive_accuracy"][0] <= 1
    assert history["val_chance_loss"] == [
        pytest.approx(np.log(95), rel=1e-5)
    ]  # two views, as in training
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras").evaluate(
        images, labels, batch_size=48, verbose=0, return_dict=True
    )
    assert again["chance_loss"] == pytest.approx(np.log(95), rel=1e-5)


@pytest.mark.slow
def test_without_labels_the_positives_are_the_other_views(digits):
    model = ContrastiveModel(
        small_encoder(),
        ProjectionHead(8, hidden_units=()),
        augmenter=RandomResizedCrop((8, 8)),
        num_views=3,
    )
    model.compile(optimizer="adam", loss=NTXentLoss(), metrics=[metrics.PositivesPerAnchor()])
    assert model.fit(digits[0][:32], batch_size=16, verbose=0).history["positives_per_anchor"] == [
        2
    ]


@pytest.mark.parametrize(
    "name", ["AnchorsWithPositive", "ChanceLoss", "ContrastiveAccuracy", "PositivesPerAnchor"]
)
@pytest.mark.parametrize("ignore_class", [5, -1, -3])
def test_ignored_samples_are_left_out(rng, name, ignore_class):
    """They neither count nor are counted; the chance loss, like a loss, is 0 for them."""
    class_ids = np.array([0, 1, ignore_class, 0, 2, 1, ignore_class, 0, 3, ignore_class])
    z, weights = (
        rng.normal(size=(10, 1, 3)).astype("float32"),
        rng.uniform(0.5, 1, 10).astype("float32"),
    )
    others = class_ids != ignore_class
    z[class_ids == 0, :, 0] += 3.0
    for weight in (None, weights):
        metric = getattr(metrics, name)(ignore_class=ignore_class)
        metric.update_state(class_ids, z, weight)
        of_others = getattr(metrics, name)()
        of_others.update_state(
            class_ids[others], z[others], None if weight is None else weight[others]
        )
        share = 1.0
        if name == "ChanceLoss":
            share = others.mean() if weight is None else weight[others].sum() / weight.sum()
        assert float(of_others.result()) > 0
        assert float(metric.result()) == pytest.approx(share * float(of_others.result()), rel=1e-5)


def test_chance_is_the_loss_of_equal_rows_also_beside_ignored_samples():
    class_ids, alike = np.array([0, 1, 9, 0, 1, 9]), np.ones((6, 2, 3), "float32")
    metric = metrics.ChanceLoss(ignore_class=9)
    metric.update_state(class_ids, alike)
    assert float(metric.result()) == pytest.approx(
        float(SupConLoss(ignore_class=9)(class_ids, alike)), rel=1e-6
    )


def test_the_dtype_by_position_works_with_a_warning():
    with pytest.warns(DeprecationWarning, match="`dtype` of `ChanceLoss` should be given by key"):
        assert metrics.ChanceLoss("mine", "float64").dtype == "float64"

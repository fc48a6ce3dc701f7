"""Alignment, uniformity and effective rank of batches equal their formulas over all pairs."""

import keras
import numpy as np
import pytest

from keras_supcon.evaluation.scores import geometry
from keras_supcon.metrics import Alignment, EffectiveRank, Uniformity
from tests.covering import every_pair

pytestmark = pytest.mark.neutral

BACKEND = keras.backend.backend()


def result_of(metric, *batches) -> float:
    for batch in batches:
        metric.update_state(*batch)
    return float(metric.result())


def pairs_of(class_ids, projections) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the squared distances of all rows, whether they are positives, and the samples."""
    samples, views, dim = projections.shape
    rows = projections.reshape(-1, dim).astype("float64")
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    sample = np.repeat(np.arange(samples), views)
    labels = np.asarray(class_ids)[sample]
    is_positive = (sample[:, None] == sample) | ((labels[:, None] == labels) & (labels >= 0))
    np.fill_diagonal(is_positive, False)
    return np.sum((rows[:, None] - rows) ** 2, axis=2), is_positive, sample


def batch_of(rng, samples=12, views=2, classes=4):
    class_ids = rng.integers(-1, classes, samples)
    return class_ids, rng.normal(size=(samples, views, 3)).astype("float32") + 0.5


@every_pair(alpha=[1, 2, 3], views=[1, 2, 3], block=[False, True])
def test_alignment_is_the_mean_over_pairs_of_positives(rng, alpha, views, block):
    class_ids, projections = batch_of(rng, 1100 if block else 12, views, 300 if block else 4)
    squares, is_positive, _ = pairs_of(class_ids, projections)
    expected = np.mean(squares[is_positive] ** (alpha / 2))
    metric = Alignment(alpha)
    assert result_of(metric, (class_ids, projections)) == pytest.approx(expected, rel=1e-4)


def test_alignment_of_two_views_is_the_array_function(rng):
    _, projections = batch_of(rng)
    x, y = np.moveaxis(projections / np.linalg.norm(projections, axis=2, keepdims=True), 1, 0)
    for alpha in (1, 2):
        assert result_of(Alignment(alpha), (-np.ones(12), projections)) == pytest.approx(
            geometry.alignment(x, y, alpha), rel=1e-5
        )


@every_pair(t=[0.5, 2, 20], views=[1, 2, 3], block=[False, True])
def test_uniformity_is_the_array_function_of_the_rows(rng, t, views, block):
    class_ids, projections = batch_of(rng, 1100 if block else 12, views)
    rows = projections.reshape(-1, 3)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    expected = geometry.uniformity(rows, t)
    assert result_of(Uniformity(t), (class_ids, projections)) == pytest.approx(expected, rel=1e-4)


def test_opposite_rows_do_not_underflow():
    opposite = np.array([[1, 0], [-1, 0]], "float32")
    assert result_of(Uniformity(20), ([0, 1], opposite)) == pytest.approx(-80, rel=1e-5)


def test_pairs_of_all_batches_weigh_alike(rng):
    """The result is neither a mean of means nor, for uniformity, of logarithms."""
    batches = [batch_of(rng, samples, views) for samples, views in [(4, 1), (12, 2)]]
    parts = [pairs_of(*batch) for batch in batches]
    of_positives = np.concatenate([squares[mask] for squares, mask, _ in parts])
    of_all = np.concatenate([squares[~np.eye(len(squares), dtype=bool)] for squares, *_ in parts])
    for order in (batches, batches[::-1]):
        assert result_of(Alignment(), *order) == pytest.approx(of_positives.mean(), rel=1e-5)
        assert result_of(Uniformity(), *order) == pytest.approx(
            np.log(np.exp(-2 * of_all).mean()), rel=1e-5
        )


def test_weights_are_those_of_the_anchors_of_pairs(rng):
    class_ids, projections = batch_of(rng)
    weights = rng.uniform(size=12)
    squares, is_positive, sample = pairs_of(class_ids, projections)
    of_pairs = np.broadcast_to(weights[sample][:, None], squares.shape)
    is_other = ~np.eye(len(squares), dtype=bool)
    batch = class_ids, projections, weights
    assert result_of(Alignment(), batch) == pytest.approx(
        np.average(squares[is_positive], weights=of_pairs[is_positive]), rel=1e-5
    )
    assert result_of(Uniformity(), batch) == pytest.approx(
        np.log(np.average(np.exp(-2 * squares[is_other]), weights=of_pairs[is_other])), rel=1e-5
    )


def test_limits():
    apart, equal = np.eye(4, dtype="float32"), np.ones((4, 3), "float32")
    assert result_of(Alignment(), ([0, 0, 1, 1], equal)) == pytest.approx(0, abs=1e-6)
    assert result_of(Uniformity(), ([0, 0, 1, 1], equal)) == pytest.approx(0, abs=1e-6)
    assert result_of(Alignment(), ([0, 0, 1, 1], apart)) == pytest.approx(2)
    assert result_of(Uniformity(), ([0, 0, 1, 1], apart)) == pytest.approx(-4)
    assert result_of(Alignment(), ([0, 1, 2, 3], apart)) == 0  # no positives


@pytest.mark.parametrize("metric_class", [Alignment, Uniformity])
@pytest.mark.parametrize("ignore_class", [5, -1, -3])
def test_ignored_samples_are_in_no_pair(rng, metric_class, ignore_class):
    class_ids = np.array([0, 1, ignore_class, 0, 2, 1, ignore_class, 0, 3, ignore_class])
    rows = rng.normal(size=(10, 3)).astype("float32")
    others = class_ids != ignore_class
    assert result_of(metric_class(ignore_class=ignore_class), (class_ids, rows)) == pytest.approx(
        result_of(metric_class(), (class_ids[others], rows[others])), rel=1e-5
    )


@pytest.mark.parametrize("number", [3, 200])
def test_effective_rank_of_batches_is_that_of_all_their_rows(rng, number):
    rows = rng.normal(size=(number, 2, 5)).astype("float32") * np.logspace(0, -2, 5)
    expected = geometry.effective_rank(rows.reshape(-1, 5))
    batches = [(None, part) for part in np.array_split(rows, [1, number // 2])]
    for order in (batches, batches[::-1]):
        metric = EffectiveRank()
        assert result_of(metric, *order) == pytest.approx(expected, rel=1e-4)
    of_first_views = EffectiveRank(dim=5)
    assert result_of(of_first_views, (None, rows[:, 0])) == pytest.approx(
        geometry.effective_rank(rows[:, 0]), rel=1e-4
    )


def test_effective_rank_counts_directions_and_not_noise(rng):
    basis, _ = np.linalg.qr(rng.normal(size=(64, 64)))
    few = rng.normal(size=(500, 3)) @ basis[:3]
    expected = geometry.effective_rank(few)
    assert expected < 3.01
    assert result_of(EffectiveRank(), (None, few.astype("float32"))) == pytest.approx(
        expected, rel=1e-3
    )
    assert result_of(EffectiveRank(), (None, np.ones((9, 4), "float32"))) == pytest.approx(
        1, abs=1e-4
    )
    assert result_of(EffectiveRank(), (None, np.zeros((9, 4), "float32"))) == 0
    assert result_of(EffectiveRank()) == 0


@pytest.mark.skipif(BACKEND == "jax", reason="JAX has no float64 unless told")
def test_effective_rank_in_float64_keeps_small_singular_values(rng):
    rows = rng.normal(size=(50, 6)) * np.logspace(0, -6, 6)
    metric = EffectiveRank(dtype="float64")
    assert result_of(metric, (None, rows)) == pytest.approx(geometry.effective_rank(rows), rel=1e-6)


def test_effective_rank_takes_weights_as_repetitions(rng):
    rows, times = rng.normal(size=(20, 2, 4)).astype("float32"), rng.integers(0, 3, 20)
    repeated = geometry.effective_rank(np.repeat(rows, times, axis=0).reshape(-1, 4))
    assert result_of(EffectiveRank(), (None, rows, times)) == pytest.approx(repeated, rel=1e-4)


def test_effective_rank_has_rows_of_one_dimension():
    metric = EffectiveRank()
    metric.update_state(None, np.ones((2, 3), "float32"))
    for wrong in (metric, EffectiveRank(dim=3)):
        with pytest.raises(ValueError, match=r"rows of 3 dimensions.*shape=\(2, 1, 4\)"):
            wrong.update_state(None, np.ones((2, 4), "float32"))


@pytest.mark.parametrize("metric_class", [Alignment, Uniformity, EffectiveRank])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_rows_that_are_not_finite_give_no_number(metric_class, value):
    metric = metric_class()
    metric.update_state([0, 0, 1], np.array([[1, 0], [1, 0], [0, value]], "float32"))
    assert np.isnan(float(metric.result()))
    metric.reset_state()
    metric.update_state([0, 0], np.eye(2, dtype="float32"))
    assert np.isfinite(float(metric.result()))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Alignment(0), "`alpha` should be a positive number. Received: alpha=0"),
        (lambda: Alignment("2"), "`alpha` should be a positive number"),
        (lambda: Uniformity(-2), "`t` should be a positive number"),
        (lambda: Uniformity(21), "`t` should be from .* to 20"),
        (lambda: EffectiveRank(0), "`dim` should be None or a whole number of at least 1"),
        (lambda: Alignment(ignore_class=0.5), "`ignore_class` should be"),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_uniformity_looks_at_labels_for_ignored_ones_alone(rng):
    class_ids, projections = batch_of(rng)
    expected = result_of(Uniformity(), (class_ids, projections))
    for labels in (rng.random((12, 5)), np.full(12, 0.5), None):
        assert result_of(Uniformity(), (labels, projections)) == pytest.approx(expected, rel=1e-6)
    with pytest.raises(ValueError, match="one-hot rows|class ids"):
        Uniformity(ignore_class=3).update_state(rng.random((12, 5)), projections)

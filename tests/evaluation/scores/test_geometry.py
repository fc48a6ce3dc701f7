"""Scores of geometry equal their formulas over all pairs, and have the limits that they name."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from keras_supcon.evaluation.scores import geometry
from keras_supcon.evaluation.scores.geometry import (
    alignment,
    dead_dimensions,
    effective_rank,
    embedding_std,
    mean_cosine,
    uniformity,
    within_class_variance_ratio,
)

OF_ONE_ARRAY = [dead_dimensions, effective_rank, embedding_std, mean_cosine, uniformity]


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def rank_by_svd(x):
    singular = np.linalg.svd(x.astype("float64"), compute_uv=False)
    shares = singular / singular.sum() + 1e-7
    return np.exp(-(shares * np.log(shares)).sum())


@pytest.mark.parametrize("alpha", [0.5, 1, 2, 3])
def test_alignment_is_the_mean_power_of_distances(rng, alpha):
    x, y = rng.normal(size=(2, 30, 5)).astype("float32")
    expected = np.mean(np.linalg.norm(x.astype("float64") - y, axis=1) ** alpha)
    assert alignment(x, y, alpha) == pytest.approx(expected, rel=1e-12)
    assert alignment(x, x, alpha) == 0


@pytest.mark.parametrize("t", [0.5, 2, 7])
@pytest.mark.parametrize("tile_rows", [1024, 16, 7])  # one tile, an uneven rest, a single last row
def test_uniformity_is_that_of_the_distances_of_scipy(rng, t, tile_rows, monkeypatch):
    monkeypatch.setattr(geometry, "_TILE_ROWS", tile_rows)
    x = rng.normal(size=(50, 4))
    for rows in (unit(x).astype("float32"), x, x + 1e4):
        expected = np.log(np.mean(np.exp(-t * pdist(rows.astype("float64"), "sqeuclidean"))))
        assert uniformity(rows, t) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e30, 1e160, 1e300])
def test_rows_of_any_size_have_scores(rng, scale):
    x, labels = rng.normal(size=(40, 5)), np.arange(40) % 3
    ratio = within_class_variance_ratio(x, labels)
    assert within_class_variance_ratio(scale * x, labels) == pytest.approx(ratio)
    assert effective_rank(scale * x) == pytest.approx(effective_rank(x), rel=1e-5)
    value = uniformity(scale * x)
    assert value <= 0
    assert (value < -1e50) == (scale > 1)


def test_uniformity_does_not_underflow(rng):
    x = 100 * unit(rng.normal(size=(40, 30)))
    squares = pdist(x, "sqeuclidean")
    assert np.exp(-2 * squares).sum() == 0
    nearest = squares.min()
    expected = np.log(np.mean(np.exp(-2 * (squares - nearest)))) - 2 * nearest
    assert uniformity(x) == pytest.approx(expected, rel=1e-12)


def test_uniformity_of_many_directions_tends_to_minus_two_t(rng):
    assert uniformity(unit(rng.normal(size=(200, 2000)))) == pytest.approx(-4, abs=0.02)
    assert uniformity(np.ones((200, 3))) == 0


@pytest.mark.parametrize("number", [3, 40, 200])
def test_effective_rank_is_that_of_the_singular_values(rng, number, monkeypatch):
    # Blocks of 16 rows, while 200 singular values fall by eight orders of magnitude.
    monkeypatch.setattr(geometry, "_TILE_ROWS", 16)
    x = rng.normal(size=(number, 8)) * np.logspace(0, -8, 8)
    assert effective_rank(x) == pytest.approx(rank_by_svd(x), rel=1e-12)
    np.testing.assert_allclose(
        geometry._singular_values(x), np.linalg.svd(x, compute_uv=False), rtol=1e-6
    )


def test_effective_rank_counts_equal_directions(rng):
    basis, _ = np.linalg.qr(rng.normal(size=(10, 10)))
    for number in (1, 4, 10):
        x = np.repeat(basis[:number], 5, axis=0)
        assert effective_rank(x) == pytest.approx(number, rel=1e-4)
        assert effective_rank(1e-30 * x.astype("float32")) == pytest.approx(number, rel=1e-4)
    assert effective_rank(np.zeros((5, 3))) == 0


def test_effective_rank_of_simplex_classes_is_one_less_than_their_number(rng):
    """It is the optimum of SupCon: C points in C - 1 dimensions."""
    means = np.eye(6) - 1 / 6
    assert effective_rank(means[rng.permutation(np.repeat(np.arange(6), 20))]) == pytest.approx(
        5, rel=1e-4
    )


def test_signs_of_collapse_of_rows_that_spread(rng):
    x = rng.normal(size=(5000, 16)) * rng.uniform(0.1, 10, size=(5000, 1))
    assert embedding_std(x) == pytest.approx(1 / 4, rel=1e-2)
    assert abs(mean_cosine(x)) < 1e-2
    assert dead_dimensions(x) == 0
    x[:, 3:7] = 0
    assert dead_dimensions(x) == 4 / 16


def test_dimensions_are_dead_beside_others(rng):
    """Rows near one direction have no dead dimension, if they differ from it in all."""
    x = 1 + 1e-3 * rng.normal(size=(500, 16))
    assert mean_cosine(x) > 0.999
    assert dead_dimensions(x) == 0
    x[:, 3:7] = 1
    assert dead_dimensions(x, 0.3) == 4 / 16


def test_signs_of_collapse_of_one_direction(rng):
    lengths = rng.uniform(0.5, 2, size=(300, 1))
    rows = lengths * rng.normal(size=(1, 7))
    for x in (np.full((300, 7), 0.1, "float32"), rows, rows.astype("float32")):
        assert embedding_std(x) == pytest.approx(0, abs=1e-6)
        assert mean_cosine(x) == pytest.approx(1, abs=1e-6)
        assert dead_dimensions(x) == 1


def test_stds_and_cosines_equal_their_formulas(rng):
    x = rng.normal(size=(40, 5)) + 1
    assert embedding_std(x) == pytest.approx(unit(x).std(axis=0).mean(), rel=1e-6)
    assert mean_cosine(x) == pytest.approx(1 - pdist(x, "cosine").mean(), rel=1e-6)
    relative = unit(x).std(axis=0) / unit(x).std(axis=0).max()
    threshold = np.sort(relative)[1:3].mean()
    assert dead_dimensions(x, threshold) == 2 / 5


def test_a_row_of_zeros_has_cosine_zero():
    assert mean_cosine([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]) == pytest.approx(1 / 3)


def test_variance_ratio_is_that_of_the_scatter_matrices(rng):
    labels = rng.choice([2, 5, 9], size=60, p=[0.2, 0.3, 0.5])
    x = rng.normal(size=(60, 4)) + labels[:, None]
    within, between = np.zeros((4, 4)), np.zeros((4, 4))
    for label in (2, 5, 9):
        rows = x[labels == label]
        within += (rows - rows.mean(0)).T @ (rows - rows.mean(0)) / 60
        shift = rows.mean(0) - x.mean(0)
        between += len(rows) / 60 * np.outer(shift, shift)
    ratio = within_class_variance_ratio(x, labels)
    assert ratio == pytest.approx(np.trace(within) / np.trace(between), rel=1e-10)
    np.testing.assert_allclose(within + between, np.cov(x.T, bias=True))
    with_unlabeled = np.concatenate([x, rng.normal(size=(7, 4))])
    unlabeled = np.concatenate([labels, np.full(7, -1)])
    assert within_class_variance_ratio(with_unlabeled, unlabeled) == pytest.approx(ratio, rel=1e-10)


def test_variance_ratio_of_collapse():
    labels = np.arange(30) % 3
    assert within_class_variance_ratio(np.eye(3)[labels], labels) == 0
    assert within_class_variance_ratio(np.full((30, 3), 0.1), labels) == np.inf


@pytest.mark.parametrize("score", OF_ONE_ARRAY)
def test_scores_do_not_depend_on_the_order_of_rows(rng, score):
    x = rng.normal(size=(50, 6))
    assert score(rng.permutation(x)) == pytest.approx(score(x), rel=1e-6)


@pytest.mark.parametrize("score", OF_ONE_ARRAY)
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.ones((1, 3)), "at least 2 rows"),
        (np.ones((0, 3)), "at least 2 rows"),
        (np.ones(3), r"`x` should have shape \(n, d\)"),
        ([[1.0, np.nan], [0.0, 1.0]], "finite numbers"),
    ],
)
def test_what_are_no_rows_is_refused(score, rows, message):
    with pytest.raises(ValueError, match=message):
        score(rows)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: alignment(x, x[:3]), r"`y` should have the shape of `x`.*y.shape=\(3, 2\)"),
        (lambda x: alignment(x, np.nan * x), "`y` should be finite"),
        (lambda x: alignment(x, x, alpha=0), "`alpha` should be a positive number"),
        (lambda x: uniformity(x, t=-1), "`t` should be a positive number. Received: t=-1"),
        (lambda x: dead_dimensions(x, threshold=-1), "`threshold` should be a number of at least"),
        (lambda x: within_class_variance_ratio(x, [0, 1]), "`labels` should hold 4 class ids"),
        (lambda x: within_class_variance_ratio(x, [0] * 4), "at least two classes.*of 1 class$"),
        (lambda x: within_class_variance_ratio(x, [-1] * 4), "labels of 0 classes"),
    ],
)
def test_wrong_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.arange(8.0).reshape(4, 2))

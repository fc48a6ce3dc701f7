"""Scores of torchmetrics 1.9.0, pytorch-metric-learning 2.9.0, faiss-cpu 1.15.1 and torch 2.13.0.

What they do otherwise:

- torchmetrics has one more bin for confidences of exactly 1. Its borders are those of
  `torch.linspace` in float32, of which some are a rounding step above k / bins.
- pytorch-metric-learning takes equal distances in any order, where ours puts other classes first.
"""

import os

import numpy as np
import pytest

from keras_supcon.evaluation.protocols.knn import knn_evaluation
from keras_supcon.evaluation.protocols.retrieval import retrieval
from keras_supcon.evaluation.scores.calibration import (
    expected_calibration_error,
    maximum_calibration_error,
)
from keras_supcon.evaluation.scores.geometry import alignment, effective_rank, uniformity
from keras_supcon.evaluation.scores.ranking import map_at_r
from keras_supcon.evaluation.search import nearest, normalize_rows
from tests.parity.exchange import run_peer

pytestmark = pytest.mark.skipif(
    "PML_PYTHON" not in os.environ,
    reason="needs an environment with torchmetrics and faiss: run `make test-parity`",
)

RNG = np.random.default_rng(0)
NUM_BINS = 15
# Borders of 15 bins that torch.linspace puts above the float32 nearest to k / 15.
HIGHER_BORDERS = [3, 6, 7]


def random_probabilities(number, num_classes, dtype):
    scores = np.exp(2 * RNG.normal(size=(number, num_classes)))
    probabilities = (scores / scores.sum(axis=1, keepdims=True)).astype(dtype)
    assert probabilities.max() < 1
    return {"probabilities": probabilities, "labels": RNG.integers(0, num_classes, number)}


def with_largest(confidences, num_classes=16):
    """Probabilities whose first one is given and the largest."""
    confidences = np.asarray(confidences, "float32")
    others = np.repeat((1 - confidences[:, None]) / (num_classes - 1), num_classes - 1, axis=1)
    return np.concatenate([confidences[:, None], others], axis=1).astype("float32")


def around_border(k, confidence):
    """One image at the border k / 15, two in the middle of the bins beside it."""
    return with_largest([confidence, (k - 0.5) / NUM_BINS, (k + 0.5) / NUM_BINS])


def clusters(labels, dim=6):
    centers = np.random.default_rng(1).normal(size=(10, dim))
    rows = centers[labels] + RNG.normal(size=(len(labels), dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("float32")


def unit_rows(number, dim, dtype="float64"):
    return normalize_rows(RNG.normal(size=(number, dim))).astype(dtype)


BORDERS = np.arange(1, NUM_BINS)
BORDER_LABELS = np.array([0, 0, 1])  # the first class is predicted
QUERY_LABELS = np.append(np.arange(80) % 7, [8, 9, 9])  # 8 has no other image
GALLERY_LABELS = np.arange(150) % 9  # no image of class 9
GALLERY = {"gallery": clusters(GALLERY_LABELS), "gallery_labels": GALLERY_LABELS}
QUERIES = {"embeddings": clusters(QUERY_LABELS), "labels": QUERY_LABELS}
# `case/function`, and the arguments that the peer and ours have in common.
CASES = {
    "float64/calibration_errors": {**random_probabilities(500, 10, "float64"), "num_bins": 15},
    "float32/calibration_errors": {**random_probabilities(500, 3, "float32"), "num_bins": 10},
    "one bin/calibration_errors": {**random_probabilities(50, 4, "float64"), "num_bins": 1},
    "few images/calibration_errors": {**random_probabilities(7, 4, "float64"), "num_bins": 100},
    "certain/calibration_errors": {
        "probabilities": np.array([[1.0, 0.0], [1.0, 0.0], [0.96875, 0.03125]]),
        "labels": np.array([0, 1, 0]),
        "num_bins": NUM_BINS,
    },
    "borders/calibration_errors_of_each": {
        "probabilities": np.stack([around_border(k, k / NUM_BINS) for k in BORDERS]),
        "labels": BORDER_LABELS,
        "num_bins": NUM_BINS,
    },
    "own gallery/retrieval": QUERIES,
    "other gallery/retrieval": {**QUERIES, **GALLERY},
    "few neighbors/neighbors": {
        "queries": unit_rows(100, 16, "float32"),
        "gallery": unit_rows(3000, 16, "float32"),
        "num_neighbors": 1,
    },
    "many neighbors/neighbors": {
        "queries": unit_rows(100, 16, "float32"),
        "gallery": unit_rows(3000, 16, "float32"),
        "num_neighbors": 200,
    },
    "all neighbors/neighbors": {
        "queries": unit_rows(5, 3, "float32"),
        "gallery": unit_rows(40, 3, "float32"),
        "num_neighbors": 40,
    },
    "warm/votes": {"num_neighbors": 20, "temperature": 0.5},
    "usual/votes": {"num_neighbors": 50, "temperature": 0.1},
    "cold/votes": {"num_neighbors": 200, "temperature": 0.02},
    "squares/alignment": {"x": unit_rows(60, 5), "y": unit_rows(60, 5), "alpha": 2},
    "lengths/alignment": {"x": unit_rows(60, 5), "y": RNG.normal(size=(60, 5)), "alpha": 1.5},
    "sphere/uniformity": {"x": unit_rows(1500, 8), "t": 2},
    "any length/uniformity": {"x": 5 + RNG.normal(size=(40, 3)), "t": 0.7},
    "near collapse/uniformity": {"x": 1 + 1e-4 * RNG.normal(size=(40, 3)), "t": 2},
    "tall/rank_me": {"x": RNG.normal(size=(1500, 12)) * np.geomspace(1, 1e-3, 12)},
    "wide/rank_me": {"x": RNG.normal(size=(9, 30))},
    "low rank/rank_me": {"x": RNG.normal(size=(200, 3)) @ RNG.normal(size=(3, 16))},
}
VOTERS = {"train": clusters(GALLERY_LABELS[:450].repeat(3)), "labels": GALLERY_LABELS.repeat(3)}
VOTED = {"test": clusters(np.arange(90) % 9), "test_labels": np.arange(90) % 9}


def cases_of(function):
    return [case.partition("/")[0] for case in CASES if case.endswith(f"/{function}")]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    questions = {}
    for case, arguments in CASES.items():
        if case.endswith("/votes"):
            arguments = arguments | VOTERS | {"test": VOTED["test"]}
        questions |= {f"{case}/{name}": value for name, value in arguments.items()}
    return run_peer(os.environ["PML_PYTHON"], "peer_evaluation", questions, folder)


def calibration_errors(**arguments):
    return [
        expected_calibration_error(**arguments),
        maximum_calibration_error(**arguments),
    ]


@pytest.mark.parametrize("case", ["float64", "float32", "one bin", "few images"])
def test_calibration_errors_equal_those_of_torchmetrics(case, theirs):
    ours = calibration_errors(**CASES[f"{case}/calibration_errors"])
    assert min(ours) > 0.01
    np.testing.assert_allclose(ours, theirs[case], rtol=0, atol=1e-6)


def test_torchmetrics_has_a_bin_for_confidences_of_one(theirs):
    ours = calibration_errors(**CASES["certain/calibration_errors"])
    of_bin = abs(2 / 3 - (1 + 1 + 0.96875) / 3)
    np.testing.assert_allclose(ours, [of_bin, of_bin])
    of_two_bins = [2 / 3 * 0.5 + 1 / 3 * 0.03125, 0.5]
    np.testing.assert_allclose(theirs["certain"], of_two_bins, atol=1e-6)


def test_borders_in_float32_belong_to_the_bin_above_but_for_three_of_torchmetrics(theirs):
    def ours(step):
        """Of confidences that are moved by some rounding steps."""
        errors = []
        for k in BORDERS:
            confidence = np.float32(k / NUM_BINS)
            moved = np.nextafter(confidence, np.float32(0)) if step else confidence
            errors.append(calibration_errors(**of_borders(around_border(k, moved))))
        return np.array(errors)

    def of_borders(probabilities):
        return {"probabilities": probabilities, "labels": BORDER_LABELS, "num_bins": NUM_BINS}

    is_higher = np.isin(BORDERS, HIGHER_BORDERS)[:, None]
    at_border, below = ours(step=False), ours(step=True)
    assert (np.abs(at_border - below).max(axis=1) > 1e-3).all()  # the bin matters
    np.testing.assert_allclose(
        theirs["borders"], np.where(is_higher, below, at_border), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("case", cases_of("retrieval"))
def test_retrieval_equals_that_of_pytorch_metric_learning(case, theirs):
    arguments = CASES[f"{case}/retrieval"]
    result = retrieval(**arguments, ks=(1,))
    ours = [result.recall_at[1], result.r_precision, result.map_at_r, result.mean_average_precision]
    assert 0.1 < min(ours) < max(ours) < 0.9
    np.testing.assert_allclose(ours, theirs[case], rtol=1e-6)
    if "gallery" not in arguments:
        assert map_at_r(**arguments) == result.map_at_r
    # Labels whose class has no other image do not count.
    assert result.queries == 82 if case == "own gallery" else 81


@pytest.mark.parametrize("case", cases_of("neighbors"))
def test_neighbors_are_those_of_faiss(case, theirs):
    arguments = CASES[f"{case}/neighbors"]
    similarities, indices = nearest(**arguments)
    their_similarities, their_indices = theirs[case][0], theirs[case][1].astype(int)
    np.testing.assert_allclose(similarities, their_similarities, rtol=0, atol=1e-6)
    # Sums of products in another order may swap neighbors that are as near.
    rows, places = np.nonzero(indices != their_indices)
    assert len(rows) < 0.01 * indices.size
    queries, gallery = (arguments[name].astype("float64") for name in ("queries", "gallery"))
    gaps = gallery[indices[rows, places]] - gallery[their_indices[rows, places]]
    np.testing.assert_allclose(np.sum(queries[rows] * gaps, axis=1), 0, atol=1e-6)


@pytest.mark.parametrize("case", cases_of("votes"))
def test_votes_are_those_of_instance_discrimination(case, theirs):
    result = knn_evaluation(
        VOTERS["train"],
        VOTERS["labels"],
        VOTED["test"],
        VOTED["test_labels"],
        **CASES[f"{case}/votes"],
    )
    assert 0.2 < result.accuracy < result.top_5 < 1
    np.testing.assert_array_equal(result.predictions, theirs[case][:, 0])
    in_five = (theirs[case][:, :5] == VOTED["test_labels"][:, None]).any(axis=1)
    assert result.top_5 == in_five.mean()


@pytest.mark.parametrize(
    ("ours", "function"),
    [(alignment, "alignment"), (uniformity, "uniformity"), (effective_rank, "rank_me")],
)
def test_geometry_is_that_of_the_formulas_in_torch(ours, function, theirs):
    for case in cases_of(function):
        value = ours(**CASES[f"{case}/{function}"])
        np.testing.assert_allclose(value, theirs[case], rtol=1e-6, err_msg=case)

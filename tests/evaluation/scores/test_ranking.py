"""Scores of rankings equal loops over sorted lists."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from keras_supcon import evaluation as E  # noqa: N812
from keras_supcon.evaluation.scores.ranking import rank


def by_loop(queries, labels, gallery, gallery_labels, is_own):
    """Returns first place, R-precision, average precision at R and average precision."""
    unit = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in (queries, gallery)]
    found = []
    for i, (query, label) in enumerate(zip(unit[0], labels, strict=True)):
        cosines = unit[1] @ query
        others = np.flatnonzero(np.arange(len(gallery)) != i) if is_own else range(len(gallery))
        order = sorted(others, key=lambda j: -cosines[j])
        hits = np.array([gallery_labels[j] == label for j in order])
        number = hits.sum()
        if not number:
            found.append((0, np.nan, np.nan, np.nan))
            continue
        precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
        found.append(
            (
                hits.argmax() + 1,
                hits[:number].mean(),
                (precision * hits)[:number].sum() / number,
                average_precision_score(hits, [cosines[j] for j in order]),
            )
        )
    return np.array(found).T


@pytest.mark.parametrize("with_gallery", [False, True])
def test_scores_are_those_of_sorted_lists(rng, with_gallery):
    queries, labels = rng.normal(size=(40, 5)), rng.integers(0, 6, 40)
    labels[0] = 99  # no other image of its class
    gallery, gallery_labels = rng.normal(size=(70, 5)), rng.integers(0, 6, 70)
    given = (gallery, gallery_labels) if with_gallery else (None, None)
    ranking = rank(queries, labels, *given)
    searched = (gallery, gallery_labels) if with_gallery else (queries, labels)
    expected = by_loop(queries, labels, *searched, is_own=not with_gallery)
    np.testing.assert_array_equal(ranking.first_place, expected[0])
    np.testing.assert_allclose(ranking.r_precision, expected[1])
    np.testing.assert_allclose(ranking.average_precision_at_r, expected[2])
    np.testing.assert_allclose(ranking.average_precision, expected[3])
    if not with_gallery:
        for k in (1, 3, 200):
            assert E.recall_at_k(queries, labels, k) == (expected[0][1:] <= k).mean()
        assert E.map_at_r(queries, labels) == pytest.approx(np.nanmean(expected[2]))


def test_separate_classes_are_perfect_and_collapse_is_worst():
    apart, labels = np.repeat(np.eye(3), 4, axis=0), np.repeat(np.arange(3), 4)
    result = E.retrieval(apart, labels)
    assert result.recall_at[1] == result.r_precision == result.map_at_r == 1
    assert result.mean_average_precision == 1
    collapsed = E.retrieval(np.ones((12, 3)), labels)
    assert collapsed.recall_at[8] == collapsed.r_precision == collapsed.map_at_r == 0


def test_rounding_of_collapsed_rows_is_no_ranking(rng):
    direction, lengths = rng.normal(size=24), rng.uniform(0.1, 1e3, (60, 1))
    rows, labels = (lengths * direction).astype("float32"), rng.integers(0, 3, 60)
    assert E.recall_at_k(rows, labels, 5) == 0


def test_length_and_order_of_embeddings_do_not_matter(rng):
    rows, labels = rng.normal(size=(60, 4)), rng.integers(0, 4, 60)
    lengths, order = rng.uniform(0.1, 1e3, (60, 1)), rng.permutation(60)
    expected = E.retrieval(rows, labels).to_dict()
    for changed in (E.retrieval(rows * lengths, labels), E.retrieval(rows[order], labels[order])):
        for name in ("r_precision", "map_at_r", "mean_average_precision"):
            assert changed.to_dict()[name] == pytest.approx(expected[name])


def test_images_without_a_label_are_no_matches():
    rows = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]])
    assert np.isnan(E.recall_at_k(rows, [-1, -1, 0, 1]))
    assert E.recall_at_k(rows, [-1, -1, 1, 1]) == 1


def test_small_blocks_give_what_one_block_gives(rng, monkeypatch):
    rows, labels = rng.normal(size=(50, 4)), rng.integers(0, 4, 50)
    expected = rank(rows, labels)
    monkeypatch.setattr("keras_supcon.evaluation.scores.ranking._BLOCK_BYTES", 8 * 50 * 3)
    np.testing.assert_array_equal(rank(rows, labels).first_place, expected.first_place)


def test_without_any_match_there_is_no_score():
    assert np.isnan(E.recall_at_k(np.eye(3), [0, 1, 2]))
    assert np.isnan(E.map_at_r(np.eye(3), [0, 1, 2]))
    with pytest.raises(ValueError, match="should have a class with another image to find"):
        E.retrieval(np.eye(3), [0, 1, 2])


def test_the_largest_class_id_is_one_as_others(rng):
    rows, labels = rng.normal(size=(40, 4)), np.arange(40) % 3
    expected = E.retrieval(rows, labels)
    result = E.retrieval(rows, np.where(labels == 1, 2**63 - 1, labels))
    assert result.queries == expected.queries == 40
    assert result.recall_at == expected.recall_at


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embeddings": np.full((4, 3), np.nan)}, "finite"),
        ({"labels": [0, 1]}, "`labels` should hold 4 class ids"),
        ({"gallery": np.eye(3)}, "should be given together"),
        ({"gallery": np.eye(2), "gallery_labels": [0, 1]}, "should have the width"),
        ({"ks": (0,)}, "`ks` should be a sequence of one or more whole numbers of at least 1"),
        ({"ks": ()}, "`ks` should be a sequence of one or more whole numbers of at least 1"),
    ],
)
def test_refuses_wrong_input(change, message):
    arguments = {"embeddings": np.ones((4, 3)), "labels": [0, 1, 0, 1], **change}
    with pytest.raises(ValueError, match=message):
        E.retrieval(**arguments)

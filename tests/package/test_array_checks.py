"""Arrays that scores and protocols take keep their values; others are refused by a sentence."""

import keras
import numpy as np
import pytest

from keras_supcon.array_checks import (
    check_embeddings,
    check_labels,
    check_probabilities,
)

pytestmark = pytest.mark.neutral

BIG = 2**24 + 1  # no float32 holds it


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("float16", "float32"),
        ("float32", "float32"),
        ("float64", "float64"),
        ("int8", "float64"),
        ("int64", "float64"),
    ],
)
def test_embeddings_keep_their_values(given, expected):
    rows = np.array([[1, 2], [3, 4]], given)
    checked = check_embeddings("x", rows)
    assert checked.dtype == expected
    np.testing.assert_array_equal(checked, rows)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_tensors_of_the_backend_become_arrays(dtype):
    rows = keras.ops.array([[0.25, 0.75]], dtype=dtype)
    for checked in (check_embeddings("x", rows), check_probabilities("p", rows)):
        assert checked.dtype == "float32"
        np.testing.assert_array_equal(checked, [[0.25, 0.75]])
    np.testing.assert_array_equal(check_labels("y", keras.ops.array([3, -1])), [3, -1])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros(3), r"should have shape \(n, d\).*Received: x.shape=\(3,\)"),
        (np.zeros((0, 3)), r"at least one row and one dimension. Received: x.shape=\(0, 3\)"),
        (np.zeros((3, 0)), r"x.shape=\(3, 0\)"),
        ([[1.0, 2.0], [np.nan, 0.0]], r"finite numbers. Received: \[nan  0.\] in row 1"),
        ([[np.inf, 2.0]], "in row 0"),
        ([["a", "b"]], "should be numbers. Received: x.dtype=<U1"),
        ([[1.0], [1.0, 2.0]], "should be numbers. Received: x.dtype=object"),
        ([[1j]], "x.dtype=complex128"),
    ],
)
def test_what_is_no_finite_matrix_is_refused(rows, message):
    with pytest.raises(ValueError, match=f"^`x` .*{message}"):
        check_embeddings("x", rows)


def test_a_score_may_need_several_rows():
    assert check_embeddings("x", np.zeros((2, 1)), at_least=2).shape == (2, 1)
    with pytest.raises(ValueError, match=r"at least 2 rows.*x.shape=\(1, 1\)"):
        check_embeddings("x", np.zeros((1, 1)), at_least=2)


@pytest.mark.parametrize("dtype", ["int8", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_labels_of_any_dtype_become_whole_numbers(dtype, shape):
    checked = check_labels("y", np.array([2, -1, 0], dtype).reshape(shape), number=3)
    assert checked.dtype == "int64"
    assert checked.tolist() == [2, -1, 0]


def test_large_labels_are_exact_or_refused():
    assert check_labels("y", np.array([BIG, 2**63 - 1])).tolist() == [BIG, 2**63 - 1]
    assert check_labels("y", np.array([BIG], "float64")).tolist() == [BIG]
    for labels in (
        np.array([BIG + 1], "float32"),
        np.array([2.0**54]),
        np.array([2**63], "uint64"),
    ):
        with pytest.raises(ValueError, match="`y` should be whole numbers"):
            check_labels("y", labels)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([0.0, 0.5], {}, "whole numbers, in float64 up to .* Received: 0.5 in row 1"),
        ([np.nan], {}, "Received: nan in row 0"),
        (["a"], {}, "should be whole numbers. Received: y.dtype=<U1"),
        (np.eye(3), {}, r"`argmax\(axis=1\)` makes ids.*y.shape=\(3, 3\)"),
        (7, {}, r"y.shape=\(\)"),
        ([0, 1], {"number": 3}, "should hold 3 class ids, one for each row. Received: 2"),
        ([0, 5], {"num_classes": 5}, "class ids from 0 to 4. Received: 5 in row 1"),
        ([-1, 4], {"num_classes": 5}, "Received: -1 in row 0"),
    ],
)
def test_what_are_no_class_ids_is_refused(labels, options, message):
    with pytest.raises(ValueError, match=f"^`y` .*{message}"):
        check_labels("y", labels, **options)


def test_probabilities_pass_within_the_tolerance():
    rows = np.array([[0.5, 0.509], [1.0, 0.0]])
    np.testing.assert_array_equal(check_probabilities("p", rows, number_of_rows=2), rows)
    for dtype in ("float16", "bfloat16"):
        logits = keras.ops.array(np.random.default_rng(0).normal(size=(50, 1000)), dtype=dtype)
        assert check_probabilities("p", keras.ops.softmax(logits)).dtype == "float32"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[0.5, 0.5], [2.0, 7.0]], r"from_logits=True.*Received: \[2. 7.\] in row 1"),
        ([[-0.5, 1.5]], "numbers of at least 0"),
        ([[0.5, 0.511]], "rows that sum to 1"),
        ([[np.nan, 1.0]], "finite numbers"),
        ([0.5, 0.5], r"shape \(n, classes\).*p.shape=\(2,\)"),
        (np.zeros((0, 3)), r"at least one row"),
        ([[0.0, 1.0]] * 3, r"should have 2 rows. Received: p.shape=\(3, 2\)"),
    ],
)
def test_what_are_no_probabilities_is_refused(rows, message):
    with pytest.raises(ValueError, match=f"^`p` .*{message}"):
        check_probabilities("p", rows, number_of_rows=2 if len(rows) == 3 else None)


def test_a_long_row_is_shown_in_short():
    with pytest.raises(ValueError, match=r"\[1. 1. 1. ... 1. 1. 1.\] in row 0") as error:
        check_probabilities("p", np.ones((1, 1000)))
    assert len(str(error.value)) < 300

"""Neighbors are those of sorting all products, and equal ones are in the order of the gallery."""

import numpy as np
import pytest

from keras_supcon.evaluation import search
from keras_supcon.evaluation.search import nearest, normalize_rows, similarity_blocks


def sorted_products(queries, gallery, num_neighbors):
    products = queries @ gallery.T
    order = np.argsort(-products, axis=1, kind="stable")[:, :num_neighbors]
    return np.take_along_axis(products, order, axis=1), order


def assert_sorted(queries, gallery, num_neighbors):
    """Compares on small whole numbers, whose products are exact."""
    similarities, indices = nearest(queries, gallery, num_neighbors)
    expected, order = sorted_products(queries, gallery, num_neighbors)
    np.testing.assert_array_equal(similarities, expected)
    np.testing.assert_array_equal(indices, order)


@pytest.mark.parametrize("largest", [1, 3, 1000])
@pytest.mark.parametrize("num_neighbors", [1, 2, 20, 300])
@pytest.mark.parametrize("size", [300, 2048, 5003])
def test_neighbors_are_those_of_a_stable_sort(rng, size, num_neighbors, largest):
    queries, gallery = (
        rng.integers(-largest, largest + 1, (number, 3)).astype("float32") for number in (40, size)
    )
    assert_sorted(queries, gallery, num_neighbors)


@pytest.mark.parametrize(("number", "size", "dim"), [(1, 1, 1), (3, 1, 2), (1, 2, 1), (2, 5, 4)])
def test_the_smallest_sizes(rng, number, size, dim):
    queries, gallery = (rng.integers(-3, 4, (n, dim)).astype("float32") for n in (number, size))
    for num_neighbors in range(1, size + 1):
        assert_sorted(queries, gallery, num_neighbors)


def test_equal_rows_are_in_the_order_of_the_gallery(rng):
    gallery = np.ones((6000, 2), "float32")
    assert_sorted(np.ones((3, 2), "float32"), gallery, 50)
    # Near ones at the end, behind more equal ones than fit into the table of candidates.
    gallery[-20:] = 2
    similarities, indices = nearest(np.ones((3, 2), "float32"), gallery, 50)
    np.testing.assert_array_equal(indices[0], [*range(5980, 6000), *range(30)])
    np.testing.assert_array_equal(similarities[0], [4.0] * 20 + [2.0] * 30)


def test_some_rows_of_a_block_have_many_equal_products(rng):
    gallery = rng.integers(-3, 4, (5000, 4)).astype("float32")
    gallery[:, 0] = 1
    queries = rng.integers(-3, 4, (6, 4)).astype("float32")
    queries[::2, 1:] = 0  # equally near to all
    assert_sorted(queries, gallery, 7)


def test_all_of_a_gallery_of_groups_that_do_not_fill_it(rng):
    gallery = rng.integers(-3, 4, (2100, 2)).astype("float32")
    assert_sorted(rng.integers(-3, 4, (4, 2)).astype("float32"), gallery, 2100)


@pytest.mark.parametrize("rows_of_a_block", [1, 7, 1000])
def test_blocks_do_not_matter(rng, monkeypatch, rows_of_a_block):
    queries, gallery = (rng.integers(-9, 10, (n, 5)).astype("float32") for n in (23, 2500))
    monkeypatch.setattr(search, "_BLOCK_BYTES", 4 * 2500 * rows_of_a_block)
    blocks = [rows for rows, _ in similarity_blocks(queries, gallery)]
    assert blocks[0] == slice(0, min(rows_of_a_block, 23))
    assert [one.start for one in blocks[1:]] == [one.stop for one in blocks[:-1]]
    assert blocks[-1].stop == 23
    assert_sorted(queries, gallery, 11)


def test_a_row_finds_itself_first(rng):
    rows = normalize_rows(rng.normal(size=(3000, 8)))
    similarities, indices = nearest(rows, rows, 3)
    np.testing.assert_array_equal(indices[:, 0], np.arange(3000))
    np.testing.assert_allclose(similarities[:, 0], 1, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e19, 1e30])
def test_unit_rows_of_any_magnitude(rng, scale, dtype):
    rows = rng.normal(size=(50, 7))
    expected = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    unit = normalize_rows((scale * rows).astype(dtype))
    assert unit.dtype == "float32"
    np.testing.assert_allclose(unit, expected, rtol=1e-5, atol=1e-7)


def test_magnitudes_of_one_row_may_differ_and_zeros_stay():
    rows = normalize_rows(np.array([[1e30, 1e-30], [0, 0], [-3, 4], [1e-30, 0]], "float32"))
    np.testing.assert_allclose(rows, [[1, 0], [0, 0], [-0.6, 0.8], [1, 0]], rtol=1e-6)

"""The queue is a ring, whatever the size of a batch."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon.layers import Queue

pytestmark = pytest.mark.neutral

DIM = 4
SIZES = (3, 5, 8, 0, 1, 20)


def filled(size, per_class, batches):
    """Puts rows one by one, each in place of the oldest one of its ring."""
    rows, labels = np.zeros((size, DIM)), np.full(size, -2)
    rings = per_class or 1
    length, pointer = size // rings, [0] * rings
    for batch, ids in batches:
        for row, label in zip(batch, ids, strict=True):
            if per_class and label < 0:
                continue
            ring = label if per_class else 0
            place = ring * length + pointer[ring]
            rows[place], labels[place] = row / np.linalg.norm(row), label
            pointer[ring] = (pointer[ring] + 1) % length
    return rows, labels, pointer


def batches_of(rng, sizes=SIZES):
    return [
        (rng.normal(size=(size, DIM)).astype("float32"), rng.integers(-1, 3, size))
        for size in sizes
    ]


@pytest.mark.parametrize(("size", "per_class"), [(7, None), (3, None), (12, 3), (3, 3)])
def test_new_rows_take_the_place_of_the_oldest(rng, size, per_class):
    queue, batches = Queue(size, DIM, per_class), batches_of(rng)
    for number in range(len(batches)):
        queue.enqueue(*batches[number])
        rows, labels, pointer = filled(size, per_class, batches[: number + 1])
        np.testing.assert_allclose(ops.convert_to_numpy(queue.rows), rows, atol=1e-6)
        np.testing.assert_array_equal(ops.convert_to_numpy(queue.labels), labels)
        np.testing.assert_array_equal(ops.convert_to_numpy(queue.pointer), pointer)
        assert int(queue.count) == np.sum(labels > -2)
        np.testing.assert_array_equal(ops.convert_to_numpy(queue.is_filled()), labels > -2)


def test_what_comes_with_a_row_goes_with_it(rng):
    """Labels in every form, tags; neither gives unlabeled rows without tags."""
    queue = Queue(6, DIM)
    (batch, _), *_ = batches_of(rng)
    queue.enqueue(batch, [[4], [0], [-1]], tags=np.array([7, 8, 9]))
    queue.enqueue(batch[:2], np.eye(3)[[2, 0]])
    queue.enqueue(batch[:1])
    np.testing.assert_array_equal(ops.convert_to_numpy(queue.labels), [4, 0, -1, 2, 0, -1])
    np.testing.assert_array_equal(ops.convert_to_numpy(queue.tags), [7, 8, 9, 0, 0, 0])


def test_rows_that_are_not_finite_leave_their_slots_empty():
    queue = Queue(4, DIM)
    rows = np.ones((3, DIM), "float32")
    rows[0, 2], rows[2, 1] = np.nan, np.inf
    queue.enqueue(rows, [5, 6, 7])
    np.testing.assert_array_equal(ops.convert_to_numpy(queue.labels), [-2, 6, -2, -2])
    np.testing.assert_allclose(ops.convert_to_numpy(queue.rows)[:, 0], [0, 0.5, 0, 0])
    assert int(queue.count) == 1


def test_a_model_saves_it(rng, tmp_path):
    class Remembers(keras.Model):
        def __init__(self):
            super().__init__()
            self.queue = Queue(7, DIM)

        def call(self, x):
            return x

    first, second = Remembers(), Remembers()
    batches = batches_of(rng)
    for batch in batches[:2]:
        first.queue.enqueue(*batch)
    for one in (first, second):
        one(np.zeros((1, DIM), "float32"))
    first.save_weights(tmp_path / "queue.weights.h5")
    second.load_weights(tmp_path / "queue.weights.h5")
    for one in (first, second):
        one.queue.enqueue(*batches[2])
        assert not one.trainable_variables
    for one, other in zip(first.queue.weights, second.queue.weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))


WRONG = {
    "size": ((0, DIM), "`size` should be a whole number of at least 1"),
    "dim": ((8, 2.5), "`dim` should be a whole number"),
    "per_class": ((8, DIM, 3), "`size` should be divisible by `per_class`.*size=8, per_class=3"),
}


@pytest.mark.parametrize("name", WRONG)
def test_arguments_out_of_range_are_refused(name):
    arguments, sentence = WRONG[name]
    with pytest.raises(ValueError, match=sentence):
        Queue(*arguments)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="elsewhere such ids are refused")
def test_ids_that_a_program_cannot_refuse_leave_no_slot_empty():
    import jax

    queue = Queue(4, DIM)

    def enqueue(labels):
        with keras.StatelessScope() as scope:
            queue.enqueue(np.ones((2, DIM), "float32"), labels)
        return scope.get_current_value(queue.count)

    assert int(jax.jit(enqueue)(np.array([-2, 3]))) == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((np.ones((3, DIM + 1)),), rf"`rows` should have shape \(batch, {DIM}\). Received: rows"),
        ((np.ones((3, DIM)), [0, 1]), "`labels` should have as many rows as `rows`"),
        ((np.ones((2, DIM)), [0, 3]), "`labels` should hold .* below 3, the number of classes"),
        ((np.ones((1, DIM)), [-2]), "`labels` should hold whole class ids"),
    ],
)
def test_rows_of_another_form_are_refused_and_change_nothing(arguments, sentence):
    queue = Queue(6, DIM, 3)
    with pytest.raises(ValueError, match=sentence):
        queue.enqueue(*arguments)
    assert int(queue.count) == 0

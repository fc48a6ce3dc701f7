"""Test splits without near copies of training images."""

import collections

import numpy as np
from choose_test_images import TEST_FRACTION, choose_test
from near_copies import near_pairs

NAMES = [f"image {number}" for number in range(200)]
CLASSES = ["large"] * 100 + ["small"] * 7 + ["two"] * 2 + ["one"] + ["groups"] * 90


def test_each_class_has_about_a_fifth_and_not_the_only_item():
    in_test = choose_test(NAMES, CLASSES, [()] * 200)
    chosen = collections.Counter(
        name for name, is_test in zip(CLASSES, in_test, strict=True) if is_test
    )
    assert chosen == {"large": 20, "small": 1, "two": 1, "groups": 18}


def test_items_with_a_mark_in_common_are_together(rng):
    groups = rng.integers(0, 40, 200)
    chain = {3: "a", 60: "b"}  # of three groups, over two marks
    marks = [{int(group)} for group in groups]
    for item in np.flatnonzero(groups == 5):
        marks[item] |= set(chain.values())
    marks[3].add("a")
    marks[60].add("b")
    in_test = np.array(choose_test(NAMES, ["all"] * 200, marks))
    for group in range(40):
        assert len(set(in_test[groups == group])) == 1
    assert in_test[3] == in_test[60] == in_test[groups == 5][0]
    assert abs(in_test.mean() - TEST_FRACTION) < 0.08


def test_a_group_larger_than_a_fifth_stays_in_training_where_others_can_be_chosen():
    in_test = choose_test(NAMES[:10], ["a"] * 10, [{"group"}] * 7 + [{1}, {2}, {3}])
    assert in_test[:7] == [False] * 7
    assert sum(in_test) == 2
    assert sum(choose_test(NAMES[:10], ["a"] * 10, [{"group"}] * 10)) == 0


def test_a_class_of_test_items_alone_is_refused():
    """Both items of `b` are near copies of one of `a`, whose place decides the split."""
    names, classes, refused = NAMES[:22], ["a"] * 20 + ["b"] * 2, 0
    for copied in range(20):
        marks = [{"copies"} if item in (copied, 20, 21) else {item} for item in range(22)]
        try:
            in_test = choose_test(names, classes, marks)
        except ValueError as error:
            refused += "leave each class an item of training. Received: marks" in str(error)
        else:
            assert not any(in_test[item] for item in (copied, 20, 21))
    assert 0 < refused < 20


def test_the_split_depends_on_the_names_alone(rng):
    order = rng.permutation(200)
    again = choose_test([NAMES[i] for i in order], [CLASSES[i] for i in order], [()] * 200)
    assert [again[place] for place in np.argsort(order)] == choose_test(NAMES, CLASSES, [()] * 200)


def test_near_pairs_are_those_that_differ_by_little_of_what_is_drawn(rng):
    images = rng.integers(0, 256, (600, 8, 8, 3), "uint8")  # of two tiles
    images[550] = images[20]
    images[551] = np.clip(images[20].astype(int) + rng.integers(-8, 9, (8, 8, 3)), 0, 255)
    thin, other = np.full((2, 8, 8, 3), 255, "uint8")
    thin[2], other[3] = 250, 250  # two faint lines: near each other in pixels, yet not the same
    images[100], images[101] = thin, other
    assert sorted(near_pairs(images)) == [(20, 550), (20, 551), (550, 551)]
    blank = np.full((2, 8, 8, 3), 255, "uint8")
    assert [*near_pairs(blank)] == [(0, 1)]

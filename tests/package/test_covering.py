"""What `make test` leaves to `make test-exhaustive`, and that it leaves nothing else."""

import itertools

import pytest

from tests.covering import covering_rows, every_pair, every_value, few_rows, representatives

AXES = {
    "views": [1, 2, 3, 4],
    "summation": ["out", "in"],
    "denominator": "abc",
    "cap": [None, 0, 2],
    "run": range(4),
}


@pytest.mark.parametrize("strength", [1, 2])
def test_any_values_of_so_many_axes_meet(strength):
    rows = covering_rows(strength, AXES)
    sizes = [len(values) for values in AXES.values()]
    for axes in itertools.combinations(range(len(sizes)), strength):
        met = {tuple(row[axis] for axis in axes) for row in rows}
        assert met == set(itertools.product(*(range(sizes[axis]) for axis in axes)))
    assert len(rows) < 288 / 4
    assert rows == covering_rows(strength, AXES)


def test_few_rows_have_every_value():
    rows = covering_rows(2, AXES)
    few = few_rows(rows)
    assert few <= rows
    assert len(few) < len(rows) / 2
    assert {cell for row in few for cell in enumerate(row)} == {
        (axis, place) for axis, values in enumerate(AXES.values()) for place in range(len(values))
    }


def rows_of(decorator: pytest.MarkDecorator) -> tuple[list[tuple], list[tuple]]:
    """Returns the rows that are run by default somewhere, and the others."""
    kept, others = [], []
    for row in decorator.mark.args[1]:
        is_exhaustive = "exhaustive" in {mark.name for mark in row.marks}
        (others if is_exhaustive else kept).append(row.values)
    return kept, others


def test_the_other_rows_are_exhaustive_and_none_is_lost():
    kept, others = rows_of(every_pair(**AXES))
    assert sorted(map(repr, kept + others)) == sorted(map(repr, itertools.product(*AXES.values())))
    assert len(kept) == len(covering_rows(2, AXES))
    on_each_backend = [row for row in every_pair(**AXES).mark.args[1] if not row.marks]
    assert len(on_each_backend) == len(few_rows(covering_rows(2, AXES)))
    kept, others = rows_of(every_value(name="ab", size=[1, 2, 3]))
    assert (len(kept), len(others)) == (3, 3)


def test_values_of_short_axes_take_turns():
    kept, _ = rows_of(
        every_value(name="abcd", place=["eager", "traced"], form=["images", "dictionary"])
    )
    assert {row[1:] for row in kept} == set(
        itertools.product(["eager", "traced"], ["images", "dictionary"])
    )
    kept, _ = rows_of(every_value(views=[1, 2, 3], name=range(9)))
    assert [row[0] for row in kept].count(1) == 3


def test_what_was_wrong_once_is_always_run():
    kept, _ = rows_of(every_pair(always=lambda views, run, **_: views == 4 and run > 1, **AXES))
    assert len([row for row in kept if row[0] == 4 and row[-1] > 1]) == 2 * 3 * 3 * 2


def test_representatives_come_first_and_the_others_are_exhaustive():
    values = representatives("name", ["a"], ["b", "c"]).mark.args[1]
    assert values[0] == "a"
    assert [value.values for value in values[1:]] == [("b",), ("c",)]
    assert {mark.name for value in values[1:] for mark in value.marks} == {"exhaustive"}

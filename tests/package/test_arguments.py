"""A valid argument comes back as a plain Python value, an invalid one is named."""

import math

import numpy as np
import pytest

from keras_supcon import arguments

pytestmark = pytest.mark.neutral


@pytest.mark.parametrize(
    ("check", "good", "result"),
    [
        (arguments.check_positive, np.float32(0.5), 0.5),
        (arguments.check_not_negative, 0, 0.0),
        (arguments.check_probability, 1, 1.0),
        (arguments.check_below_1, 0, 0.0),
        (lambda name, value: arguments.check_between(name, value, 0, 2), 2, 2.0),
        (lambda name, value: arguments.check_whole_number(name, value, 2), np.int64(2), 2),
        (lambda name, value: arguments.check_whole_number_or_none(name, value, 2), None, None),
        (lambda name, value: arguments.check_choice(name, value, ("in", "out")), "in", "in"),
        (lambda name, value: arguments.check_range(name, value, 0, 1), [0.5, 1], (0.5, 1.0)),
        (lambda name, value: arguments.check_each(name, value, bool, "x"), iter([1, 2]), (1, 2)),
        (lambda name, value: arguments.check_each(name, value, bool, "x", True), [], ()),
        (lambda name, value: arguments.check_choices(name, value, "ab"), ["b", "a"], ("b", "a")),
        (arguments.check_image_size, [np.int32(3), 4], (3, 4)),
    ],
)
def test_a_good_value_comes_back_as_a_python_value(check, good, result):
    returned = check("width", good)
    assert returned == result
    assert type(returned) is type(result)


@pytest.mark.parametrize("bad", [True, None, "1", math.nan, math.inf, -1, [1], -(10**400)])
@pytest.mark.parametrize(
    ("check", "expectation"),
    [
        (arguments.check_positive, "a positive number"),
        (arguments.check_not_negative, "a number of at least 0"),
        (arguments.check_probability, "between 0 and 1"),
        (arguments.check_below_1, "at least 0 and below 1"),
        (
            lambda name, value: arguments.check_whole_number(name, value, 0),
            "a whole number of at least 0",
        ),
        (
            lambda name, value: arguments.check_range(name, (value, 1), 0),
            "two numbers above 0, lowest first",
        ),
        (
            lambda name, value: arguments.check_image_size(name, (value, 1)),
            r"\(height, width\), whole numbers of at least 1",
        ),
    ],
)
def test_a_bad_value_is_named_with_what_was_expected(check, expectation, bad):
    with pytest.raises(ValueError, match=rf"^`width` should be {expectation}. Received: width="):
        check("width", bad)


def test_the_ends_of_a_range():
    with pytest.raises(ValueError, match="below 1. Received: width=1$"):
        arguments.check_below_1("width", 1)
    with pytest.raises(ValueError, match="positive"):
        arguments.check_positive("width", 0)
    with pytest.raises(
        ValueError, match="None or a whole number of at least 1. Received: width=0$"
    ):
        arguments.check_whole_number_or_none("width", 0, 1)
    for bad in ((0, 1), (0.5, 1.5), (1, 0.5)):
        with pytest.raises(ValueError, match="above 0 and at most 1, lowest first"):
            arguments.check_range("width", bad, 0, 1)


@pytest.mark.parametrize(
    ("names", "text"),
    [((), ""), (("a",), "a"), (("a", "b"), "a; b"), (("a", "b", "c", "d"), "a; b and 2 more")],
)
def test_many_names_are_cut(names, text):
    assert arguments.name_some(names, 2, "; ") == text


@pytest.mark.parametrize(
    "bad",
    [1, "ab", b"a", {"a": 1}, None, [], ["a", 1], ["c"], ["a", "a"], np.array("a"), np.array(5)],
)
def test_what_is_no_sequence_of_choices_is_shown(bad):
    with pytest.raises(ValueError, match=r"^`names` should .*Received: names="):
        arguments.check_choices("names", bad, ("a", "b"))

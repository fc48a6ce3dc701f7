"""Covering arrays: of a product of options, the rows that `make test` runs.

A product of options grows with every option that is added to it. Faults come from one value of
an option, or from two values that meet; so `make test` runs rows in which every value, or every
pair of values, occurs, and `make test-exhaustive` runs all rows. The backend is an option too: of a
neutral test each value occurs on each of them, and the pairs meet where a row takes least.
"""

import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
from allpairspy import AllPairs


def every_value(**axes: Iterable[Any] | Mapping[str, Any]) -> pytest.MarkDecorator:
    """Parametrizes a test by rows in which each value of each axis occurs.

    Args:
        **axes: The values of each argument of the test, or a dictionary from their names.

    Returns:
        A decorator as of `pytest.mark.parametrize`; the other rows of the product have the mark
        `exhaustive`.
    """
    return _covering(1, None, axes)


def every_pair(
    always: Callable[..., bool] | None = None, **axes: Iterable[Any] | Mapping[str, Any]
) -> pytest.MarkDecorator:
    """Parametrizes a test by rows in which each two values of different axes meet.

    Args:
        always: Tells by the keys of a row, as keyword arguments, whether it is kept beside the
            covering array: combinations in which something was wrong once.
        **axes: As for `every_value`.

    Returns:
        As of `every_value`. Rows that add pairs alone, and no value, have the mark `quickest`.
    """
    return _covering(2, always, axes)


def covering_rows(strength: int, axes: Mapping[str, Iterable[Any]]) -> set[tuple[int, ...]]:
    """Returns rows of indices in which all values of each axis occur, or of any two axes meet, for
    strength 1 or 2.

    Nothing is drawn: the same axes give the same rows.
    """
    sizes = [len(list(values)) for values in axes.values()]
    if strength == 2:
        return {tuple(row) for row in AllPairs([range(size) for size in sizes])}
    # Shorter axes begin again, each the later by one place the more axes stand before it, so that
    # two of one length do not go in step.
    return {
        tuple((place + axis * (place // size)) % size for axis, size in enumerate(sizes))
        for place in range(max(sizes))
    }


def few_rows(rows: Iterable[tuple[int, ...]]) -> set[tuple[int, ...]]:
    """Returns few of the rows that together have every value of all."""
    rows, kept = sorted(rows), set()
    missing = {cell for row in rows for cell in enumerate(row)}
    while missing:
        most = max(rows, key=lambda row: len(missing.intersection(enumerate(row))))
        kept.add(most)
        missing.difference_update(enumerate(most))
    return kept


def _covering(
    strength: int, always: Callable[..., bool] | None, axes: Mapping[str, Any]
) -> pytest.MarkDecorator:
    named = {name: _named(values) for name, values in axes.items()}
    kept = covering_rows(strength, named)
    on_each_backend = few_rows(kept)
    rows = []
    for places in itertools.product(*(range(len(values)) for values in named.values())):
        cells = [values[place] for values, place in zip(named.values(), places, strict=True)]
        keys = dict(zip(named, (key for key, _ in cells), strict=True))
        if places in on_each_backend or (always is not None and always(**keys)):
            marks = []
        else:
            marks = [pytest.mark.quickest if places in kept else pytest.mark.exhaustive]
        rows.append(
            pytest.param(
                *(value for _, value in cells),
                marks=marks,
                id="-".join(map(str, keys.values())),
            )
        )
    return pytest.mark.parametrize(tuple(named), rows)


def _named(values: Iterable[Any] | Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """Returns pairs of key and value; without a dictionary a value is its own key."""
    if isinstance(values, Mapping):
        return list(values.items())
    return [(name_of(value), value) for value in values]


def name_of(value: Any) -> Any:
    """Returns the name of a function, and other values as they are: for ids of tests, which have
    to be the same in every process.
    """
    return value.__name__ if inspect.isfunction(value) else value


def representatives(
    argument: str, kept: Iterable[Any], others: Iterable[Any]
) -> pytest.MarkDecorator:
    """Parametrizes a test by one value for each path through the code; the `others` of the same
    paths are exhaustive.
    """
    rest = (pytest.param(value, marks=pytest.mark.exhaustive) for value in others)
    return pytest.mark.parametrize(argument, [*kept, *rest])

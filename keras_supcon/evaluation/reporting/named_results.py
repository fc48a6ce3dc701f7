"""Results of one protocol for several models, by their names; the name of a lone one is None."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_supcon.evaluation.results import Result


def kind_of(results: Sequence[Any]) -> type[Result]:
    """Returns the class of results of one protocol.

    Raises:
        ValueError: If there are none, of several protocols, or other things.
    """
    kinds = {type(one) for one in results}
    if len(kinds) != 1 or not issubclass(*kinds, Result):
        names = sorted(kind.__name__ for kind in kinds)
        raise ValueError(
            "`result` should be what a protocol returned, or a dictionary of results of one "
            f"protocol. Received: {', '.join(names) or 'an empty dictionary'}"
        )
    return kinds.pop()


def rows_of(named: Mapping[Any, Result]) -> list[dict[str, str]]:
    """Returns the rows of all results, after the name of each; a dash in columns that one lacks."""
    tables = {name: one.rows() for name, one in named.items()}
    columns = list(
        dict.fromkeys(column for rows in tables.values() for row in rows for column in row)
    )
    first = "model" if "model" not in columns else "name of the model"
    return [
        {
            **({} if name is None else {first: str(name)}),
            **{column: row.get(column, "-") for column in columns},
        }
        for name, rows in tables.items()
        for row in rows
    ]


def with_name(name: Any, text: str) -> str:
    """Returns a text after the name of what it is about, if that has one."""
    return text if name is None else f"{name}: {text}" if text else str(name)

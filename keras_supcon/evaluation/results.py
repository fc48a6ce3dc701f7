"""What a protocol measured: a table, a picture and JSON, with the protocol written in."""

from __future__ import annotations

import abc
import dataclasses
import datetime
import importlib.metadata
import json
import math
import platform
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import keras
import numpy as np

from keras_supcon.version import __version__

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def versions() -> dict[str, str]:
    """Returns the versions of what computed a result, from the name of a package to its version.

    Example:

    >>> from keras_supcon.evaluation.results import versions
    >>> list(versions())[:3]
    ['keras_supcon', 'keras', 'backend']
    """
    found = {"keras_supcon": __version__, "keras": keras.__version__}
    backend = keras.backend.backend()
    module = importlib.import_module(backend)
    found["backend"] = f"{backend} {module.__version__}"
    found["numpy"] = np.__version__
    for package in ("scipy", "scikit-learn"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {**found, "python": platform.python_version()}


def describe(protocol: str, **choices: Any) -> dict[str, Any]:
    """Returns the description of a protocol: its name, sizes, choices, seeds, date and versions.

    Args:
        protocol: Name of the protocol.
        **choices: Sizes, choices and seeds, fit for JSON.
    """
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return {"protocol": protocol, **choices, "date": date, "versions": versions()}


ARRAY = {"is_array": True}
"""Marks the field of an array of images: neither in JSON nor printed."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Result(abc.ABC):
    """Base of what protocols return.

    `print(result)` prints the table, `result.plot()` draws the result as a
    `matplotlib.figure.Figure`, `result.to_json()` is its numbers with the protocol, and
    `Report.add(result)` adds all of it to a report. `Report.add({"SupCon": one, "other": other})`
    compares several, in one figure where `plot_together` draws one.

    Args:
        protocol: Name, sizes, choices, seeds, date and versions.
    """

    protocol: Mapping[str, Any]

    title: ClassVar[str] = ""
    """Heading of the result in a report."""
    caption: ClassVar[str] = ""
    """What the picture shows."""
    caption_together: ClassVar[str] = ""
    """What the picture of several results shows; empty if that is the same."""

    @abc.abstractmethod
    def rows(self) -> list[dict[str, str]]:
        """Returns the table: its rows, each from the name of a column to a text."""

    @abc.abstractmethod
    def plot(self, narrow: bool = False) -> Figure:
        """Draws the result; `narrow` is for the screen of a phone."""

    @classmethod
    def plot_together(cls, results: Mapping[str, Any], narrow: bool = False) -> Figure | None:
        """Draws several results in one figure, by the names of their models; None if it cannot."""
        return None

    def image_scores(self) -> np.ndarray | None:
        """Returns a score of each image `(n,)`, in the order of the images; None if it has none."""
        return None

    def to_dict(self) -> dict[str, Any]:
        """Returns the numbers and the protocol, fit for JSON; without arrays of single images."""
        fields = dataclasses.fields(self)
        names = [field.name for field in fields if "is_array" not in field.metadata]
        return {name: _plain(getattr(self, name)) for name in names}

    def to_json(self) -> str:
        """Returns the numbers and the protocol as JSON; a number that is not finite is null."""
        return as_json(self.to_dict())

    def __str__(self) -> str:
        return as_text(self.rows())


def as_json(content: Mapping[str, Any]) -> str:
    """Returns content as JSON; a number that is not finite is null, other things are strings."""
    text = json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False)
    return text.encode(errors="backslashreplace").decode()  # half characters cannot be stored


def as_text(rows: Sequence[Mapping[str, str]]) -> str:
    """Returns a table as text, its columns separated by two spaces; numbers to the right.

    Example:

    >>> from keras_supcon.evaluation.results import as_text
    >>> print(as_text([{"name": "accuracy", "value": "98.3%"}, {"name": "k", "value": "20"}]))
    name      value
    accuracy  98.3%
    k            20
    """
    if not rows:
        return ""
    columns = list(rows[0])
    lines = [columns, *([str(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def percent(share: float, digits: int = 2) -> str:
    """Returns a share as text in percent, such as `98.31%`; a dash where there is none."""
    return f"{share:.{digits}%}" if math.isfinite(share) else "-"


def percent_with_interval(share: float, interval: Sequence[float]) -> str:
    """Returns a share and its interval as text, such as `98.31% (97.40% to 99.02%)`."""
    return f"{percent(share)} ({percent(interval[0])} to {percent(interval[1])})"


def _plain(value: Any) -> Any:
    """Converts a value to what JSON has."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        if isinstance(value, Result):
            return value.to_dict()
        fields = dataclasses.fields(value)
        names = [field.name for field in fields if "is_array" not in field.metadata]
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)

"""The parts of a report, which each of its forms renders.

`to_dict` of a part is what it says, without pictures, with its kind.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


@dataclasses.dataclass(frozen=True)
class Heading:
    """A heading.

    Args:
        text: Its text.
        anchor: Name that a link to it uses, of letters a to z, digits and underscores.
    """

    kind: ClassVar[str] = "heading"
    text: str
    anchor: str

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "text": self.text}


@dataclasses.dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "text": self.text}


@dataclasses.dataclass(frozen=True)
class Table:
    """A table with at least one row.

    Args:
        rows: Rows, each from the name of a column to a text; all with the same columns.
        caption: A sentence above it; may be empty.
    """

    kind: ClassVar[str] = "table"
    rows: Sequence[Mapping[str, str]]
    caption: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "caption": self.caption, "rows": self.rows}


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure.

    Args:
        name: Name of its file without the ending, of letters a to z, digits and underscores.
        caption: What it shows; may be empty.
        wide: PNG for a wide screen.
        narrow: PNG for a phone.
        key: From a text in the figure to the name that it stands for.
    """

    kind: ClassVar[str] = "figure"
    name: str
    caption: str
    wide: bytes = dataclasses.field(repr=False)
    narrow: bytes = dataclasses.field(repr=False)
    key: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def file(self) -> str:
        """Returns the path of its file in the folder of the report."""
        return f"figures/{self.name}.png"

    def to_dict(self) -> dict[str, Any]:
        names = {"names": self.key} if self.key else {}
        return {"kind": self.kind, "caption": self.caption, "file": self.file, **names}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Names and their values."""

    kind: ClassVar[str] = "settings"
    values: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "values": self.values}


Block = Heading | Paragraph | Table | Picture | Settings


@dataclasses.dataclass(frozen=True)
class Content:
    """All that a report shows.

    Args:
        title: Its title.
        date: When it was made.
        versions: From the name of a package to its version.
        blocks: Its parts, in their order.
        protocols: Name and protocol of each result.
    """

    title: str
    date: str
    versions: Mapping[str, str]
    blocks: Sequence[Block]
    protocols: Sequence[tuple[str, Mapping[str, Any]]]

    @property
    def made(self) -> str:
        """Returns the date and the versions as a sentence."""
        of = self.versions
        return (
            f"Made on {self.date} with keras_supcon {of['keras_supcon']}, Keras {of['keras']} on "
            f"{of['backend']}, NumPy {of['numpy']} and Python {of['python']}."
        )

    @property
    def pictures(self) -> list[Picture]:
        return [block for block in self.blocks if isinstance(block, Picture)]

    @property
    def headings(self) -> list[Heading]:
        return [block for block in self.blocks if isinstance(block, Heading)]


def as_pairs(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns the names and values of a protocol as texts.

    Example:

    >>> from keras_supcon.evaluation.reporting.blocks import as_pairs
    >>> as_pairs({"num_neighbors": 200, "seeds": [0, 1], "versions": {"keras": "3.15"}})
    [('num neighbors', '200'), ('seeds', '0, 1'), ('versions', 'keras 3.15')]
    """
    return [(str(name).replace("_", " "), _text(value)) for name, value in values.items()]


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)

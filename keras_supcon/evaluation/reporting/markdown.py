"""A report as Markdown, with the tables of GitHub."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from keras_supcon.evaluation.reporting.blocks import Content, Picture, as_pairs
from keras_supcon.evaluation.reporting.names import visible

# An underscore within a word means nothing.
_SPECIAL = re.compile(r"[\\`*\[\]<>|~&$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
# What begins a heading, a list or a rule at the beginning of a line.
_BEGINS_BLOCK = re.compile(r"^(?:(\d+)(?=[.)](?: |$))|(?=[#=]|--|[+-](?: |$)))")


def render_markdown(content: Content) -> str:
    """Returns a report as Markdown; its pictures are files beside it.

    Args:
        content: What it shows; texts are shown verbatim.
    """
    return "\n\n".join(_parts(content)) + "\n"


def escape(text: Any) -> str:
    """Returns one line of Markdown that shows a text verbatim.

    Example:

    >>> from keras_supcon.evaluation.reporting.markdown import escape
    >>> print(escape("1. *top_1* | <b>"))
    1\\. \\*top_1\\* \\| \\<b\\>
    """
    line = " ".join(visible(text).split())
    line = _SPECIAL.sub(lambda found: f"\\{found[0]}", line)
    return _BEGINS_BLOCK.sub(r"\1\\", line)


def _parts(content: Content) -> Iterator[str]:
    yield f"# {escape(content.title)}"
    yield escape(content.made)
    for block in content.blocks:
        match block.kind:
            case "heading":
                yield f"## {escape(block.text)}"
            case "text":
                yield escape(block.text)
            case "table":
                if block.caption:
                    yield escape(block.caption)
                yield _table(block.rows)
            case "figure":
                yield from _picture(block)
            case "settings":
                yield _list([(str(name), str(value)) for name, value in block.values.items()])
    if content.protocols:
        yield "## Protocols"
    for name, protocol in content.protocols:
        yield f"### {escape(name)}"
        yield _list(as_pairs(protocol))


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    columns = list(rows[0])
    header = [escape(column) for column in columns]
    lines = [[escape(row[column]) for column in columns] for row in rows]
    alignment = [":--", *["--:"] * (len(columns) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, alignment, *lines))


def _picture(picture: Picture) -> Iterator[str]:
    caption = escape(picture.caption)
    yield f"![{caption or picture.name}]({picture.file})"
    if caption:
        yield caption
    if picture.key:
        entries = (f"{escape(text)}: {escape(name)}" for text, name in picture.key.items())
        yield f"Names in the picture: {'; '.join(entries)}"


def _list(pairs: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"- {escape(name)}: {escape(value)}" for name, value in pairs)

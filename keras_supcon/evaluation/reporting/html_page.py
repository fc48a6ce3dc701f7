"""A report as a single HTML page."""

from __future__ import annotations

import base64
import pathlib
from collections.abc import Mapping, Sequence

from keras_supcon.evaluation.reporting.blocks import Content, as_pairs
from keras_supcon.evaluation.reporting.names import visible

_TEMPLATE = "report.html.j2"
# Fewer headings are seen at a glance.
_FEWEST_HEADINGS_OF_CONTENTS = 4
# A column with a longer cell has texts, which are set in several lines and to the left.
_LONGEST_NUMBER = 40


def render_html(content: Content) -> str:
    """Returns a page that loads nothing: its pictures and its style are inside.

    Args:
        content: What it shows; texts are shown verbatim.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "visible": visible,
        "data_uri": _data_uri,
        "pairs": as_pairs,
        "text_columns": _text_columns,
    }
    headings = content.headings
    return environment.get_template(_TEMPLATE).render(
        content=content,
        listed=headings if len(headings) >= _FEWEST_HEADINGS_OF_CONTENTS else [],
    )


def _text_columns(rows: Sequence[Mapping[str, str]]) -> set[str]:
    """Returns the columns of texts, which are too long for one line."""
    return {name for row in rows for name, text in row.items() if len(text) > _LONGEST_NUMBER}


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"

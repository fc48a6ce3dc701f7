"""A report as a single HTML page, with Markdown and JSON beside it."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from keras_supcon.evaluation.reporting.blocks import (
    Block,
    Content,
    Heading,
    Paragraph,
    Picture,
    Settings,
    Table,
)
from keras_supcon.evaluation.reporting.html_page import render_html
from keras_supcon.evaluation.reporting.markdown import render_markdown
from keras_supcon.evaluation.reporting.named_results import kind_of, rows_of, with_name
from keras_supcon.evaluation.reporting.names import safe_name
from keras_supcon.evaluation.reporting.png import as_pngs
from keras_supcon.evaluation.results import Result, as_json, versions
from keras_supcon.extras import require_extra
from keras_supcon.files import make_writable, whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HTML, MARKDOWN, JSON = "report.html", "report.md", "report.json"


class Report:
    """Collects texts, tables, figures and results, and writes them as one page.

    The page is a single file that loads nothing from elsewhere. It can be read on a phone, where
    wide tables scroll, and on a dark screen. It states its date and the versions of this package,
    Keras, the backend, NumPy and Python, and ends with the protocol of each result. Beside it are
    the same report as Markdown with its pictures, and all but the pictures as JSON.

    Texts are shown verbatim: nothing in them is parsed as HTML, TeX or Markdown. A blank line in a
    text begins a new paragraph.

    Args:
        title: Heading of the page.

    Raises:
        ValueError: If the title is blank.
        ImportError: If Jinja or matplotlib is missing (`pip install keras-supcon[report]`).

    Example:

    >>> import pathlib
    >>> import tempfile
    >>> import keras_supcon
    >>> report = keras_supcon.evaluation.Report("Digits").add_text("Two encoders.")
    >>> report = report.add_table([{"encoder": "SupCon", "accuracy": "98.3%"}])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = report.write(folder)
    ...     print(sorted(file.name for file in pathlib.Path(folder).iterdir()))
    ['report.html', 'report.json', 'report.md']
    """

    def __init__(self, title: str) -> None:
        require_extra("report", "jinja2", "matplotlib", by="`Report`")
        _check_not_blank("title", title)
        self.title = title
        self._blocks: list[Block] = []
        self._results: list[tuple[str, Result]] = []
        self._anchors: set[str] = set()
        self._file_names: set[str] = set()

    def add_heading(self, heading: str) -> Report:
        """Adds a heading.

        Args:
            heading: Its text.

        Returns:
            This report.

        Raises:
            ValueError: If the heading is blank.
        """
        _check_not_blank("heading", heading)
        self._blocks.append(Heading(heading, safe_name(heading, "section", self._anchors)))
        return self

    def add_text(self, text: str, heading: str | None = None) -> Report:
        """Adds paragraphs.

        Args:
            text: Paragraphs, separated by blank lines; none if it is blank.
            heading: A heading above them.

        Returns:
            This report.

        Raises:
            ValueError: If the text is none, or the heading is blank.
        """
        if not isinstance(text, str):
            raise ValueError(f"`text` should be a text. Received: text={text!r}")
        self._add_heading(heading)
        paragraphs = re.split(r"\n\s*\n", text)
        self._blocks += [Paragraph(one.strip()) for one in paragraphs if one.strip()]
        return self

    def add_table(
        self,
        rows: Sequence[Mapping[str, Any]],
        heading: str | None = None,
        caption: str | None = None,
    ) -> Report:
        """Adds a table. Its first column is aligned to the left, the others to the right.

        Args:
            rows: Rows, each from the name of a column to its text; all with the same columns.
            heading: A heading above it.
            caption: A sentence above it.

        Returns:
            This report.

        Raises:
            ValueError: If there are no rows or no columns, rows have different columns, or the
                heading is blank.
        """
        check_table("rows", rows)
        self._add_heading(heading)
        texts = [{str(column): str(text) for column, text in row.items()} for row in rows]
        self._blocks.append(Table(texts, str(caption or "")))
        return self

    def add_figure(
        self,
        figure: Figure | Callable[[bool], Figure] | bytes,
        caption: str,
        name: str | None = None,
        key: Mapping[str, str] | None = None,
    ) -> Report:
        """Adds a figure, which is drawn at once.

        Args:
            figure: A `matplotlib.figure.Figure`; the bytes of a PNG file; or a function that draws
                a figure for a phone if its only argument is True, and for a wide screen otherwise.
            caption: What the figure shows.
            name: Name of its file, without the ending; None takes the beginning of the caption.
            key: From a text in the figure to the name that it stands for, which the page explains.
                Charts of this package bring theirs: names that are too long or that no font draws.

        Returns:
            This report.

        Raises:
            ValueError: If the figure is none of these.
        """
        self._blocks.append(self._draw(figure, caption, name, key))
        return self

    def add_settings(self, settings: Mapping[str, Any], heading: str | None = "Settings") -> Report:
        """Adds names and their values.

        Args:
            settings: From a name to its value.
            heading: A heading above them.

        Returns:
            This report.

        Raises:
            ValueError: If there are no settings, or the heading is blank.
        """
        if not (isinstance(settings, Mapping) and settings):
            raise ValueError(
                "`settings` should be a dictionary with at least one setting. Received: "
                f"settings={settings!r}"
            )
        self._add_heading(heading)
        self._blocks.append(Settings(dict(settings)))
        return self

    def add(self, result: Result | Mapping[str, Result], heading: str | None = None) -> Report:
        """Adds what a protocol returned: its table, its figure, and its protocol at the end.

        Args:
            result: A result; or results of one protocol, by the names of their models, which share
                a table, and a figure where `Result.plot_together` draws one.
            heading: Heading above it; None takes that of the result.

        Returns:
            This report.

        Raises:
            ValueError: If it is no result, or results are of different protocols.
        """
        named = result if isinstance(result, Mapping) else {None: result}
        kind = kind_of(list(named.values()))
        heading = heading or kind.title or kind.__name__
        pictures = self._draw_results(named, kind, heading)
        self.add_table(rows_of(named), heading)
        self._blocks += pictures
        for name, one in named.items():
            self._results.append((with_name(name, heading), one))
        return self

    def write(self, output_dir: str | os.PathLike[str]) -> pathlib.Path:
        """Writes report.html, report.md, report.json and the figures as figures/*.png.

        An earlier report in the folder is replaced, figures included, as is any other file of one
        of these names. Other files there stay.

        Args:
            output_dir: Folder to write to, created if missing.

        Returns:
            The path of report.html, which is written last.

        Raises:
            OSError: If the folder cannot be written to.
        """
        folder = pathlib.Path(output_dir)
        content = self._content()
        pictures = {picture.file: picture.wide for picture in content.pictures}
        markdown, page = render_markdown(content).encode(), render_html(content).encode()
        numbers = f"{as_json(self._as_dict(content))}\n".encode()
        make_writable(folder / "figures" if pictures else folder)
        earlier = _pictures_of(folder / JSON)
        for name, data in {**pictures, MARKDOWN: markdown}.items():
            _write(folder / name, data)
        # Only once nothing refers to them, and while the earlier report.json still names them.
        for name in earlier - pictures.keys():
            (folder / name).unlink(missing_ok=True)
        _write(folder / JSON, numbers)
        return _write(folder / HTML, page)

    def to_html(self) -> str:
        """Returns the page, with its pictures inside."""
        return render_html(self._content())

    def to_markdown(self) -> str:
        """Returns the report as Markdown; its figures are the files that `write` writes."""
        return render_markdown(self._content())

    def to_dict(self) -> dict[str, Any]:
        """Returns everything but the pictures, fit for JSON; a number that is not finite is None.

        Returns:
            A dictionary with `title`, `date`, `versions`, `blocks`, which are the parts of the
            page, and `results`, which are the numbers and the protocol of each result.
        """
        return json.loads(as_json(self._as_dict(self._content())))

    def _add_heading(self, heading: str | None) -> None:
        if heading is not None:
            self.add_heading(heading)

    def _draw(
        self, figure: Any, caption: str, name: str | None, key: Mapping[str, str] | None = None
    ) -> Picture:
        wide, narrow, names = as_pngs(figure)
        caption = str(caption or "")
        name = name or " ".join(caption.split()[:4])
        name = safe_name(str(name), "figure", self._file_names)
        return Picture(name, caption, wide, narrow, {**names, **(key or {})})

    def _draw_results(
        self, named: Mapping[Any, Result], kind: type[Result], heading: str
    ) -> list[Picture]:
        """Draws several results in one figure where their kind does so, else one for each."""
        if len(named) > 1:
            texts = {str(name): one for name, one in named.items()}
            together = {narrow: kind.plot_together(texts, narrow) for narrow in (False, True)}
            if together[False] is not None:
                caption = kind.caption_together or kind.caption
                return [self._draw(together.__getitem__, caption, heading)]
        return [
            self._draw(one.plot, with_name(name, one.caption), with_name(name, heading))
            for name, one in named.items()
        ]

    def _content(self) -> Content:
        date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
        protocols = [(name, result.protocol) for name, result in self._results]
        return Content(self.title, date, versions(), tuple(self._blocks), protocols)

    def _as_dict(self, content: Content) -> dict[str, Any]:
        return {
            "title": content.title,
            "date": content.date,
            "versions": content.versions,
            "blocks": [block.to_dict() for block in content.blocks],
            "results": [{"name": name, **result.to_dict()} for name, result in self._results],
        }


def check_table(name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Checks that a table has rows and columns, and the same columns in all rows.

    Args:
        name: Name of the argument, for the message.
        rows: Rows, each from the name of a column to a text.

    Raises:
        ValueError: If not.
    """
    is_sequence = isinstance(rows, Sequence) and len(rows) > 0
    if not (is_sequence and all(isinstance(row, Mapping) and row for row in rows)):
        raise ValueError(
            f"`{name}` should have at least one row, each a dictionary from column to text. "
            f"Received: {name}={rows!r}"
        )
    for row in rows:
        if list(row) != list(rows[0]):
            raise ValueError(
                f"`{name}` should have the same columns in all rows. Received: {list(rows[0])} and "
                f"{list(row)}"
            )


def _check_not_blank(name: str, text: Any) -> None:
    if not (isinstance(text, str) and text.strip()):
        raise ValueError(f"`{name}` should be a text that is not blank. Received: {name}={text!r}")


def _write(path: pathlib.Path, content: bytes) -> pathlib.Path:
    with whole_file(path) as unfinished:
        unfinished.write_bytes(content)
    return path


def _pictures_of(report: pathlib.Path) -> set[str]:
    """Returns the picture files that an earlier report.json names, as paths in its folder."""
    try:
        blocks = json.loads(report.read_text(encoding="utf-8"))["blocks"]
        files = {str(block["file"]) for block in blocks if block["kind"] == Picture.kind}
    except (OSError, ValueError, KeyError, TypeError):  # none, or not of this class
        return set()
    return {file for file in files if re.fullmatch(r"figures/[a-z0-9_]+\.png", file)}

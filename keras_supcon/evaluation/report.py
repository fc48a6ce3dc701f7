"""A report of one experiment as a single HTML page."""

from __future__ import annotations

import base64
import datetime
import html
import importlib
import io
import os
import pathlib
import platform
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_supcon.evaluation import figures
from keras_supcon.evaluation.names import draw_names, visible
from keras_supcon.extras import require_extra
from keras_supcon.files import make_writable, whole_file
from keras_supcon.version import __version__

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# On a narrow screen each row of the result table becomes a block, in which every cell names its
# column.
_NARROW = "(max-width: 40rem)"
_STYLE = """
:root { color-scheme: light dark; --ink: #222; --soft: #555; --line: #ddd; --ground: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --soft: #b0b0b0; --line: #444; --ground: #181818; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; }
h2 { font-size: 1.2rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: 0.3rem 0.9rem; border-bottom: 1px solid var(--line); text-align: right; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child, .settings td, .settings th { text-align: left; vertical-align: top; }
.settings th { font-weight: normal; color: var(--soft); padding-left: 0; }
figure { margin: 2rem 0; }
img { display: block; max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
figcaption, .made, .names { color: var(--soft); }
@media NARROW {
  body { margin: 1rem auto; }
  .results, .results tbody, .results tr, .results td { display: block; width: 100%; }
  .results thead { display: none; }
  .results tr { margin-bottom: 1rem; border-bottom: 1px solid var(--line); }
  .results td { border: 0; padding: 0.15rem 0; text-align: left; }
  .results td:first-child { font-weight: bold; }
  .results td:not(:first-child)::before { content: attr(data-column) ": "; color: var(--soft); }
  .settings th, .settings td { padding: 0.2rem 0.6rem 0.2rem 0; }
}
""".replace("NARROW", _NARROW)


def write_report(
    output_dir: str | os.PathLike[str],
    *,
    title: str,
    table: Sequence[Mapping[str, str]],
    histories: Mapping[str, Mapping[str, Sequence[float]]],
    embeddings: np.ndarray,
    labels: np.ndarray,
    predictions: np.ndarray,
    class_names: Sequence[str],
    images: np.ndarray,
    views: np.ndarray,
    seed: int = 0,
    settings: Mapping[str, object] | None = None,
    note: str = "",
) -> pathlib.Path:
    """Writes `report.html`, which carries its pictures inside, and the pictures as `figures/*.png`.

    The page can be read on a telephone and on a dark screen. It names its date and the versions of
    this package, Keras, the backend, NumPy and Python.

    Names of classes and stages are shown as they are: no name is taken for TeX, and none for HTML.
    In the pictures a long name is shortened, and one that no installed font can draw is a number;
    the page says what they stand for.

    Args:
        output_dir: Folder to write to; it is made if it is missing.
        title: Heading of the page.
        table: Rows of the result table, each from column name to text, all with the same columns.
        histories: From the name of a training stage to its `keras.callbacks.History.history`.
        embeddings: Test embeddings `(n, features)`; at most 2,000 of them are drawn.
        labels: Test class ids `(n,)`.
        predictions: Predicted class ids `(n,)`.
        class_names: Names of the classes.
        images: A few images `(k, height, width, channels)`, in 0..255 or in [0, 1].
        views: Augmented views of them `(k, num_views, height, width, channels)`, in 0..255 or in
            [0, 1].
        seed: Fixes the map of the embeddings.
        settings: What the experiment was run with, from name to value, its seed included.
        note: What a reader of the table should know, a paragraph under it.

    Returns:
        The path of `report.html`.

    Raises:
        ValueError: If arrays differ in length or have another shape, a class has no name, the
            embeddings are not finite, or the table is empty or has rows with different columns.
        OSError: If `output_dir` cannot be written to; it is looked at first.
        ImportError: If matplotlib or scikit-learn is missing (`pip install keras-supcon[report]`).
    """
    require_extra("report", "matplotlib", "sklearn", by="`write_report`")
    embeddings, labels, predictions = map(np.asarray, (embeddings, labels, predictions))
    images, views = map(np.asarray, (images, views))
    _check_table(table)
    _check_arrays(embeddings, labels, predictions, len(class_names))
    _check_pictures(images, views)
    if not histories:
        raise ValueError("`histories` should have at least one stage. Received: histories={}")
    output_dir = pathlib.Path(output_dir)
    make_writable(output_dir / "figures")
    points, point_labels = figures.place_embeddings(embeddings, labels, seed)
    # From the name of a picture to what draws it, narrow or not, and its caption.
    pictures = {
        "curves": (
            lambda narrow: figures.draw_curves(histories, narrow),
            "Loss and accuracy of every stage, by epoch.",
        ),
        "embedding_map": (
            lambda narrow: figures.draw_embedding_map(points, point_labels, class_names, narrow),
            "The encoder's features of test images, brought to two dimensions by t-SNE. Each dot "
            "is an image that "
            "training never saw; its colour is its true class.",
        ),
        "confusion": (
            lambda narrow: figures.draw_confusion(labels, predictions, class_names, narrow),
            "Test images by true class (row) and predicted class (column), in percent of the row.",
        ),
        "views": (
            lambda narrow: figures.draw_views(images, views, narrow),
            "Images (left) and augmented views of them, as training saw them.",
        ),
    }
    encoded = {name: (_png(draw(False)), _png(draw(True))) for name, (draw, _) in pictures.items()}

    for name, (png, _) in encoded.items():
        _write(output_dir / "figures" / f"{name}.png", png)
    # From the name of a picture to what its texts stand for.
    keys = {"curves": draw_names(list(histories)).key}
    if len(class_names) <= figures.MOST_NAMED_CLASSES:
        keys["confusion"] = draw_names(class_names).key
    body = [
        f"<h1>{_escape(title)}</h1>",
        f'<p class="made">{_escape(_made())}</p>',
        _html_table(table),
    ]
    body += [f"<p>{_escape(note)}</p>"] if note else []
    for name, (_, caption) in pictures.items():
        body += [_html_figure(name, *encoded[name], caption), *_html_key(keys.get(name, {}))]
    body += ["<h2>Settings</h2>", _html_settings(settings)] if settings else []
    page = (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{_escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n" + "\n".join(body) + "\n</body>\n</html>\n"
    )
    return _write(output_dir / "report.html", page.encode())


def _made() -> str:
    """Date and versions."""
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    backend = keras.backend.backend()
    version_of_backend = importlib.import_module(backend).__version__
    return (
        f"Made on {date} with keras_supcon {__version__}, Keras {keras.__version__} on {backend} "
        f"{version_of_backend}, "
        f"NumPy {np.__version__} and Python {platform.python_version()}."
    )


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _write(path: pathlib.Path, content: bytes) -> pathlib.Path:
    with whole_file(path) as unfinished:
        unfinished.write_bytes(content)
    return path


def _check_table(table: Sequence[Mapping[str, str]]) -> None:
    if not table:
        raise ValueError("`table` should have at least one row. Received: table=[]")
    for row in table:
        if list(row) != list(table[0]):
            raise ValueError(
                f"`table` should have the same columns in all rows. Received: {list(table[0])} "
                f"and {list(row)}"
            )


def _check_arrays(
    embeddings: np.ndarray, labels: np.ndarray, predictions: np.ndarray, num_classes: int
) -> None:
    if not len(embeddings) == len(labels) == len(predictions):
        raise ValueError(
            "`embeddings`, `labels` and `predictions` should have the same length. "
            f"Received: {len(embeddings)}, {len(labels)} and {len(predictions)}"
        )
    if embeddings.ndim != 2 or not len(embeddings):
        raise ValueError(
            "`embeddings` should be (n, features), n at least 1. Received: embeddings of shape "
            f"{embeddings.shape}"
        )
    if not np.isfinite(embeddings).all():
        bad = (~np.isfinite(embeddings).all(axis=1)).sum()
        raise ValueError(
            f"`embeddings` should be finite. Received: {bad} of {len(embeddings)} rows with NaN "
            "or infinity"
        )
    for name, ids in (("labels", labels), ("predictions", predictions)):
        if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
            raise ValueError(
                f"`{name}` should be whole numbers (n,). Received: shape {ids.shape} and dtype "
                f"{ids.dtype}"
            )
        if ids.min() < 0 or ids.max() >= num_classes:
            wrong = ids.min() if ids.min() < 0 else ids.max()
            raise ValueError(
                f"`{name}` should be from 0 to {num_classes - 1}, since `class_names` has "
                f"{num_classes} names. "
                f"Received: {name} with {wrong}"
            )


def _check_pictures(images: np.ndarray, views: np.ndarray) -> None:
    is_right = images.ndim == 4 and views.ndim == 5 and len(images) == len(views) > 0
    if not (is_right and images.shape[-1] in (1, 3, 4) and views.shape[-1] in (1, 3, 4)):
        raise ValueError(
            "`images` should be (k, height, width, channels) and `views` (k, num_views, height, "
            "width, channels), with 1, 3 or "
            f"4 channels. Received: shapes {images.shape} and {views.shape}"
        )


def _escape(text: object) -> str:
    return html.escape(visible(text))


def _html_key(key: Mapping[str, str]) -> list[str]:
    """What the texts of a picture stand for, where they are not the names themselves."""
    entries = (
        f"{_escape(text)}: <bdi>{_escape(name) or '(a blank)'}</bdi>" for text, name in key.items()
    )
    return [f'<p class="names">Names in the pictures: {"; ".join(entries)}</p>'] if key else []


def _html_table(table: Sequence[Mapping[str, str]]) -> str:
    head = "".join(f"<th>{_escape(column)}</th>" for column in table[0])
    rows = (
        "".join(
            f'<td data-column="{_escape(column)}">{_escape(text)}</td>'
            for column, text in row.items()
        )
        for row in table
    )
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return f'<table class="results">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>'


def _html_settings(settings: Mapping[str, object]) -> str:
    rows = (
        f"<tr><th>{_escape(name)}</th><td>{_escape(value)}</td></tr>"
        for name, value in settings.items()
    )
    return '<table class="settings">\n' + "\n".join(rows) + "\n</table>"


def _html_figure(name: str, png: bytes, narrow_png: bytes, caption: str) -> str:
    source, narrow_source = (
        f"data:image/png;base64,{base64.b64encode(data).decode()}" for data in (png, narrow_png)
    )
    caption = _escape(caption)
    return (
        f'<figure id="{name}"><picture><source media="{_NARROW}" srcset="{narrow_source}">'
        f'<img src="{source}" alt="{caption}"></picture><figcaption>{caption}</figcaption></figure>'
    )

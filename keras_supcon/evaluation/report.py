"""A report of one experiment as a single HTML page."""

from __future__ import annotations

import base64
import html
import io
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_supcon.evaluation import figures
from keras_supcon.extras import require_extra

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: 0.3rem 0.9rem; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 2rem 0; }
img { max-width: 100%; height: auto; }
figcaption { color: #555; }
"""


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
) -> pathlib.Path:
    """Writes `report.html`, which carries its pictures inside, and the pictures as `figures/*.png`.

    Args:
        output_dir: Folder to write to; it is made if it is missing.
        title: Heading of the page.
        table: Rows of the result table, each from column name to text, all with the same columns.
        histories: From the name of a training stage to its `keras.callbacks.History.history`.
        embeddings: Test embeddings `(n, features)`; at most 2,000 of them are drawn.
        labels: Test class ids `(n,)`.
        predictions: Predicted class ids `(n,)`.
        class_names: Names of the classes.
        images: A few images `(k, height, width, channels)` in 0..255.
        views: Augmented views of them `(k, num_views, height, width, channels)` in [0, 1].
        seed: Fixes the map of the embeddings.

    Returns:
        The path of `report.html`.

    Raises:
        ValueError: If arrays differ in length, or the table is empty.
        ImportError: If matplotlib or scikit-learn is missing (`pip install keras-supcon[report]`).
    """
    require_extra("report", "matplotlib", "sklearn", by="`write_report`")
    if not table:
        raise ValueError("`table` should have at least one row. Received: table=[]")
    if not len(embeddings) == len(labels) == len(predictions):
        raise ValueError(
            "`embeddings`, `labels` and `predictions` should have the same length. "
            f"Received: {len(embeddings)}, {len(labels)} and {len(predictions)}"
        )
    pictures = {
        "curves": (figures.draw_curves(histories), "Loss and accuracy of every stage, by epoch."),
        "embedding_map": (
            figures.draw_embedding_map(embeddings, labels, class_names, seed),
            "The encoder's features of test images, brought to two dimensions by t-SNE. Each dot is an image that "
            "training never saw; its colour is its true class.",
        ),
        "confusion": (
            figures.draw_confusion(labels, predictions, class_names),
            "Test images by true class (row) and predicted class (column), in percent of the row.",
        ),
        "views": (figures.draw_views(images, views), "Images (left) and augmented views of them, as training saw them."),
    }
    encoded = {name: _png(figure) for name, (figure, _) in pictures.items()}

    output_dir = pathlib.Path(output_dir)
    (output_dir / "figures").mkdir(parents=True, exist_ok=True)
    for name, png in encoded.items():
        _write(output_dir / "figures" / f"{name}.png", png)
    body = [f"<h1>{html.escape(title)}</h1>", _html_table(table)]
    body += [_html_figure(name, encoded[name], caption) for name, (_, caption) in pictures.items()]
    page = (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n" + "\n".join(body) + "\n</body>\n</html>\n"
    )
    return _write(output_dir / "report.html", page.encode())


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _write(path: pathlib.Path, content: bytes) -> pathlib.Path:
    """Writes a file whole or not at all."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)
    return path


def _html_table(table: Sequence[Mapping[str, str]]) -> str:
    head = "".join(f"<th>{html.escape(column)}</th>" for column in table[0])
    rows = ("".join(f"<td>{html.escape(text)}</td>" for text in row.values()) for row in table)
    return f"<table>\n<tr>{head}</tr>\n" + "\n".join(f"<tr>{row}</tr>" for row in rows) + "\n</table>"


def _html_figure(name: str, png: bytes, caption: str) -> str:
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    caption = html.escape(caption)
    return f'<figure id="{name}"><img src="{source}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'

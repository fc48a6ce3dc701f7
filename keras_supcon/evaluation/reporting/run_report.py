"""The report of one experiment."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from keras_supcon.evaluation.reporting import figures
from keras_supcon.evaluation.reporting.names import draw_names
from keras_supcon.evaluation.reporting.report import Report, check_table
from keras_supcon.extras import require_extra
from keras_supcon.files import make_writable


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
    """Writes the report of one experiment: table, curves, map of embeddings, confusion, views.

    It is a `Report`: `report.html`, which embeds its pictures, the same as `report.md` and
    `report.json`, and the pictures as `figures/*.png`.

    The page can be read on a phone and on a dark screen. It states its date and the versions of
    this package, Keras, the backend, NumPy and Python.

    Names of classes and stages are shown verbatim: none is parsed as TeX or HTML. In the pictures a
    long name is shortened, and a name that no installed font can draw becomes a number; the page
    explains both.

    Args:
        output_dir: Folder to write to, created if missing.
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
        seed: Determines the map of the embeddings.
        settings: The settings of the experiment, from name to value, its seed included.
        note: A paragraph under the table, for its readers.

    Returns:
        The path of `report.html`.

    Raises:
        ValueError: If arrays differ in length or have another shape, a class has no name, the
            embeddings are not finite, or the table is empty or has rows with different columns.
        OSError: If `output_dir` cannot be written to, which is checked first.
        ImportError: If Jinja, matplotlib or scikit-learn is missing
            (`pip install keras-supcon[report]`).
    """
    require_extra("report", "jinja2", "matplotlib", "sklearn", by="`write_report`")
    embeddings, labels, predictions = map(np.asarray, (embeddings, labels, predictions))
    images, views = map(np.asarray, (images, views))
    check_table("table", table)
    _check_arrays(embeddings, labels, predictions, len(class_names))
    _check_pictures(images, views)
    if not histories:
        raise ValueError("`histories` should have at least one stage. Received: histories={}")
    make_writable(pathlib.Path(output_dir) / "figures")  # before minutes of drawing
    points, point_labels = figures.place_embeddings(embeddings, labels, seed)
    report = Report(title).add_table(table).add_text(note)
    report.add_figure(
        lambda narrow: figures.draw_curves(histories, narrow),
        "Loss and accuracy of every stage, by epoch.",
        "curves",
        draw_names(list(histories)).key,
    )
    report.add_figure(
        lambda narrow: figures.draw_embedding_map(points, point_labels, class_names, narrow),
        "The encoder's features of test images, mapped to two dimensions by t-SNE. Each dot is an "
        "image that training never saw; its color is its true class.",
        "embedding_map",
    )
    report.add_figure(
        lambda narrow: figures.draw_confusion(labels, predictions, class_names, narrow),
        "Test images by true class (row) and predicted class (column), in percent of the row.",
        "confusion",
        draw_names(class_names).key if len(class_names) <= figures.MOST_NAMED_CLASSES else None,
    )
    report.add_figure(
        lambda narrow: figures.draw_views(images, views, narrow),
        "Images (left) and augmented views of them, as training saw them.",
        "views",
    )
    if settings:
        report.add_settings(settings)
    return report.write(output_dir)


def _check_arrays(
    embeddings: np.ndarray, labels: np.ndarray, predictions: np.ndarray, num_classes: int
) -> None:
    if not len(embeddings) == len(labels) == len(predictions):
        raise ValueError(
            "`embeddings`, `labels` and `predictions` should have the same length. Received: "
            f"{len(embeddings)}, {len(labels)} and {len(predictions)}"
        )
    if embeddings.ndim != 2 or not len(embeddings):
        raise ValueError(
            "`embeddings` should be (n, features), n at least 1. Received: embeddings of shape "
            f"{embeddings.shape}"
        )
    if not np.isfinite(embeddings).all():
        bad = (~np.isfinite(embeddings).all(axis=1)).sum()
        raise ValueError(
            f"`embeddings` should be finite. Received: {bad} of {len(embeddings)} rows with NaN or "
            "infinity"
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
                f"{num_classes} names. Received: {name} with {wrong}"
            )


def _check_pictures(images: np.ndarray, views: np.ndarray) -> None:
    is_right = images.ndim == 4 and views.ndim == 5 and len(images) == len(views) > 0
    if not (is_right and images.shape[-1] in (1, 3, 4) and views.shape[-1] in (1, 3, 4)):
        raise ValueError(
            "`images` should be (k, height, width, channels) and `views` (k, num_views, height, "
            f"width, channels), with 1, 3 or 4 channels. Received: shapes {images.shape} and "
            f"{views.shape}"
        )
